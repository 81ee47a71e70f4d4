"""What was measured of this machine and estimated for it, in the user's cache folder. Imports no
torch, for a run reads it at its start.

One file for each machine: processor, threads and precision.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distillery.compute import processor
from distillery.store.files import write_text
from distillery.study.jobs import Job, Jobs

# A month.
GOOD_FOR_SECONDS = 30 * 86400.0
# Above this without a GPU a study is said to be long, with the configs that are not.
LONG_SECONDS = 7200.0
SMALLER = "config/quickstart.yaml (6 minutes on two cores) and config/mnist-cpu.yaml (45 minutes)"
# Rules whose jobs take a processor core, whatever the study says; all others claim a device.
LIGHT = ("download", "prepare", "whiten", "import_synthetic", "collect", "report")
ENDING = ("collect", "report")


@dataclass(frozen=True)
class Taken:
    """What one job takes.

    Attributes:
        seconds: of wall time, with its start; ``None``: unknown.
        memory: bytes at its peak.
        disk: bytes of what it leaves.
    """

    seconds: float | None
    memory: float
    disk: float


@dataclass
class Kept:
    """What is kept of a machine.

    Attributes:
        rates: what was measured of it; nothing where nothing was.
        measured: when, in seconds since 1970.
        jobs: what was estimated, by :func:`key`.
    """

    rates: dict[str, Any] = field(default_factory=dict[str, Any])
    measured: float = 0.0
    jobs: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    @property
    def is_good(self) -> bool:
        """Return whether the measurement is there and less than a month old."""
        return bool(self.rates) and 0 <= time.time() - self.measured < GOOD_FOR_SECONDS


def machine(compute: Mapping[str, Any]) -> str:
    """Say what a measurement is of: the processor, the threads and the precision of a study."""
    return f"{processor.name()}, {compute['threads']} threads, {compute['precision']}"


def _path(compute: Mapping[str, Any]) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(machine(compute).encode()).hexdigest()[:12]
    return home / "distillery" / "estimates" / f"{name}.json"


def load(compute: Mapping[str, Any]) -> Kept:
    """Read what is kept of this machine; nothing where there is none, or it cannot be read."""
    try:
        held = json.loads(_path(compute).read_text(encoding="utf-8"))
        return Kept(dict(held["rates"]), float(held["measured"]), dict(held["jobs"]))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # no home, as in a container
        return Kept()


def save(compute: Mapping[str, Any], kept: Kept) -> None:
    """Keep it, where the cache folder can be written to."""
    with contextlib.suppress(OSError, RuntimeError):
        path = _path(compute)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(vars(kept)) + "\n")


def key(jobs: Jobs, job: Job) -> str:
    """Return what an estimate is kept under: what the job is asked, but for its code, whose edits
    seldom change what it takes."""
    if job.rule in ENDING:
        return job.rule  # they are asked for the whole config
    asked = jobs.params(job.rule, dict(job.wildcards)).content()
    asked = {name: value for name, value in asked.items() if name != "code"}
    text = json.dumps([job.rule, asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def all_jobs(jobs: Jobs) -> list[Job]:
    """Return every job of a study, with the two that end it."""
    layout = jobs.layout
    return [*jobs.all, Job("collect", (), layout.costs), Job("report", (), layout.report)]


def side_by_side(cores: int, threads: int, gpu: float | None) -> int:
    """Return how many computing jobs run at a time.

    Args:
        cores: that Snakemake may use.
        threads: of a computing job; one that asks for more cores than there are gets those.
        gpu: the resource ``gpu``; ``None`` where it is not limited.
    """
    most = max(1, cores // max(1, min(threads, cores)))
    return most if gpu is None else max(1, min(most, int(gpu)))


def wall(taken: Iterable[tuple[str, Taken]], slots: int) -> float:
    """Estimate the wall time of jobs, in seconds: one after the other on so many slots, and not
    less than the longest; what is unknown counts nothing."""
    computing = [each.seconds or 0.0 for rule, each in taken if rule not in LIGHT]
    light = [each.seconds or 0.0 for rule, each in taken if rule in LIGHT]
    return max([sum(computing) / slots, *computing]) + sum(light)


def minutes(seconds: float) -> str:
    """Say a time in round words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 36000 else f"{round(seconds / 3600)} hours"


def size(count: float) -> str:
    """Say bytes in round words."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if count >= one:
            value = count / one
            return f"{value:.1f} {unit}" if value < 10 and unit == "GB" else f"{value:.0f} {unit}"
    return f"{count / 1e3:.0f} kB"


def total(taken: Sequence[tuple[str, Taken]], slots: int) -> str:
    """Say what jobs take together: ``60 jobs, about 6 minutes, 1.2 GB memory, 40 MB disk``."""
    unknown = sum(each.seconds is None for _, each in taken)
    memory = max((each.memory for _, each in taken), default=0.0)
    disk = sum(each.disk for _, each in taken)
    beside = f" and {unknown} of unknown length" if unknown else ""
    return (
        f"{len(taken)} jobs, about {minutes(wall(taken, slots))}{beside}, "
        f"{size(memory)} memory, {size(disk)} disk"
    )


def beginning(jobs: Jobs, resources: Mapping[str, Any], config: str) -> str:
    """Return what is printed at the start of a run, whose end it must never be: :func:`line` and a
    line break, or nothing.

    Args:
        jobs: of the study.
        resources: of the run, as Snakemake has them.
        config: of the study, as a user names it.
    """
    try:
        given = {name: getattr(held, "value", held) for name, held in resources.items()}
        cores = int(given.get("_cores") or given.get("_nodes") or 1)
        return f"{line(jobs, cores, given.get('gpu'), config)}\n"
    except Exception:
        return ""


def line(jobs: Jobs, cores: int, gpu: float | None, config: str) -> str:
    """Say at the start of a run what the study takes, from what is kept alone.

    Args:
        jobs: of the study.
        cores: that Snakemake may use.
        gpu: the resource ``gpu``; ``None`` where it is not limited.
        config: of the study, as a user names it.
    """
    compute = jobs.study.config["compute"]
    kept, asked = load(compute), all_jobs(jobs)
    left = [job for job in asked if not Path(job.record).exists()]
    text = f"{len(asked)} jobs"
    if len(left) < len(asked):
        text += f", {len(asked) - len(left)} of them with results"
    if not left:
        return text
    held = {job: kept.jobs.get(key(jobs, job)) for job in left} if kept.is_good else {}
    taken = [(job.rule, Taken(*each)) for job, each in held.items() if each is not None]
    command = f"`distillery estimate {config}`"
    if not taken:
        return f"{text}; {command} says how long they take"
    slots = side_by_side(cores, compute["threads"], gpu)
    said = total(taken, slots)
    text = said if len(left) == len(asked) == len(taken) else f"{text}; to come: {said}"
    text += " (estimated for this processor)"
    if len(taken) < len(left):
        text += f"; not estimated yet: {len(left) - len(taken)}, by {command}"
    if is_long(taken, slots) and shutil.which("nvidia-smi") is None:
        text += f". No GPU was found: smaller studies are {SMALLER}"
    return text


def is_long(taken: Sequence[tuple[str, Taken]], slots: int) -> bool:
    """Return whether jobs take so long that smaller studies should be named."""
    return wall(taken, slots) > LONG_SECONDS


def measured(rates: dict[str, Any]) -> Kept:
    """Return a measurement of now, with no estimates yet."""
    return Kept(rates, time.time())
