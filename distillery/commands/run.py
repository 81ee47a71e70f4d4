"""Run a study by Snakemake, with the workflow that Distillery brings."""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from distillery import places
from distillery.errors import UserError

EXAMPLES = """\
  distillery run                        the study in this folder
  distillery run my-study               the study in a folder
  distillery run config.yaml -n         what would run, of a config file
  distillery run my-study --cores 4 --keep-going
  distillery run . results/summary.csv  one file of the study

All else is Snakemake's: targets, and the options that `snakemake --help` lists. It may use all
cores of this machine, and has one computing job at a time on each GPU, or on each two cores where
there is none, unless `--cores` and `--resources gpu=N` say otherwise.
"""
CONFIGS = ("config.yaml", "config/config.yaml")
# Options of Snakemake that say how much of the machine it may have.
_CORES = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile", "--unlock")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments, as help shows them."""
    parser.add_argument(
        "study",
        metavar="STUDY",
        nargs="?",
        help="the folder of a study, or a config file (default: this folder)",
    )
    parser.add_argument(
        "rest", metavar="SNAKEMAKE", nargs=argparse.REMAINDER, help="what Snakemake is given"
    )


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the study, which may be left out, from what Snakemake is given."""
    first = words[0] if words else ""
    names_study = first and not first.startswith("-")
    if names_study and (Path(first).is_dir() or first.endswith((".yaml", ".yml", ".json"))):
        return first, list(words[1:])
    return None, list(words)


def run(given: argparse.Namespace) -> int:
    """Run Snakemake in the study's folder; returns its exit status."""
    study, rest = split(given.words)
    folder, config = _study(study, rest)
    if importlib.util.find_spec("snakemake") is None:
        raise UserError(
            "run: needs Snakemake, which is not installed: pip install "
            "'dataset-distillery[workflow]'"
        )
    command = [
        *(sys.executable, "-m", "snakemake"),
        *(("--configfile", config) if config else ()),
        *_machine(rest),
        # Last, for it takes one value: configs and resources would take a target that follows.
        *("--snakefile", str(places.snakefile())),
        *rest,
    ]
    # A folder `distillery` beside the config is no library.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    os.chdir(folder)
    if os.name == "posix":
        # In its place, so that a signal reaches it and no other.
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)
    return subprocess.run(command, env=environment, check=False).returncode


def _study(study: str | None, rest: Sequence[str]) -> tuple[Path, str | None]:
    """Return the folder to run in, and the config, unless what Snakemake is given names one.

    Raises:
        UserError: there is no config.
    """
    if study is not None and not Path(study).is_dir():
        if not Path(study).is_file():
            raise UserError(f"run: {study}: there is no such config file")
        return Path(), study
    folder = Path(study or ".")
    if any(word.split("=")[0] == "--configfile" for word in rest):
        return folder, None
    for name in CONFIGS:
        if (folder / name).is_file():
            return folder, name
    there = rest[0] if study is None and rest and not rest[0].startswith("-") else ""
    raise UserError(
        f"run: {folder.resolve()} has no config.yaml{f', nor a folder {there}' if there else ''}; "
        "`distillery init FOLDER` makes a study"
    )


def _machine(rest: Sequence[str]) -> list[str]:
    """Return how much of this machine Snakemake may have, where it is not given."""
    words = [word.split("=")[0] for word in rest]
    options: list[str] = []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    if not any(word in _CORES or (word[:2] in ("-c", "-j") and word[2:]) for word in words):
        options += ["--cores", str(cores)]
    if not {"--resources", "--res", "--executor", "-e", "--profile"} & set(words):
        # Without a GPU a computing job has two threads unless the config says otherwise.
        options += ["--resources", f"gpu={gpus() or max(1, cores // 2)}"]
    return options


def gpus() -> int:
    """Count the NVIDIA GPUs that jobs may use, without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return len([line for line in listed.stdout.splitlines() if line.startswith("GPU ")])
