"""What is written about the config is what its models say."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from distillery import __main__ as commands
from distillery.errors import UserError
from distillery.study import reference

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted([*ROOT.glob("config/*.yaml"), *ROOT.glob("studies/*.yaml")])


@pytest.mark.slow
def test_the_files_of_the_reference_are_those_of_the_models():
    """`make reference` writes them."""
    for path, text in reference.files(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_the_table_has_every_key_with_its_limits_and_its_default():
    table = reference.table()
    assert "| `threads` | Processor threads of a computing job." in table
    assert "| whole number, 1 to 1024 | `2` |" in table
    assert "### `datasets.NAME`" in table and "| `size` | Pixels a side" in table
    assert "| `layout` | Of arrays: Whether channels" in table
    assert "### `evaluate.selection`" in table and "### `experts.NAME`" in table
    assert "number, above 0 or `learned` | `0.01` |" in table


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_an_editor_finds_the_schema_of_a_shipped_config_and_no_error(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = (path.parent / first.partition("=")[2]).resolve()
    assert schema == ROOT / reference.SCHEMA
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(validator.iter_errors(config)) == []
    assert list(validator.iter_errors({**config, "sead": 1})) != []


@pytest.mark.slow
def test_the_command_prints_the_schema_and_writes_both_files(tmp_path, monkeypatch, capsys):
    assert commands.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == reference.json_schema()
    (tmp_path / "config").mkdir()
    text = f"# Keys\n\n{reference.BEGIN}\nno table\n{reference.END}\n\nMore.\n"
    (tmp_path / reference.README).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert commands.main(["schema", "--write"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    written = (tmp_path / reference.README).read_text(encoding="utf-8")
    assert (
        reference.table() in written and "no table" not in written and written.endswith("More.\n")
    )
    assert commands.main(["schema", "--write"]) == 0 and capsys.readouterr().out == ""
    (tmp_path / reference.README).write_text("# Keys\n", encoding="utf-8")
    with pytest.raises(UserError, match="has no lines"):
        reference.write(tmp_path)
