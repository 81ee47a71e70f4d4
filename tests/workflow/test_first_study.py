"""What docs/first-study.md and docs/examples.md show, run as it stands, with budgets cut; and an
installed copy, as their reader has one."""

import csv
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from distillery.store import artefact
from tests.starting import Starter, short_folder
from tests.workflow.conftest import ROOT, copy

pytestmark = pytest.mark.long

# What takes long, and what is as telling.
CUT = (
    ("--iterations 500", "--iterations 3 --size 16"),
    ("--method herding", "--method herding --set networks=1 --size 16"),
    ("iterations=500", "iterations=3"),
    ("epochs=100", "epochs=2"),
    ("--images pictures", "--images pictures --size 16"),
)
BUDGETS = (
    ("ipc: [1, 10]", "ipc: [1]"),
    ("[random, herding]", "[random]"),
    ("[ConvNet, MLP]", "[ConvNet]"),
    ("dm: {iterations: 100}", "dm: {iterations: 3}"),
    ("width: 64", "width: 8"),
    ("models: 3 ", "models: 1 "),
    ("epochs: 100", "epochs: 2"),
    ("epochs: 10\n", "epochs: 1\n"),
)
# The same of the examples.
SMALL = (
    ("[dm, random]", "[dm]"),
    ("iterations: 100", "iterations: 2"),
    ("width: 32", "width: 8"),
    ("{threads: 1}", "{threads: 1, compile: off}"),
    ("models: 3", "models: 1"),
    ("epochs: 100", "epochs: 2"),
    ("--iterations 100", "--iterations 2"),
    ("epochs=100", "epochs=2 --models 1"),
    ("--method herding", "--method random"),
)


def blocks(page):
    """Return the language and the text of each block that can be run."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```(sh|python|yaml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def replaced(text, pairs):
    for before, after in pairs:
        text = text.replace(before, after)
    return text


def draw(folder):
    """Pictures of two classes, of several sizes and kinds."""
    generator = np.random.default_rng(0)
    for name, colour in (("cats", 0), ("dogs", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(15):
            pixels = generator.integers(0, 120, (20 + number, 24, 3), dtype=np.uint8)
            pixels[4:12, 4:12, colour] = 255
            ending = ("png", "jpg", "webp")[number % 3]
            Image.fromarray(pixels).save(folder / name / f"{number}.{ending}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory, environment):
    """A wheel of the checkout in a virtual environment that has our packages beside it; the
    environment of a shell in which it is active."""
    folder = tmp_path_factory.mktemp("installed")
    parts = ("Snakefile", "config", "distillery", "envs", "profiles", "workflow")
    for part in (*parts, "pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / part, folder / "source" / part) if (ROOT / part).is_dir() else None
    for part in ("Snakefile", "pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / part, folder / "source" / part)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    wheels = folder / "wheels"
    source = str(folder / "source")
    subprocess.run([*pip, "wheel", *offline, "-w", str(wheels), source], check=True)
    (wheel,) = wheels.glob("*.whl")
    assert wheel.name.startswith("dataset_distillery-")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv/bin/python"
    packages = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    ours = Path(np.__file__).parents[1]
    (Path(packages) / "ours.pth").write_text(f"{ours}\n", encoding="utf-8")
    subprocess.run([*pip, "--python", str(python), "install", *offline, str(wheel)], check=True)
    outside = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
    return {**outside, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def sharing(installed):
    """The environment of a shell in which `distillery`, and what it starts, are forks of one
    process that has imported torch: half of the time of these pages is its import."""
    with short_folder() as folder:
        scripts = Path(installed["PATH"].partition(os.pathsep)[0])
        starter = Starter(folder, installed, str(scripts / "python"))
        command = folder / "bin/distillery"
        command.parent.mkdir()
        command.write_text(
            f'#!/bin/sh\nexec "{starter.interpreter}" "{scripts}/distillery" "$@"\n',
            encoding="utf-8",
        )
        command.chmod(0o755)
        yield {**installed, "PATH": f"{command.parent}{os.pathsep}{installed['PATH']}"}
        starter.close()


def ran(command, folder, environment):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.timeout(1500)
def test_the_page_runs_as_it_stands_outside_the_checkout(installed, sharing, tmp_path):
    draw(tmp_path / "pictures")
    said = []
    for language, text in blocks("first-study.md"):
        text = replaced(text, CUT)
        if language == "python":
            said.append(ran(["python", "-c", text], tmp_path, installed))
            continue
        folder = tmp_path
        for line in text.splitlines():
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
                continue
            config = folder / "config.yaml"
            if config.exists():
                text = config.read_text(encoding="utf-8")
                config.write_text(replaced(text, BUDGETS), encoding="utf-8")
            whole = line.startswith("distillery init")
            said.append(ran(["bash", "-c", line], folder, installed if whole else sharing))
    study = tmp_path / "study"
    page = (study / "results/report.html").read_text(encoding="utf-8")
    assert "pictures" in page and "Random" in page
    table = (study / "results/summary.csv").read_text(encoding="utf-8")
    assert ",dm,real,1,0,ConvNet," in table
    for name in ("small", "chosen", "python"):
        assert (tmp_path / f"{name}.safetensors").is_file()
    text = "\n".join(said)
    assert len(re.findall(r"^ConvNet: accuracy \d+\.\d % \(5 networks", text, re.MULTILINE)) == 2
    assert "pictures distilled into 5 images per class by DM" in text
    assert re.search(r"^\d+% of its own images$", text, re.MULTILINE)
    again = ran(["bash", "-c", "distillery run -n"], study, sharing)
    assert "Nothing to be done" in again


@pytest.mark.network
@pytest.mark.timeout(3600)
def test_the_examples_run_as_they_stand(installed, sharing, tmp_path):
    said = []
    for language, text in blocks("examples.md"):
        text = replaced(text, SMALL)
        if language == "yaml":
            name = re.match(r"# (\S+\.yaml)\n", text)[1]
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "python":
            ran(["python", "-c", text], tmp_path, installed)
        else:
            said.append(ran(["bash", "-ec", text], tmp_path, sharing))
    with (tmp_path / "results/summary.csv").open(encoding="utf-8") as file:
        judged = {row["dataset"]: row for row in csv.DictReader(file)}
    uneven = {"emoji", "subcategories", "faces", "pairs", "moles"}
    assert judged.keys() == uneven | {"cifar10_lt", "cells"}
    measured = {}
    for dataset in judged:
        (file,) = (tmp_path / "results/evaluate" / dataset).rglob("metrics.csv")
        with file.open(encoding="utf-8") as opened:
            measured[dataset] = {row["measure"] for row in csv.DictReader(opened)}
    more = {"balanced_accuracy", "auroc"}
    assert {dataset for dataset in measured if more <= measured[dataset]} == uneven
    assert not any(more & measured[dataset] for dataset in measured.keys() - uneven)
    facts = {
        dataset: artefact.header(
            tmp_path / f"results/data/{dataset}/dataset.safetensors", rule=None
        )["spec"]
        for dataset in judged
    }
    shapes = {name: (fact["channels"], fact["size"]) for name, fact in facts.items()}
    assert shapes["subcategories"] == (4, 32) and shapes["faces"] == (1, 25)
    assert shapes["pairs"] == (1, [28, 56]) and shapes["moles"] == (3, 224)
    classes = {name: len(fact["classes"]) for name, fact in facts.items()}
    assert (classes["emoji"], classes["subcategories"], classes["pairs"]) == (10, 99, 100)
    assert facts["subcategories"]["smallest_class"] == 1
    assert facts["cifar10_lt"]["smallest_class"] == 5
    page = (tmp_path / "results/report.html").read_text(encoding="utf-8")
    assert "Balanced accuracy" in page and "AUROC" in page and "CIFAR-10 with a long tail" in page
    assert re.search(
        r"^ConvNet: accuracy .*, balanced accuracy \d+\.\d %, AUROC \d+\.\d %$",
        "\n".join(said),
        re.MULTILINE,
    )


OUTER = """
from distillery.places import snakefile

configfile: "outer.yaml"

module inner:
    snakefile: snakefile()
    config: config["inner"]
    prefix: "part"

use rule * from inner as inner_*
"""


def test_another_workflow_has_the_installed_one_as_a_module(installed, tmp_path):
    (tmp_path / "Snakefile").write_text(OUTER, encoding="utf-8")
    study = {
        "study": "A part",
        "compute": {"threads": 1},
        "grid": [{"dataset": "digits", "method": "random", "init": "real", "ipc": 1}],
        "evaluate": {"networks": ["MLP"], "models": 1, "epochs": 1, "selection": {"models": 0}},
        "vanilla": {"networks": []},
        "continual": {"datasets": []},
    }
    (tmp_path / "outer.yaml").write_text(yaml.safe_dump({"inner": study}), encoding="utf-8")
    made = "part/results/synthetic/digits/random/real/ipc1/seed0/synthetic.safetensors"
    machine = ["--cores", "1", "--resources", "gpu=1"]
    ran(["python", "-m", "snakemake", *machine, "--", made], tmp_path, installed)
    assert (tmp_path / made).is_file() and not (tmp_path / "results").exists()


def test_an_installed_copy_refuses_environments_of_its_own_in_one_line(installed, tmp_path):
    ran(["bash", "-c", "distillery init study"], tmp_path, installed)
    done = subprocess.run(
        ["bash", "-c", "distillery run study -n --software-deployment-method conda"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
    )
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(told) == 1
    assert "runs in the environment that it is installed in" in told[0]
