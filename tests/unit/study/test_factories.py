"""Networks that a config names by their factory: read and refused without importing anything."""

import json
import sys

import pytest

from distillery import literals
from distillery.store.layout import Layout
from distillery.study.jobs import Jobs
from distillery.study.params import RULES
from tests.unit.study.small import refusal, study

NETS = """
import blocks

if True:
    def make(channels, size, classes, width=4):
        raise SystemExit("this file is not run at a parse")
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def make(:\n", encoding="utf-8")
    (tmp_path / "star.py").write_text("from nets import *\n", encoding="utf-8")
    (tmp_path / "own_pack").mkdir()
    (tmp_path / "own_pack/nets.py").write_text("class Make: pass\n", encoding="utf-8")
    return tmp_path


def with_mine(factory="nets.py:make", **changes):
    block = {"factory": factory, **changes.pop("block", {})}
    return study(networks={"mine": block}, **{"evaluate__networks": ["mine"], **changes})


@pytest.mark.parametrize(
    ("factory", "source"),
    [
        ("nets.py:make", "@nets.py"),
        ("./nets.py:make", "@./nets.py"),
        ("own_pack.nets:Make", "@own_pack.nets"),
        ("own_pack.nets:Make.inner", "@own_pack.nets"),
        ("star.py:make", "@star.py"),
        ("torchvision:resnet18", "@torchvision"),
    ],
)
def test_a_network_with_a_factory_is_one_of_the_study(factory, source):
    read = with_mine(factory, block={"options": {"width": 8}, "dropout": False})
    network = read.network("digits", "mine")
    assert network == {
        "name": "mine",
        "channels": 1,
        "size": 8,
        "classes": 10,
        "options": {"width": 8},
        "source": source,
        "factory": factory.rpartition(":")[2],
        "dropout": False,
    }
    assert read.evaluation_networks("digits") == ["mine"]
    assert "dropout" not in read.network("digits", "ConvNet")
    json.dumps(read.config)
    again = type(read)(read.config)  # as `collect` reads it
    assert again.config == read.config


def test_networks_of_libraries_go_by_their_own_names():
    name = "torchvision:resnet18"
    read = study(
        networks={"torchvision:vgg11": {"dropout": "off"}},
        network=name,
        evaluate={
            "networks": [name, "torchvision:vgg11"],
            "overrides": [{"when": {"network": name}, "epochs": 3}],
        },
        vanilla={"networks": name, "overrides": [{"when": {"network": [name]}, "lr": 0.5}]},
        continual={"network": name},
    )
    plain = "torchvision_resnet18"
    assert read.evaluation_networks("digits") == [plain, "torchvision_vgg11"]
    assert read.config["network"] == read.config["continual"]["network"] == plain
    assert read.evaluation(read.cells[0], plain)["epochs"] == 3
    assert read.evaluation(read.cells[0], "torchvision_vgg11")["epochs"] == 20
    assert read.vanilla("digits", plain)["lr"] == 0.5
    assert read.network("digits", "torchvision_vgg11")["dropout"] is False
    assert read.network("digits", plain)["factory"] == "resnet18"
    assert type(read)(read.config).config == read.config


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("make", "networks.mine.factory: must be a module or a file and what makes the network"),
        ("nets.py:", "must be a module or a file"),
        ("nets.py:1x", "must be a module or a file"),
        (":make", "must be a module or a file"),
        ("gone.py:make", "networks.mine.factory: gone.py: there is no such file"),
        ("gone.nets:make", "networks.mine.factory: there is no module gone.nets; install"),
        ("nets.py:mak", "nets.py binds no 'mak'; did you mean 'make'? it binds blocks, make"),
        ("broken.py:make", "broken.py: line 1: is not Python"),
        ("timm:resnet18", "timm is not installed: pip install 'dataset-distillery[timm]'"),
        (3, "networks.mine.factory: must be a text, not 3"),
    ],
)
def test_what_is_no_factory_is_refused_where_it_stands(factory, words, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    assert words in refusal(networks={"mine": {"factory": factory}})


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"option": {}}, "unknown key 'option'; did you mean 'options'?"),
        ({"dropout": 0.5}, "dropout: must be one of keep, off, not 0.5"),
        ({"options": [1]}, "options: must be a block"),
    ],
)
def test_a_wrong_key_of_a_block_is_refused_where_it_stands(block, words):
    told = refusal(networks={"mine": {"factory": "nets.py:make", **block}})
    assert told.startswith("config: networks.mine") and words in told


@pytest.mark.parametrize("name", ["ConvNet", "my-net", "1st", "whatever:else"])
def test_a_name_that_is_taken_or_cannot_be_a_folder_is_refused(name):
    told = refusal(networks={name: {"factory": "nets.py:make"}})
    assert told.startswith(f"config: networks.{name}: a network with a factory has a name of its")


def test_a_network_that_no_one_declared_is_unknown():
    assert "'mine'" in refusal(evaluate__networks=["mine"])
    assert "'torchvision'" in refusal(evaluate__networks=["torchvision"])


# ---- staleness -----------------------------------------------------------------------------------


def codes(here, factory="nets.py:make", **changes):
    from distillery.study import fingerprint

    fingerprint.forget()
    jobs = Jobs(with_mine(factory, **changes), Layout("results"))
    return {
        (job.rule, dict(job.wildcards).get("network")): jobs.params(
            job.rule, dict(job.wildcards)
        ).code
        for job in jobs.all
        if "network" in RULES[job.rule].__dataclass_fields__
    }


def changed(before, after):
    return {key for key, code in before.items() if after[key] != code}


@pytest.mark.slow
def test_an_edit_of_a_factory_or_of_what_it_imports_is_its_jobs_alone(here):
    (here / "blocks.py").write_text("VALUE = 1\n", encoding="utf-8")
    networks = {"evaluate__networks": ["mine", "ConvNet"], "vanilla__networks": ["mine"]}
    before = codes(here, **networks)
    mine = {("evaluate_synthetic", "mine"), ("train_vanilla", "mine")}
    (here / "nets.py").write_text(f"# a comment\n{NETS}", encoding="utf-8")
    (here / "aside.py").write_text("OTHER = 1\n", encoding="utf-8")
    assert changed(before, codes(here, **networks)) == set()
    (here / "nets.py").write_text(f"{NETS}\nMORE = 1\n", encoding="utf-8")
    edited = codes(here, **networks)
    assert changed(before, edited) == mine
    (here / "blocks.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert changed(edited, codes(here, **networks)) == mine


@pytest.mark.slow
def test_another_version_of_a_package_is_its_jobs_alone(here, monkeypatch):
    networks = {"evaluate__networks": ["mine", "ConvNet"], "vanilla__networks": []}
    before = codes(here, "torchvision:resnet18", **networks)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    after = codes(here, "torchvision:resnet18", **networks)
    assert changed(before, after) == {("evaluate_synthetic", "mine")}


@pytest.mark.slow
def test_a_parse_with_factories_imports_neither_torch_nor_the_users_module(here):
    import subprocess

    code = (
        "import sys, json; from distillery.study import load\n"
        "load.study(json.loads(sys.argv[1]))\n"
        "print(sorted({'torch', 'torchvision', 'nets'} & set(sys.modules)))"
    )
    config = {
        "study": "Test",
        "grid": [{"dataset": "digits", "method": "dc", "init": "real", "ipc": 1}],
        "networks": {"mine": {"factory": "nets.py:make"}},
        "evaluate": {"networks": ["mine", "torchvision:resnet18"]},
    }
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(config)],
        env={"PYTHONPATH": str(literals.LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
