"""Sets that others start from: their names, their files, and what is stale where one changes."""

import pytest

from distillery.store.layout import Layout
from distillery.study.jobs import Jobs
from distillery.study.starts import named_after
from tests.unit.study.small import BLOCK, refusal, study


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.pt", "sets/one.pt", "sets/two.npz", "labels.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def from_starts(starts, init, **changes):
    return study(starts=starts, grid=[{**BLOCK, "init": init}], **changes)


def cell(init):
    return {"dataset": "digits", "method": "dc", "init": init, "ipc": "1", "seed": "0"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("one.pt", "from_one"),
        ("sets/released-dc v2.safetensors", "from_released_dc_v2"),
        (
            "../a/synthetic/digits/dc/real/ipc10/seed0/synthetic.safetensors",
            "from_dc_real_ipc10_seed0",
        ),
        ("synthetic.safetensors", "from_synthetic"),
        ("exported/", "from_exported"),
    ],
)
def test_a_start_that_is_named_by_its_path_has_a_name_for_folders(path, name):
    assert named_after(path) == name


def test_starts_are_cells_of_their_own():
    read = from_starts({"mine": {"file": "one.pt"}}, ["real", "mine", "sets/two.npz"])
    assert [each.init for each in read.cells] == ["real", "mine", "from_two"]
    plain = {"labels_are": "probabilities"}
    assert read.starts == {
        "mine": {"file": "one.pt", **plain},
        "from_two": {"file": "sets/two.npz", **plain},
    }
    jobs = Jobs(read, Layout("results"))
    assert jobs.params("distill", cell("real")).start is None
    asked = jobs.params("distill", cell("mine"))
    assert asked.start["file"] == "one.pt"
    # A set travels: the digest of the input says what was in the file.
    assert asked.recorded()["start"] == plain
    # What reads it counts where it is read.
    assert "sets/starts" in asked.code.split(" ")
    assert "sets/starts" not in jobs.params("distill", cell("real")).code.split(" ")
    assert jobs.inputs("distill", cell("mine"))["start"] == ["one.pt"]
    assert jobs.inputs("distill", cell("real"))["start"] == []
    assert type(read)(read.config).config == read.config


def test_a_setting_may_be_for_a_start():
    read = from_starts(
        {"mine": {"file": "one.pt"}},
        ["real", "mine"],
        methods={"dc": {"overrides": [{"when": {"init": "mine"}, "iterations": 7}]}},
    )
    assert [read.method_settings(each)["iterations"] for each in read.cells][1] == 7


def test_a_start_needs_no_real_images():
    read = study(
        starts={"mine": {"file": "one.pt"}},
        grid=[{**BLOCK, "init": "mine", "ipc": 500}],
        data__validation=0,
    )
    assert read.cells[0].ipc == 500


def test_what_a_start_is_for_is_known():
    read = study(
        starts={"mine": {"file": "one.pt"}},
        grid=[{**BLOCK, "init": ["mine", "real"], "ipc": [1, 10], "method": ["dc", "dm"]}],
        methods={"dm": {"normalization": "zca"}},
    )
    assert read.started == [("mine", "digits", "channel", 10), ("mine", "digits", "zca", 10)]


@pytest.mark.parametrize(
    ("starts", "init", "words"),
    [
        ({"mine": {"file": "gone.pt"}}, "mine", "config: starts.mine: file gone.pt is missing"),
        ({}, "gone.pt", "config: starts.from_gone: file gone.pt is missing"),
        ({}, "mine", "config: grid[0]: unknown init 'mine'"),
        ({"mine": {"file": "one.pt"}}, "min", "did you mean 'mine'"),
        (
            {"mine": {"file": "one.pt"}},
            "real",
            "starts.mine: no block of the grid has `init: mine`",
        ),
        ({"real": {"file": "one.pt"}}, "real", "starts.real: a start's name is made of letters"),
        ({"imported": {"file": "one.pt"}}, "imported", "starts.imported: a start's name"),
        ({"a-b": {"file": "one.pt"}}, "a-b", "starts.a-b: a start's name is made of letters"),
        ({}, ["one.pt", "sets/one.pt"], "sets/one.pt would be called 'from_one', as one.pt is"),
        ({"mine": {"file": "one.pt", "labels": "no.pt"}}, "mine", "starts.mine: labels no.pt"),
        ({"mine": {}}, "mine", "config: starts.mine: the key 'file' is missing"),
        ({"mine": {"file": "one.pt", "ipc": 3}}, "mine", "config: starts.mine: unknown key 'ipc'"),
        ({"mine": "one.pt"}, "mine", "config: starts.mine: must be a block"),
    ],
)
def test_what_is_no_start_is_reported(starts, init, words):
    told = refusal(starts=starts, grid=[{**BLOCK, "init": init}])
    assert words in told, told


def test_a_set_of_the_study_itself_is_refused(here):
    made = here / "results/synthetic/digits/dc/real/ipc1/seed0/synthetic.safetensors"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"")
    told = refusal(grid=[{**BLOCK, "init": str(made.relative_to(here))}])
    assert "is among this study's own results; start from a set of another study" in told
    assert study(grid=[{**BLOCK, "init": str(made)}], results="elsewhere")


def test_a_coreset_has_no_start():
    told = refusal(grid=[{**BLOCK, "method": "random", "init": "one.pt"}])
    assert "random chooses real images" in told
