"""A folder of images, from the config to the report, and what an edit of it makes stale."""

import os
import shutil

import pytest
import yaml

from distillery.store import artefact
from tests.unit.datasets import drawn
from tests.workflow.conftest import Workflow

pytestmark = pytest.mark.long

CONFIG = {
    "study": "Own",
    "results": "out",
    "compute": {"threads": 1},
    "datasets": {
        "pets": {
            "kind": "folder",
            "path": "My pictures/pets & co",
            "size": 8,
            "title": "Our pets",
            "licence": "Ours alone",
        }
    },
    "networks": {"ConvNet": {"width": 8, "depth": 2}},
    "grid": [
        {"dataset": "pets", "method": ["dm", "random"], "init": "real", "ipc": 1},
        {"dataset": "digits", "method": "random", "init": "real", "ipc": 1},
    ],
    "methods": {"dm": {"iterations": 2}},
    "snapshots": 1,
    "evaluate": {
        "networks": "ConvNet",
        "models": 1,
        "epochs": 1,
        "curve": 1,
        "selection": {"models": 0},
    },
    "vanilla": {"networks": []},
    "continual": {"datasets": []},
}


@pytest.fixture
def run(starter, tmp_path):
    made = Workflow.laid(tmp_path / "a study", starter, CONFIG)
    pets = made / "My pictures/pets & co"
    drawn.folder(pets, {"cat": 12, "chien d'été": 12})
    (pets / "notes.txt").touch()
    return made


def test_from_a_folder_to_a_report_and_what_follows_from_an_edit(run):
    pets = run / "My pictures/pets & co"
    first = run.make()
    assert "note: pets: 1 file left out" in first.stderr and "notes.txt" in first.stderr
    page = (run / "out/report.html").read_text(encoding="utf-8")
    assert "Our pets" in page and "chien d&#39;été" in page and "Ours alone" in page
    header = artefact.header(
        run / "out/synthetic/pets/dm/real/ipc1/seed0/synthetic.safetensors", rule=None
    )
    assert header["classes"] == ["cat", "chien d'été"] and header["licence"] == "Ours alone"
    data = run / "out/data/pets/dataset.safetensors"
    content, log = data.read_bytes(), run / "out/logs/prepare/pets.log"
    assert "notes.txt" in log.read_text(encoding="utf-8")

    # What is no image, a copy elsewhere, and another title: no image is another.
    (pets / "more notes.txt").touch()
    shutil.copytree(pets, run / "moved")
    shutil.rmtree(pets)
    config = {**CONFIG, "datasets": {"pets": {**CONFIG["datasets"]["pets"], "path": "moved"}}}
    (run / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shown = {"out/summary.csv", "out/costs.json", "out/SHA256SUMS", "out/report.html"}
    assert run.planned() <= shown

    # Only a time has changed: images that are prepared once more are the same file, and of that
    # nothing is stale.
    os.utime(run / "moved/cat/0.png", (1, 1))
    prepared = run.make("out/data/pets/dataset.safetensors")
    assert "1 of 1 steps (100%) done" in prepared.stderr
    assert data.read_bytes() == content
    assert "more notes.txt" in log.read_text(encoding="utf-8")
    assert run.planned() <= shown

    # One more image: what is made of this dataset, and nothing else.
    drawn.write(run / "moved/cat/new.png")
    planned = run.planned() - shown
    assert "out/data/pets/dataset.safetensors" in planned
    assert all("/pets/" in path for path in planned)
    (run / "moved/cat/3.png").write_bytes(b"no image")
    failed = run.snakemake(
        "--cores", "2", "--", "out/data/pets/dataset.safetensors", succeeds=False
    )
    assert failed.returncode and not data.exists()
    assert "error: datasets.pets: 1 image cannot be read: cat/3.png (is no image" in failed.stderr
