"""The command `reproduction`."""

import subprocess
import sys

import pytest

from distillery import __main__
from distillery.published import document, records
from tests.unit.published.studies import COMMAND, ROOT, full


@pytest.mark.slow
def test_add_writes_the_record_and_the_document_and_check_sees_an_edit(study, tmp_path, capsys):
    full(study)
    docs = ["--docs", str(tmp_path / "docs")]
    assert (
        __main__.main(
            [
                "reproduction",
                "add",
                str(study.folder),
                "--name",
                "mine",
                "--command",
                COMMAND,
                *docs,
            ]
        )
        == 0
    )
    page = tmp_path / "docs/reproduction.md"
    by_hand = "## Missed\n\nThe rate was too high.\n"
    (tmp_path / "docs/reproduction/missed.md").write_text(by_hand, encoding="utf-8")
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 1
    assert __main__.main(["reproduction", "render", *docs]) == 0
    before, _, after = page.read_text(encoding="utf-8").partition(by_hand)
    assert "## The default study" in before and "## How to read this page" in after
    (tmp_path / "docs/reproduction/missed.md").unlink()
    assert __main__.main(["reproduction", "render", *docs]) == 0
    assert page.read_text(encoding="utf-8") == document.render(records.load(tmp_path / "docs"))
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("91.45", "97.40"), encoding="utf-8")
    capsys.readouterr()
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 1
    error = capsys.readouterr().err
    assert (
        error.startswith("error: ")
        and "is not what the records give" in error
        and error.count("\n") == 1
    )
    assert __main__.main(["reproduction", "render", *docs]) == 0
    assert __main__.main(["reproduction", "render", "--check", *docs]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../mine", "a b", "", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(study, tmp_path, capsys, name):
    full(study)
    assert (
        __main__.main(
            [
                "reproduction",
                "add",
                str(study.folder),
                "--name",
                name,
                "--command",
                COMMAND,
                "--docs",
                str(tmp_path),
            ]
        )
        == 1
    )
    assert capsys.readouterr().err.startswith("error: --name")


@pytest.mark.slow
def test_the_document_of_the_repository_is_what_its_records_give_and_needs_no_torch():
    script = (
        "import sys; from distillery.__main__ import main; code = main(['reproduction', 'render', "
        "'--check']); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_document_is_that_of_the_checkout_it_is_run_in(study, tmp_path, monkeypatch, capsys):
    full(study)
    (tmp_path / "checkout/docs/deeper").mkdir(parents=True)
    page = tmp_path / "checkout/docs/reproduction.md"
    page.write_text("")
    monkeypatch.chdir(tmp_path / "checkout/docs/deeper")
    add = ["reproduction", "add", str(study.folder), "--name", "mine", "--command", COMMAND]
    assert __main__.main(add) == 0
    assert "91.45" in page.read_text(encoding="utf-8")
    assert list(records.load(tmp_path / "checkout/docs")) == ["mine"]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["render", "add"])
def test_outside_a_checkout_a_line_asks_for_the_folder_and_nothing_is_written(
    study, tmp_path, monkeypatch, capsys, action
):
    """An installed copy must not write beside itself."""
    full(study)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = sorted((ROOT / "docs").rglob("*"))
    more = [str(study.folder), "--name", "mine", "--command", COMMAND] if action == "add" else []
    assert __main__.main(["reproduction", action, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: reproduction: ") and error.count("\n") == 1
    assert "--docs" in error and "elsewhere" in error
    assert not list((tmp_path / "elsewhere").iterdir())
    assert sorted((ROOT / "docs").rglob("*")) == before
