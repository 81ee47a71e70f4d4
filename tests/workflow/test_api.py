"""The Python interface gives what the workflow's jobs give, to the bit."""

import csv

import pytest
import yaml

import distillery
from distillery import plugins
from distillery.images import dataset as data
from tests.workflow.conftest import Workflow

pytestmark = pytest.mark.long

NETWORK = {"ConvNet": {"width": 8, "depth": 2}}
STUDY = {
    "study": "Both ways",
    "seed": 3,
    "compute": {"threads": 1},
    "networks": NETWORK,
    "grid": [
        {"dataset": "digits", "method": "dm", "init": "noise", "ipc": 2, "seed": 1},
        {"dataset": "digits", "method": "herding", "init": "real", "ipc": 2, "seed": 1},
        {"dataset": "digits", "method": "mtt", "init": "real", "ipc": 1, "seed": 1},
    ],
    "methods": {
        "dm": {"iterations": 2},
        "herding": {"networks": 1},
        "mtt": {
            "iterations": 2,
            "syn_steps": 2,
            "expert_epochs": 1,
            "max_start_epoch": 1,
            "lr_images": 1,
        },
    },
    "experts": {"default": {"number": 2, "shard": 1, "epochs": 1}},
    "evaluate": {"networks": ["ConvNet"], "models": 2, "epochs": 2, "curve": 0},
}
SETS = [
    "results/synthetic/digits/{method}/{init}/ipc{ipc}/seed1/synthetic.safetensors".format(**block)
    for block in STUDY["grid"]
]
MEASURED = "results/evaluate/digits/dm/noise/ipc2/seed1/ConvNet/metrics.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory, starter):
    workflow = Workflow.laid(tmp_path_factory.mktemp("ways"), starter, STUDY)
    workflow.make(*SETS, MEASURED)
    return workflow


def distilled(made, block):
    known = plugins.datasets()["digits"]
    images = data.load(made / "results/data/digits/dataset.safetensors")
    experts = STUDY["experts"]["default"] if block["method"] == "mtt" else None
    return distillery.distil(
        images.images,
        images.labels,
        block["method"],
        block["ipc"],
        init=block["init"],
        seed=1,
        study_seed=3,
        validation=0.1,
        network=NETWORK,
        experts=experts,
        name="digits",
        classes=known.classes,
        mean=known.mean,
        std=known.std,
        flip=known.horizontal_flip,
        licence=known.licence,
        home=known.home,
        threads=1,
        progress=False,
        **STUDY["methods"][block["method"]],
    )


@pytest.mark.parametrize("number", range(len(SETS)))
def test_a_set_is_byte_for_byte_that_of_the_job(made, number, tmp_path):
    synthetic = distilled(made, STUDY["grid"][number])
    synthetic.save(tmp_path / "set.safetensors")
    assert (tmp_path / "set.safetensors").read_bytes() == (made / SETS[number]).read_bytes()


def test_a_set_is_worth_the_same(made):
    images = data.load(made / "results/data/digits/dataset.safetensors")
    settings = {
        key: value
        for key, value in yaml.safe_load((made / "results/study.json").read_text())["config"][
            "evaluate"
        ].items()
        if key in ("lr", "momentum", "weight_decay", "batch", "decay", "augment")
    }
    table = distillery.evaluate(
        distillery.load(made / SETS[0]),
        images.test_images,
        images.test_labels,
        models=2,
        epochs=2,
        study_seed=3,
        threads=1,
        **settings,
    )
    with (made / MEASURED).open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(line for line in file if line[0] != "#")]
    by_the_job = [
        float(row["value"])
        for row in rows
        if (row["measure"], row["split"], row["selection"]) == ("loss", "test", "last")
    ]
    assert list(table.loss) == by_the_job and len(by_the_job) == 2
