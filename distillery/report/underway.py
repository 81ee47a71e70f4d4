"""A study that is not finished: what each of its jobs is doing, and the report of what is there.

Nothing is asked of Snakemake. A job's record says what it made, and its log, which it holds a lock
on while it runs, how far it came.
"""

import json
import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distillery import __version__
from distillery.errors import UserError
from distillery.report import asked as records
from distillery.report import page as report
from distillery.report.words import quantity
from distillery.store import metrics, outcome
from distillery.store.layout import (
    CONFUSION,
    COST,
    EVOLUTION,
    NEIGHBOURS,
    SET,
    Layout,
    filled,
    normalised,
)
from distillery.study.jobs import Job, Jobs, digest
from distillery.times import duration

DONE, FAILED, RUNNING, STOPPED, STALE, WAITING = (
    "done",
    "failed",
    "running",
    "stopped",
    "not what the study asks for",
    "waiting",
)
# A job writes to its log three times a minute while it computes; a compilation, or the test of a
# large network, may take minutes without a word.
SILENT = 600.0
STATES = (FAILED, STOPPED, STALE, RUNNING, WAITING)  # of missing jobs, in the order of the page


@dataclass(frozen=True)
class State:
    """What a job is doing.

    Attributes:
        job: which.
        state: ``DONE``, or one of ``STATES``.
        why: for a reader: the error, since when, or what is waited for.
        log: the job's log.
    """

    job: Job
    state: str
    why: str
    log: str

    @property
    def what(self) -> str:
        """Return the job in words."""
        phrases = {"ipc": "ipc {}", "seed": "seed {}", "shard": "shard {}"}
        parts = [phrases.get(name, "{}").format(value) for name, value in self.job.wildcards]
        return f"{self.job.rule}: {', '.join(parts)}"


def read_study(results: str | os.PathLike[str]) -> Jobs:
    """Return the jobs of the study that Snakemake last read for a results folder. Changes the
    working directory to that of the study.

    Raises:
        UserError: there is no such folder, no study was read for it, or it was moved without the
            folder that it belongs to.
    """
    path = Path(Layout(str(results)).study)
    if not Path(results).is_dir():
        raise UserError(
            f"{results}: is no folder; give the results folder of a study, such as "
            "results/quickstart"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        directory, config = record["directory"], record["config"]
    except FileNotFoundError:
        raise UserError(
            f"{path}: is missing; it appears when snakemake reads the study, so run that once"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: is not what a study leaves ({error!r}); run snakemake once, which re-creates "
            "it"
        ) from error
    there = (Path(results) / directory).resolve()
    results = Path(results).resolve()
    if not there.is_dir():
        raise UserError(
            f"{there}: is missing, from which the study's paths start; run snakemake once where "
            "the results are now"
        )
    os.chdir(there)
    return records.jobs_of({**config, "results": normalised(str(results))})


def states(jobs: Jobs) -> list[State]:
    """Return what every job of a study is doing, those that others wait for first."""
    seen = records.Records(jobs)
    makers: dict[str, Job] = {job.record: job for job in jobs.all}
    makers |= {
        str(Path(job.record).parent): job for job in jobs.all if Path(job.record).name == COST
    }
    state_of: dict[Job, State] = {}

    def state(job: Job) -> State:
        if job not in state_of:
            wildcards = dict(job.wildcards)
            log = filled(jobs.layout.log(job.rule), wildcards)
            inputs = [path for paths in jobs.inputs(job.rule, wildcards).values() for path in paths]
            needed = [makers.get(path) or makers.get(str(Path(path).parent)) for path in inputs]
            missing = next(
                (other for other in (state(one) for one in needed if one) if other.state != DONE),
                None,
            )
            state_of[job] = State(job, *_state(seen, job, log, missing), log)
        return state_of[job]

    return [state(job) for job in jobs.all]


def _state(seen: records.Records, job: Job, log: str, missing: State | None) -> tuple[str, str]:
    record = outcome.read_log(log)
    if not record.finished and (record.held or _writes_elsewhere(record)):
        where = f" on {record.host}" if record.elsewhere else ""
        return RUNNING, f"since {record.began}{where}" + f"; {record.progress}" * bool(
            record.progress
        )
    if seen.made(job):
        try:
            different = seen.differences(job)
        except UserError as error:
            return STALE, str(error)
        # What is not there has no digest, which would say nothing.
        telling = [one for one in different if not (missing and one.key.startswith("inputs."))]
        if telling:
            return STALE, str(telling[0])
        if missing:
            return STALE, f"it was made from what {_now(missing)}: {missing.what}"
        return DONE, ""
    if missing:
        return WAITING, f"for {missing.what}, which {_now(missing)}"
    if record.began and not record.finished:
        if record.asked and record.asked != _asked(seen.jobs, job):
            return (
                WAITING,
                "for the next run: the study has changed since it "
                f"{'failed' if record.failed else 'began'}",
            )
        if record.failed:
            return FAILED, record.failed
        return STOPPED, f"it began {record.began}, its log has no end, and {_silence(record)}"
    return WAITING, "for its turn"


def _now(missing: State) -> str:
    """Return the state of a job that others need, within their sentence."""
    return f"{'is ' * (missing.state != FAILED)}{missing.state}"


def _writes_elsewhere(record: outcome.Log) -> bool:
    """Return whether a job of another machine, whose lock need not be seen here, has written to its
    log of late."""
    return record.elsewhere and not record.failed and record.silent < SILENT


def _silence(record: outcome.Log) -> str:
    if record.elsewhere:
        return f"{record.host} has not written to it for {duration(record.silent)}"
    return "no process on this machine holds it"


def _asked(jobs: Jobs, job: Job) -> str:
    """Return the digest with which the log of a job begins if it runs now."""
    wildcards = dict(job.wildcards)
    return digest(jobs.asked(job.rule, wildcards))


def missing_jobs(jobs: Jobs, known: list[State]) -> dict[str, Any] | None:
    """Return what a page says of the jobs that are missing from it; ``None`` where none is."""
    missing = [state for state in known if state.state != DONE]
    if not missing:
        return None
    cells = {state.job.cell for state in missing if state.job.cell} & set(jobs.study.cells)
    groups = [
        {"state": name, "jobs": [state for state in missing if state.state == name]}
        for name in STATES
    ]
    return {
        "sets": len(cells),
        "of": len(jobs.study.cells),
        "jobs": len(missing),
        "of_jobs": len(known),
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        "groups": [group for group in groups if group["jobs"]],
    }


def build(
    jobs: Jobs, output: str | os.PathLike[str], known: list[State] | None = None
) -> list[State]:
    """Write the report of what is finished and is what the study asks for; the page names every job
    that is missing, and why.

    Args:
        jobs: of the study.
        output: the HTML file, written atomically.
        known: as :func:`states` gives it.

    Returns:
        The states.

    Raises:
        UserError: nothing is measured yet that could be shown, or an artefact is damaged.
    """
    known = states(jobs) if known is None else known
    done = {state.job for state in known if state.state == DONE}
    finished = [
        f"{filled(jobs.layout.synthetic, job.cell.__dict__)}/"
        for job in jobs.all
        if job in done and job.rule in ("distill", "import_synthetic")
    ]
    with_evolution = [folder for folder in finished if Path(folder + EVOLUTION).exists()]
    with tempfile.TemporaryDirectory() as workspace:
        summary = Path(workspace) / "summary.csv"
        measured = [job.metrics for job in jobs.measuring if job in done]
        metrics.collect([path for path in measured if path is not None], summary)
        report.build(
            metrics=summary,
            costs=[job.record for job in jobs.costing if job in done],
            sets=[folder + SET for folder in finished],
            evolutions=[folder + EVOLUTION for folder in with_evolution],
            neighbours=[
                f"{Path(job.record).parent}/{NEIGHBOURS}"
                for job in jobs.all
                if job in done and job.rule == "evaluate_privacy"
            ],
            confusions=[
                f"{Path(job.record).parent}/{CONFUSION}"
                for job in jobs.all
                if job in done and job.rule == "evaluate_synthetic"
            ],
            data=[
                filled(jobs.layout.data, dict(job.wildcards))
                for job in jobs.all
                if job in done and job.rule in ("download", "prepare")
            ],
            config=jobs.study.config,
            output=output,
            provenance={"distillery": __version__},
            missing=missing_jobs(jobs, known),
        )
    return known


def lines(jobs: Jobs, known: list[State], page: str) -> list[str]:
    """Return what the command says: the jobs that are missing, those that wait counted, and where
    the page is."""
    about = missing_jobs(jobs, known)
    if about is None:
        return [f"all {len(known)} jobs are done", page]
    texts = [
        f"{state.state}: {state.what}: {state.why}"
        for group in about["groups"]
        if group["state"] != WAITING
        for state in group["jobs"]
    ]
    waiting = sum(state.state == WAITING for state in known)
    texts += [f"waiting: {quantity(waiting, 'job')}"] if waiting else []
    return [
        *texts,
        f"{about['jobs']} of {about['of_jobs']} jobs and {about['sets']} of {about['of']} sets "
        "are missing from",
        page,
    ]


def status(results: str | os.PathLike[str]) -> dict[str, Any]:
    """Say where a study stands, as JSON has it: its title, how many jobs and sets there are and are
    done, and every job that is not, with its rule, wildcards, state, log and why.

    Raises:
        UserError: as :func:`read_study`.
    """
    jobs = read_study(results)
    known = states(jobs)
    about = missing_jobs(jobs, known)
    missing = [state for group in (about or {"groups": []})["groups"] for state in group["jobs"]]
    return {
        "study": jobs.study.config["study"],
        "results": str(Path(jobs.layout.results).resolve()),
        "jobs": len(known),
        "jobs_done": len(known) - len(missing),
        "sets": len(jobs.study.cells),
        "sets_done": len(jobs.study.cells) - (about["sets"] if about else 0),
        "missing": [
            {
                "what": state.what,
                "rule": state.job.rule,
                "wildcards": dict(state.job.wildcards),
                "state": state.state,
                "why": state.why,
                "log": state.log,
            }
            for state in missing
        ],
    }


def status_lines(about: dict[str, Any], every: bool = False) -> list[str]:
    """Return :func:`status` for a reader, line by line: those that wait are counted by rule unless
    ``every`` one is asked for."""
    lines = [
        f"{about['study']}: {about['jobs_done']} of {about['jobs']} jobs and "
        f"{about['sets_done']} of {about['sets']} sets are done ({about['results']})"
    ]
    for name in STATES:
        here = [job for job in about["missing"] if job["state"] == name]
        if not here:
            continue
        if name == WAITING and not every:
            counts = Counter(job["rule"] for job in here)
            rules = ", ".join(f"{number} {rule}" for rule, number in counts.items())
            lines.append(f"{name}: {quantity(len(here), 'job')}: {rules}")
            continue
        lines.append(f"{name}: {quantity(len(here), 'job')}")
        for job in here:
            lines.append(f"  {job['what']}: {job['why']}")
            if name in (FAILED, STOPPED):
                lines.append(f"    log: {job['log']}")
    return lines


def show(results: str, output: str | None = None) -> list[str]:
    """Write the page of a results folder and say what is missing from it, line by line.

    Raises:
        UserError: as :func:`read_study` and :func:`build`.
    """
    place = (
        Path(output).resolve() if output else Path(results).resolve() / Path(Layout("").so_far).name
    )
    jobs = read_study(results)
    return lines(jobs, build(jobs, place), str(place))
