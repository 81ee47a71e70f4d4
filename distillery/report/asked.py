"""What each artefact says it was made from, compared with what the study asks of its job now.

A job leaves a record: under ``asked`` the params and wildcards that it was given, under ``inputs``
the content digests of the files that it read, and under ``outputs`` those of what it made. It
stands in the job's ``cost.json``; a job without one has it in the header of its artefact. Snakemake
compares params as well, but what it knows is in ``.snakemake``, which may be lost, or left behind.
"""

import functools
import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery.errors import UserError
from distillery.store import artefact, costs
from distillery.store.files import write_text
from distillery.store.layout import COST, Layout
from distillery.study import load
from distillery.study.jobs import Job, Jobs

DESCRIBED, NAMED = 5, 20  # how many differences a message tells, and how many files it names


def jobs_of(config: Mapping[str, Any]) -> Jobs:
    """Return the jobs of a resolved config.

    Raises:
        UserError: the config cannot be run.
    """
    study = load.study(config)
    return Jobs(study, Layout(study.config["results"]))


@dataclass(frozen=True)
class Difference:
    """One point in which an artefact is not what the study asks for.

    Attributes:
        path: the artefact, or the folder of a job that makes several.
        key: which point, such as ``settings.iterations``.
        has, asks: what was made, and what the study asks for now.
    """

    path: str
    key: str
    has: Any
    asks: Any

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.key}: has {_short(self.has)}, the study asks {_short(self.asks)}"
        )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _flat(value[key], f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def compared(path: str, has: Any, asks: Any, where: str = "") -> Iterator[Difference]:
    """Return where two nested dictionaries of JSON types differ, key by key."""
    ours, theirs = dict(_flat(has, where)), dict(_flat(asks, where))
    for key in sorted(ours.keys() | theirs.keys()):
        pair = ours.get(key, "nothing"), theirs.get(key, "nothing")
        if (key in ours) != (key in theirs) or pair[0] != pair[1]:
            yield Difference(path, key, *pair)


class Records:
    """The records of a study's jobs, each file read once."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.content: Callable[[str], str | None] = functools.cache(_content)

    def made(self, job: Job) -> bool:
        """Return whether the job has left its record."""
        return os.path.exists(job.record)

    def differences(self, job: Job) -> list[Difference]:
        """List in what a finished job differs from what the study asks for; empty where it does
        not.

        Raises:
            UserError: its record is missing or damaged.
        """
        wildcards, in_cost_file = dict(job.wildcards), Path(job.record).name == COST
        if job.rule == "download":
            # Its digests are published ones; where the same pixels came from, and by which code, is
            # no part of what they are.
            spec = artefact.header(job.record, rule=job.rule).get("spec") or {}
            dataset = self.jobs.study.datasets[wildcards["dataset"]]
            asked = json.loads(json.dumps(dataset.spec))
            return list(compared(job.record, spec, asked, "spec"))
        place = str(Path(job.record).parent) if in_cost_file else job.record
        record = (
            costs.read_cost(job.record)
            if in_cost_file
            else artefact.header(job.record, rule=job.rule)
        )
        if not {"asked", "inputs"} <= record.keys():
            return [
                Difference(
                    place,
                    "its record",
                    "nothing: it is of an earlier version",
                    "what it was made from",
                )
            ]
        differences = list(
            compared(
                place,
                record["asked"],
                self.jobs.asked(job.rule, wildcards),
            )
        )
        inputs = self.jobs.inputs(job.rule, wildcards)
        read = {name: digests for name, digests in record["inputs"].items() if digests}
        wanted = {
            name: [self.content(path) for path in paths] for name, paths in inputs.items() if paths
        }
        differences += compared(place, read, wanted, "inputs")
        for name, digest in sorted(record.get("outputs", {}).items()):
            path = f"{place}/{name}"
            if self.content(path) != digest:
                there = (self.content(path) or "nothing")[:12]
                differences.append(
                    Difference(path, "its content", there, f"{digest[:12]}, of which {COST} speaks")
                )
        return differences


def _content(path: str) -> str | None:
    """Do as ``artefact.content``; ``None`` where there is no such file."""
    return artefact.content(path) if os.path.exists(path) else None


def check(jobs: Jobs) -> None:
    """Compare every artefact of a study with what the study asks of its job now.

    Raises:
        UserError: one is something else. It names artefacts, keys, both values, and what re-creates
            them; the files to re-create stand in the results folder's ``stale.txt``.
    """
    records = Records(jobs)
    stale = [(job, differences) for job in jobs.all if (differences := records.differences(job))]
    listed = Path(jobs.layout.stale)
    if not stale:
        listed.unlink(missing_ok=True)
        return
    files = [job.record for job, _ in stale]
    write_text(listed, "".join(f"{path}\n" for path in files))
    descriptions = [
        str(differences[0])
        + (f" (and {len(differences) - 1} more)" if len(differences) > 1 else "")
        for _, differences in stale
    ]
    more = (
        f"; and {len(descriptions) - DESCRIBED} more artefacts, all in {listed}"
        if len(descriptions) > DESCRIBED
        else ""
    )
    # As a shell takes them, wherever the command is given: the list has no quotes within it.
    quoted = [shlex.quote(path) for path in files]
    short = len(files) <= NAMED or quoted != files
    names = " ".join(quoted) if short else f"$(cat {shlex.quote(os.path.abspath(listed))})"
    raise UserError(
        f"{len(stale)} of {len(jobs.all)} artefacts are not what the study asks for, and are "
        "neither summed up nor shown: "
        f"{'; '.join(descriptions[:DESCRIBED])}{more}. Re-create them: run the "
        f"same snakemake command with `--forcerun {names}` at its end"
    )
