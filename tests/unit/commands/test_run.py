"""`distillery run`: which study, and what Snakemake is given."""

import os
import sys

import pytest

from distillery import __main__ as shell
from distillery import places
from distillery.commands import run


class ReplacedError(Exception):
    """Raised in the place of a process that would be replaced."""


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Runs the command in a folder; returns what Snakemake would be given, where, and its
    environment."""
    (tmp_path / "config.yaml").write_text("study: Here\n", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/config.yaml").write_text("study: There\n", encoding="utf-8")
    (tmp_path / "repository/config").mkdir(parents=True)
    (tmp_path / "repository/config/config.yaml").write_text("study: It\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "gpus", lambda: 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)

    def replace(program, command, environment):
        given = (command, os.path.relpath(os.getcwd(), tmp_path), environment)
        raise ReplacedError(given)

    monkeypatch.setattr(os, "execve", replace)

    def ran(*words):
        with pytest.raises(ReplacedError) as caught:
            shell.main(["run", *words])
        command, folder, environment = caught.value.args[0]
        assert command[:3] == [sys.executable, "-m", "snakemake"]
        assert environment["PYTHONSAFEPATH"] == "1"
        return folder, command[3:]

    return ran


MACHINE = ["--cores", "6", "--resources", "gpu=3"]
SNAKEFILE = ["--snakefile", str(places.snakefile())]


@pytest.mark.parametrize(
    ("words", "folder", "config", "rest"),
    [
        ([], ".", "config.yaml", []),
        (["-n"], ".", "config.yaml", ["-n"]),
        (["inner"], "inner", "config.yaml", []),
        (["inner", "-n", "results/summary.csv"], "inner", "config.yaml", None),
        (["repository"], "repository", "config/config.yaml", []),
        (["inner/config.yaml", "--keep-going"], ".", "inner/config.yaml", ["--keep-going"]),
        (["results/report.html"], ".", "config.yaml", ["results/report.html"]),
    ],
)
def test_the_study_is_distinguished_from_what_is_snakemake_s(ran, words, folder, config, rest):
    rest = words[1:] if rest is None else rest
    assert ran(*words) == (folder, ["--configfile", config, *MACHINE, *SNAKEFILE, *rest])


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--cores", "2", "--resources", "gpu=1", "--keep-going"]])
def test_snakemake_takes_a_file_of_the_study_for_a_target(ran, more):
    from snakemake.cli import get_argument_parser

    _, command = ran("inner", "results/summary.csv", "results/report.html", *more)
    given = get_argument_parser(profiles=[]).parse_args(command)
    assert list(given.targets) == ["results/summary.csv", "results/report.html"]
    assert [str(path) for path in given.configfile] == ["config.yaml"]


def test_a_config_that_is_given_to_snakemake_stands_alone(ran):
    words = ["--configfile", "a.yaml", "b.yaml"]
    assert ran(*words) == (".", [*MACHINE, *SNAKEFILE, *words])


@pytest.mark.parametrize(
    ("words", "machine"),
    [
        (["--cores", "2"], MACHINE[2:]),
        (["--cores=2"], MACHINE[2:]),
        (["-c4"], MACHINE[2:]),
        (["-j", "4"], MACHINE[2:]),
        (["--resources", "gpu=1"], MACHINE[:2]),
        (["--executor", "slurm", "--jobs", "9"], []),
        (["--profile", "mine"], []),
    ],
)
def test_what_is_said_of_the_machine_is_left_to_snakemake(ran, words, machine):
    assert ran(*words) == (
        ".",
        ["--configfile", "config.yaml", *machine, *SNAKEFILE, *words],
    )


def test_gpus_are_counted_without_torch(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert run.gpus() == 2
    for none in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
        assert run.gpus() == 0
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.gpus() == 0
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: B (UUID: y)'\n")
    program.chmod(0o755)
    assert run.gpus() == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "run: {here} has no config.yaml"),
        (["none.yaml"], "run: none.yaml: there is no such config file"),
    ],
)
def test_a_study_that_is_not_there_is_said_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert shell.main(["run", *words]) == 1
    assert said.format(here=tmp_path) in capsys.readouterr().err


def test_without_snakemake_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").write_text("study: Here\n", encoding="utf-8")
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    assert shell.main(["run", str(tmp_path)]) == 1
    assert "pip install 'dataset-distillery[workflow]'" in capsys.readouterr().err
