"""A config's own datasets: what the study knows of them before an image is read, and how they are
refused."""

import os
import re
from pathlib import Path

import pytest
import yaml

from distillery.places import ROOT
from distillery.report.asked import compared
from distillery.store.layout import Layout
from distillery.study import fingerprint, reading
from distillery.study.jobs import Jobs
from distillery.study.own_images import KINDS
from tests.unit.datasets import drawn
from tests.unit.study import small

GRID = [{"dataset": "pets", "method": ["dm", "random"], "init": "real", "ipc": 2}]
CONTINUAL = {"groups": 2}


@pytest.fixture
def pets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return drawn.folder(tmp_path / "pets", {"cat": 10, "dog": 20, "eel": 5})


def study(name="pets", grid=GRID, continual=CONTINUAL, block=None, **changes):
    given = block or {"kind": "folder", "path": "pets", "size": 32} | changes
    return small.study(grid=grid, datasets={name: given}, continual=continual)


def refusal(**changes):
    with pytest.raises(small.UserError) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def jobs_of(**changes):
    read = study(**changes)
    return Jobs(read, Layout(read.config["results"]))


def test_an_own_dataset_is_known_as_a_built_in_one_is(pets):
    read = study(title="My pets", licence="CC0", home="https://example.org", channels=1)
    record = read.datasets["pets"]
    assert (record.name, record.title, record.licence) == ("pets", "My pets", "CC0")
    assert record.classes == ("cat", "dog", "eel") and record.channels == 1 and record.size == 32
    assert (record.train, record.test, record.smallest_class) == (28, 7, 4)
    assert not record.horizontal_flip and study().datasets["pets"].horizontal_flip
    assert {"MNIST", "digits", "pets"} <= set(read.datasets) and set(read.own) == {"pets"}
    assert read.network("pets", "ConvNet")["classes"] == 3


def test_a_square_may_be_written_as_two_sides(pets):
    assert study(size=[32, 32]).datasets["pets"].size == 32


def test_its_jobs_are_those_of_any_but_that_it_is_prepared(pets):
    jobs = jobs_of()
    (made,) = [job for job in jobs.all if job.rule in ("download", "prepare")]
    assert made.rule == "prepare" and made.record == "results/data/pets/cost.json"
    both = [*GRID, {"dataset": "digits", "method": "dm", "init": "real", "ipc": 1}]
    rules = {dict(job.wildcards)["dataset"]: job.rule for job in jobs_of(grid=both).all[:2]}
    assert rules == {"pets": "prepare", "digits": "download"}
    stamp = jobs.asked("prepare", {"dataset": "pets"})["code"]
    assert stamp.endswith(" datasets/_folder datasets/_files")
    assert jobs.inputs("prepare", {"dataset": "pets"}) == {}


def test_an_edit_of_what_reads_another_kind_leaves_prepared_images_as_they_are(pets):
    stamp = jobs_of().asked("prepare", {"dataset": "pets"})["code"]
    script = ROOT / "workflow/scripts/prepare.py"
    start = fingerprint.started(fingerprint.plugins(stamp), script, ROOT)
    files = fingerprint.closure(start.files)
    read = {path.stem for path in files if path.parent.name == "datasets"}
    assert {"_prepare", "_folder", "_files", "_decode"} <= read
    assert not read & {"_table", "_arrays", "_stacked", "_hub", "_rows"}


@pytest.mark.slow
def test_the_study_asks_another_thing_where_an_image_is_another(pets):
    wildcards = {"dataset": "pets"}

    def asked():
        jobs = jobs_of()
        others = [jobs.asked(job.rule, dict(job.wildcards)) for job in jobs.all[1:]]
        return jobs.asked("prepare", wildcards), others

    (first, others), _ = asked(), drawn.write(pets / "cat/3.png")
    second, unchanged = asked()
    assert {each.key for each in compared("", first, second)} == {"listing"}
    assert others == unchanged
    # Where it lies, and how it is called, is no part of what it is.
    (pets.parent / "elsewhere").mkdir()
    os.rename(pets, pets.parent / "elsewhere/animals")
    assert jobs_of(path="elsewhere/animals", title="x").asked("prepare", wildcards) == second
    moved = jobs_of(path="elsewhere/animals", licence="MIT").asked("prepare", wildcards)
    assert {each.key for each in compared("", second, moved)} == {"settings.licence"}


def test_what_is_left_out_is_said_by_the_name_of_the_dataset(pets):
    (pets / "notes.txt").touch()
    assert study().own["pets"].notes == [
        "pets: 1 file left out, for they are no images by the ending of their names: notes.txt"
    ]


REFUSED = {
    "a name that is taken": (
        {"name": "mnist"},
        "datasets.mnist: MNIST is a built-in dataset; give yours another name, such as my_mnist",
    ),
    "a name that is none": (
        {"name": "my pets!"},
        "datasets.my pets!: a dataset's name is made of letters, digits and underscores and begins "
        "with a letter, such as my_pets",
    ),
    "a name of digits": ({"name": "2024"}, "such as my_2024"),
    "a dataset that the grid misspells": (
        {"grid": [{**GRID[0], "dataset": "pet"}]},
        "grid[0]: unknown dataset 'pet'; did you mean 'pets'?",
    ),
    "no such folder": ({"path": "pats"}, "datasets.pets.path: there is no folder pats (looked for"),
    "a key that is misspelt": (
        {"sise": 3},
        "pets: unknown key 'sise'; did you mean 'size'?",
    ),
    "a kind that is none": (
        {"kind": "foldr"},
        "datasets.pets: unknown kind 'foldr'; did you mean 'folder'? known are folder",
    ),
    "a kind of two": ({"kind": ["folder"]}, "datasets.pets: unknown kind"),
    "no kind": ({"block": {"path": "pets"}}, "datasets.pets: the key 'kind' is missing"),
    "a key of another kind": ({"layout": "nhwc"}, "datasets.pets: unknown key 'layout'"),
    "no size": ({"block": {"kind": "folder", "path": "pets"}}, "pets: the key 'size' is missing"),
    "a block that is none": (
        {"block": "pets"},
        "must be a block of keys, not 'pets'",
    ),
    "three sides": ({"size": [1, 2, 3]}, "pets.size: must be two numbers, not [1, 2, 3]"),
    "too few pixels": ({"size": 2}, "pets.size: must be 8 or more, not 2"),
    "five channels": ({"channels": 5}, "pets.channels: must be 4 or less, not 5"),
    "a share of all": ({"test": 1}, "pets.test: must be below 1, not 1"),
    "no share": ({"test": 0}, "pets.test: must be above 0, not 0"),
    "a class of yes": ({"classes": [True, "dog"]}, "YAML reads yes and no as True"),
    "an unknown class": (
        {"classes": ["cat", "dgo"]},
        "no class 'dgo' among the data; did you",
    ),
    "one class": ({"classes": ["cat"]}, "datasets.pets: has one class, 'cat'; two or more are"),
    "an unknown way to fit": (
        {"fit": "crp"},
        "pets.fit: must be one of crop, pad, stretch, not 'crp'",
    ),
    "more images than the smallest class has": (
        {"grid": [{**GRID[0], "ipc": 5}]},
        "grid: ipc 5 is above the smallest class of pets: 4 training images",
    ),
    "more groups than classes": (
        {"continual": {"groups": 4}},
        "continual.groups: 4 groups of 3 classes",
    ),
}


@pytest.mark.parametrize("changes, words", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_dataset_is_refused_in_one_line(pets, changes, words):
    assert words in refusal(**changes)


def test_images_that_are_too_small_for_a_network_are_refused(pets):
    with pytest.raises(small.UserError, match=r"ConvNet .*needs images of at least 32 pixels"):
        small.study(
            grid=GRID,
            datasets={"pets": {"kind": "folder", "path": "pets", "size": 8}},
            networks={"ConvNet": {"depth": 5}},
        )


def test_a_validation_part_of_its_own_is_what_is_held_out(pets):
    """Two of the four of the smallest class."""
    assert study(validation=0.5).datasets["pets"].smallest_class == 4
    grid = [{**GRID[0], "ipc": 3}]
    assert "at most 2 is possible" in refusal(validation=0.5, grid=grid)
    assert study(grid=grid).cells


def test_classes_too_small_for_the_share_are_no_hindrance_where_others_are_not(pets, tmp_path):
    """A tenth of eight images, and of four, is none; of sixteen it is one."""
    assert study().cells
    drawn.folder(tmp_path / "few", {"cat": 10, "dog": 10})
    text = refusal(block={"kind": "folder", "path": "few", "size": 32})
    assert "data.validation 0.1 leaves none of pets;" in text


def test_the_page_of_datasets_has_every_key_and_only_examples_that_are_right():
    page = (Path(__file__).resolve().parents[3] / "docs/datasets.md").read_text(encoding="utf-8")
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    shown = set()
    for example in examples:
        config = {"study": "x", "grid": [], **example}
        shown |= {block["kind"] for block in reading.sections(config)["datasets"].values()}
    assert shown == set(KINDS)
    for kind, model in KINDS.items():
        assert f"kind: {kind}" in page
        missing = [key for key in model.model_fields if not re.search(rf"\b{key}\b", page)]
        assert missing == []
