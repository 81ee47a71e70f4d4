"""Records are kept as JSON, and joined."""

import json
import shutil

import pytest

from distillery import __main__
from distillery.errors import UserError
from distillery.published import records
from distillery.published.recording import record
from distillery.store.files import write_text
from tests.unit.published.studies import (
    COMMAND,
    DC,
    FIRST,
    SECOND,
    Study,
    as_file,
    cell_of,
    full,
)


@pytest.mark.slow
def test_the_same_folder_gives_the_same_bytes_wherever_it_is(study, tmp_path):
    first = as_file(full(study))
    shutil.copytree(study.folder, tmp_path / "elsewhere/again")
    assert as_file(record(tmp_path / "elsewhere/again", COMMAND)) == first
    assert (
        records.Record.of_json(json.loads(first)) == record(study.folder, COMMAND)
        and str(tmp_path) not in first
    )


@pytest.mark.slow
def test_a_study_in_parts_keeps_the_sets_of_the_parts_before(study, tmp_path, capsys):
    study.set("dc", "real", 10, 0, DC, commit="0123456789abcdef")
    study.evaluation("dc", "real", 10, 0, FIRST)
    one = record(study.folder, COMMAND)
    other = Study(tmp_path / "other machine")
    other.set("dc", "real", 10, 1, DC, commit="fedcba9876543210")
    other.evaluation("dc", "real", 10, 1, SECOND)
    other.set("random", "real", 1, 0, {})
    other.evaluation("random", "real", 1, 0, [50.0], epochs=300)
    docs = ["--docs", str(tmp_path / "docs")]
    for folder in (study.folder, other.folder):
        assert (
            __main__.main(
                [
                    "reproduction",
                    "add",
                    str(folder),
                    "--name",
                    "mine",
                    "--command",
                    COMMAND,
                    "--keep",
                    *docs,
                ]
            )
            == 0
        )
    found = records.load(tmp_path / "docs")["mine"]
    sets = cell_of(found, "MNIST", "dc", 10).sets
    assert [(one.seed, one.accuracies["last"]) for one in sets] == [(0, FIRST), (1, SECOND)]
    commits = [one.set.context["commit"][:4] for one in sets]
    assert commits == ["0123", "fedc"] and cell_of(found, "MNIST", "random", 1).sets[0].accuracies[
        "last"
    ] == [50.0]
    # What was measured again takes the place of what was measured before; nothing else changes.
    assert records.joined(one, found) == records.joined(found, one) == found
    again = [
        "reproduction",
        "add",
        str(other.folder),
        "--name",
        "mine",
        "--keep",
        *docs,
        "--command",
    ]
    capsys.readouterr()
    assert (
        __main__.main([*again, "another"]) == 1
        and "was made by another command" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 0, "command": "", "contexts": [], "cells": []}']
)
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    write_text(tmp_path / "reproduction/mine.json", text)
    with pytest.raises(UserError, match=r"mine\.json: is not a record"):
        records.load(tmp_path)
