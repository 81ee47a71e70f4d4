"""Config files: what would be dropped in silence, or cannot be read, is said in one line; the rest
is left alone."""

import os
import time
from pathlib import Path

import pytest

from distillery.errors import UserError
from distillery.study.load import check

ROOT = Path(__file__).resolve().parents[3]
STUDY = "study: Test\ngrid:\n  - {dataset: digits, method: dc, init: real, ipc: 1}\n"


def refusal(path):
    with pytest.raises(UserError) as caught:
        check(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ") and "\n" not in told and len(told) < 300
    return told


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / "config").glob("*.yaml")), *sorted((ROOT / "studies").glob("*.yaml"))],
    ids=lambda path: path.name,
)
def test_every_shipped_config_is_fine(path):
    check(path)


# What is written, and what the line says of it.
WRITTEN = {
    "a key twice": (STUDY + STUDY, ["lines 1 and 4", "'study' stands twice"]),
    "two grids": (STUDY + "grid: []\n", ["lines 2 and 4", "'grid'", "a list under one `grid:`"]),
    "a nested key twice": (
        STUDY + "evaluate:\n  epochs: 1\n  models: 2\n  epochs: 3\n",
        ["lines 5 and 7", "'epochs'"],
    ),
    "a key twice in a list": (
        STUDY + "imported:\n  - {name: a, ipc: 1, name: b}\n",
        ["lines 5 and 5", "'name'"],
    ),
    "a number twice": (STUDY + "experts: {1: {}, 1: {}}\n", ["'1' stands twice"]),
    "a key twice in JSON": ('{"study": "a",\n\t"study": "b"}', ["'study' stands twice"]),
    "an alias within its anchor": (
        STUDY + "methods: &own {dc: *own}\n",
        ["line 4", "holds itself"],
    ),
    "an alias deep within its anchor": (
        STUDY + "methods: &own\n  dc: [{a: [*own]}]\n",
        ["line 4", "holds itself"],
    ),
    "Latin-1": ("study: ménage\n".encode("latin-1"), ["UTF-8", "0xe9"]),
    "UTF-16": (STUDY.encode("utf-16"), ["UTF-8"]),
    "garbage": (bytes(range(256)), ["UTF-8"]),
    "no YAML": ("study: [Test\n  : }{\n", ["line 2", "not YAML"]),
    "a tab": ("compute:\n\tthreads: 1\n", ["line 2", "not YAML"]),
    "two documents": (STUDY + "---\n" + STUDY, ["line 4", "not YAML"]),
    "a text": ("Test\n", ["a block of keys", "'Test'"]),
    "a list": ("- study\n", ["a block of keys", "a list"]),
    "nothing": ("", ["an empty file"]),
    "a deep nest": ("study: " + "[" * 20000 + "]" * 20000, []),
    "a deep nest of JSON": ('{"study": ' + "[" * 200000 + "]" * 200000 + "}", []),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_file_of_which_something_would_be_lost_is_refused_in_one_line(kind, tmp_path):
    written, parts = WRITTEN[kind]
    path = tmp_path / "study.yaml"
    path.write_bytes(written if isinstance(written, bytes) else written.encode())
    told = refusal(path)
    assert all(part in told for part in parts), told


def test_what_is_no_file_is_refused_in_one_line(tmp_path):
    assert "no such config file" in refusal(tmp_path / "missing.yaml")
    assert "is a folder" in refusal(tmp_path)
    os.symlink("circle.yaml", tmp_path / "circle.yaml")
    assert "link" in refusal(tmp_path / "circle.yaml")
    os.symlink("gone.yaml", tmp_path / "dangling.yaml")
    assert "no such config file" in refusal(tmp_path / "dangling.yaml")


@pytest.mark.parametrize(
    "written",
    [
        "\ufeff" + STUDY,
        "base: &base {epochs: 1}\none: {<<: *base, epochs: 2}\ntwo: {<<: *base, models: 1}\n",
        "a: {study: 1}\nb: {study: 1}\n",
        "a: {1: x, '1': y}\n",  # a number and a text are two keys
        '{"study": "a", "grid": {"study": 1}}',
    ],
    ids=["byte order mark", "merged", "the same key in two blocks", "number and text", "JSON"],
)
def test_a_file_that_means_what_it_says_is_left_alone(written, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(written, encoding="utf-8")
    check(path)


def test_aliases_of_aliases_are_looked_at_once(tmp_path):
    lines = ["a0: &a0 {x: 1}"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)
    ]
    (tmp_path / "laughs.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    begun = time.monotonic()
    check(tmp_path / "laughs.yaml")
    assert time.monotonic() - begun < 5
