"""The command line: what it lists, what it loads, how it fails."""

import subprocess
import sys

import pytest

from distillery import __main__ as shell
from distillery import __version__, places
from distillery.errors import UserError

ROOT = places.ROOT


def test_each_command_is_a_module_and_each_module_a_command():
    modules = {path.stem for path in (places.LIBRARY / "commands").glob("[!_]*.py")}
    assert modules == set(shell.COMMANDS)


@pytest.mark.parametrize("name", shell.COMMANDS)
def test_help_says_what_a_command_does_and_shows_examples_that_begin_with_it(name, capsys):
    with pytest.raises(SystemExit) as end:
        shell.main([name, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and shell.COMMANDS[name][1:] in " ".join(text.split())
    examples = text.partition("examples:\n")[2].splitlines()
    assert examples and examples[0].startswith(f"  distillery {name}")
    assert max(map(len, text.splitlines())) <= 100 and text.isascii()


def test_the_help_of_all_lists_each_and_shows_the_shortest_way(capsys):
    with pytest.raises(SystemExit):
        shell.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {name}" in text for name in shell.COMMANDS)
    assert "distillery init study --images pictures\n  cd study\n  distillery run\n" in text


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in shell.COMMANDS),
        ["schema"],
        ["init", "new"],
        ["run", "none.yaml"],
    ],
    ids=" ".join,
)
@pytest.mark.slow
def test_what_needs_no_torch_loads_none(words, tmp_path):
    code = (
        "import sys; from distillery.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'snakemake', 'scipy', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "required: COMMAND"),
        (
            ["distill"],
            "unknown command 'distill'; did you mean 'distil'? known are init, estimate, run,",
        ),
        (["distil", "pictures"], "required: -o/--output"),
        (["distil", "pictures", "-o", "a.safetensors", "--ipc", "many"], "invalid int value"),
        (["distil", "x", "-o", "a.safetensors", "--size", "8by8"], "such as 64 or 28x56"),
        (["info"], "required: SET"),
        (["check", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_a_command_that_is_misused_ends_with_status_2(words, said, capsys):
    with pytest.raises(SystemExit) as end:
        shell.main(words)
    assert end.value.code == 2 and said in capsys.readouterr().err


def test_an_error_is_one_line_and_status_1(monkeypatch, capsys):
    from distillery.commands import schema

    def fail(given):
        raise UserError("something is\nwrong")

    monkeypatch.setattr(schema, "run", fail)
    assert shell.main(["schema"]) == 1
    assert capsys.readouterr() == ("", "error: something is wrong\n")


def test_the_version_is_reported(capsys):
    with pytest.raises(SystemExit):
        shell.main(["--version"])
    assert capsys.readouterr().out == f"{__version__}\n"
