"""Every form of the corpus is read with its numbers, or refused in a line."""

import pytest
import torch

from distillery.errors import UserError
from distillery.sets.released import describe
from distillery.sets.released import read as released
from tests.unit.sets.released.forms import READ, REFUSED, SPECS, TOLD, WHERE, WITH_STEP


def entry(folder, more):
    given = {"name": "theirs", "dataset": "digits", "file": "set.pt", "ipc": 1, **more}

    def placed(value):
        return (
            str(folder / value)
            if isinstance(value, str)
            else [str(folder / part) for part in value]
        )

    paths = {key: placed(given[key]) for key in ("file", "labels") if key in given}
    if isinstance(given.get("step_size"), str):
        paths["step_size"] = placed(given["step_size"])
    return {**given, **paths}


def tried(name, folder):
    """The set, or the line of its refusal."""
    write, more, *_ = READ.get(name) or REFUSED[name]
    write(folder)
    given = entry(folder, more)
    spec = SPECS[given["dataset"]]
    try:
        told = released.check(given, spec, WHERE)
    except UserError as error:
        return str(error)
    found = released.read(given, spec, where=WHERE)
    assert found.notes == told or given.get("sets", 1) > 1
    return found


@pytest.mark.parametrize("name", READ)
def test_a_set_in_this_form_is_read_with_its_numbers(tmp_path, name):
    images, labels = READ[name][2:]
    found = tried(name, tmp_path)
    assert not isinstance(found, str), found
    assert found.images.dtype == torch.float32 and torch.allclose(
        found.images, images, rtol=0, atol=1e-5
    )
    assert found.labels.dtype == labels.dtype and torch.equal(found.labels, labels)
    assert (
        found.images.is_contiguous()
        and found.images.untyped_storage().nbytes() == found.images.nbytes
    )
    assert (found.step_size is not None) == (name in WITH_STEP) and abs(
        (found.step_size or 0.02) - 0.02
    ) < 1e-6
    assert all("\n" not in line and line.startswith(f"{WHERE}: ") for line in found.notes)
    assert name not in TOLD or any(TOLD[name] in line for line in found.notes)
    assert (found.whitening is not None) == (name == "our own whitened set") and (
        found.header is not None
    ) == name.startswith("our ")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line_that_says_what_would_be_right(tmp_path, name):
    line = tried(name, tmp_path)
    assert isinstance(line, str), "it was read"
    assert (
        REFUSED[name][2] in line
        and line.startswith(f"{WHERE}: ")
        and "\n" not in line
        and len(line) < 700
    )


def test_the_corpus_holds_the_forms_that_are_met(capsys):
    with capsys.disabled():
        print(
            f"\n{len(READ) + len(REFUSED)} files: {len(READ)} read, {len(REFUSED)} refused in one "
            "line, none crashed"
        )
    assert len(READ) >= 45 and len(REFUSED) >= 45


@pytest.mark.parametrize("name", [*READ, *REFUSED])
def test_what_is_reported_any_file_is_lines_or_one_refusal(tmp_path, name):
    write, more, *_ = READ.get(name) or REFUSED[name]
    write(tmp_path)
    given = entry(tmp_path, more)
    file = given["file"] if isinstance(given["file"], str) else given["file"][0]
    try:
        rows = dict(describe.describe(file, given.get("labels")))
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert {"file", "images", "labels"} <= rows.keys() and all(
        "\n" not in text for text in rows.values()
    )
