"""What a study takes, job by job."""

import csv
import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from distillery.compute import processor
from distillery.compute.device import can_compile
from distillery.errors import UserError
from distillery.estimate import kept as keeping
from distillery.estimate.kept import Taken
from distillery.estimate.rates import Counted, Rates, measure, of_gpu
from distillery.estimate.sizes import FORWARD, GRADIENT
from distillery.estimate.work import Work, Works
from distillery.networks import NetworkSpec
from distillery.store.costs import read_cost
from distillery.store.layout import COST, filled, standing
from distillery.study.jobs import Job, Jobs
from distillery.study.params import RULES, Params

_STAGES = (
    *("synthetic", "experts", "evaluate", "robust", "privacy", "vanilla", "search"),
    *("continual", "step_sets", "step_experts"),
)


@dataclass(frozen=True)
class Estimate:
    """What one job takes.

    Attributes:
        job: the job.
        taken: seconds, memory and disk.
        flops: floating-point operations of its passes, a gradient counted as three forward passes
            and one of second order as nine; ``None``: unknown.
        why: what the time comes from: ``measured``, ``past``, or what is missing.
    """

    job: Job
    taken: Taken
    flops: float | None
    why: str


@dataclass
class _Past:
    """What finished jobs of this machine took, of what was estimated for them.

    Attributes:
        shares: measured by estimated seconds, by kind of job.
    """

    shares: dict[tuple[str, ...], list[float]] = field(
        default_factory=dict[tuple[str, ...], list[float]]
    )

    def share(self, kind: tuple[str, ...]) -> float | None:
        """Return the usual share of a kind; ``None`` where none was finished."""
        known = self.shares.get(kind)
        return statistics.median(known) if known else None


class Estimates:
    """The estimates of a study's jobs.

    Args:
        jobs: of the study.
        rates: of the device.
        compiles: whether jobs may compile.
    """

    def __init__(self, jobs: Jobs, rates: Rates, compiles: bool) -> None:
        self._jobs, self._rates, self._compiles = jobs, rates, compiles
        self._works = Works(jobs.study)
        self._counted: dict[tuple[NetworkSpec, str], Counted] = {}

    def all(self) -> list[Estimate]:
        """Estimate every job."""
        past = self._past() if self._rates.device == "cpu" else _Past()
        return [self._one(job, past) for job in keeping.all_jobs(self._jobs)]

    def _one(self, job: Job, past: _Past) -> Estimate:
        asked = self._jobs.params(job.rule, dict(job.wildcards))
        work = self._works.of(job.rule, asked)
        seconds = self._seconds(work)
        why = "measured" if seconds is not None else "unknown: its method says no expected_work"
        share = past.share(_kind(job.rule, asked))
        if seconds is not None and share is not None:
            seconds, why = self._rates.start + share * (seconds - self._rates.start), "past"
        taken = Taken(seconds, work.memory(self._count), work.disk)
        return Estimate(job, taken, self._flops(work), why)

    def _count(self, network: NetworkSpec) -> Counted:
        # Equal specs of other options have one hash.
        key = (network, json.dumps(network.options, sort_keys=True))
        if key not in self._counted:
            self._counted[key] = Counted.of(network)
        return self._counted[key]

    def _seconds(self, work: Work) -> float | None:
        """Return the wall time of a job, with its start; ``None`` where it is unknown."""
        if work.parts is None:
            return None
        return (
            self._rates.start
            + work.fixed
            + sum(
                self._rates.seconds(parts, self._count(network), self._compiles)
                for network, parts in work.passes
            )
        )

    def _flops(self, work: Work) -> float | None:
        if work.parts is None:
            return None
        passes = {FORWARD: 1, GRADIENT: 3}
        return sum(
            passes.get(part.kind, 9) * part.calls * part.images * self._count(network).flops
            for network, parts in work.passes
            for part in parts
        )

    # ---- finished jobs ---------------------------------------------------------------------------

    def _past(self) -> _Past:
        """Compare what finished jobs in the results folder took, on this processor with as many
        threads, with what is estimated for them."""
        past, results = _Past(), self._jobs.layout.results
        threads = self._jobs.study.config["compute"]["threads"]
        for path in (path for stage in _STAGES for path in standing(results, stage, COST)):
            try:
                record = read_cost(path)
                rule, asked = _of_record(record)
                same = record["device_name"] == processor.name() and record["threads"] == threads
                seconds = self._seconds(self._works.of(rule, asked)) if same else None
                took = self._took(rule, asked, record)
            except (UserError, KeyError, TypeError, ValueError, OSError):
                continue  # of another version, or of what the study has no more
            if seconds is not None and seconds > self._rates.start:
                share = max(0.0, took - self._rates.start) / (seconds - self._rates.start)
                past.shares.setdefault(_kind(rule, asked), []).append(share)
        return past

    def _took(self, rule: str, asked: Params, record: Mapping[str, Any]) -> float:
        """Return the wall time of a finished job: Snakemake's, or what its record says."""
        try:
            path = filled(self._jobs.layout.benchmark(rule), asked.job)
            with open(path, encoding="utf-8", newline="") as file:
                return float(next(csv.DictReader(file, delimiter="\t"))["s"])
        except (OSError, StopIteration, KeyError, ValueError):
            return self._rates.start + record["seconds"]


def _of_record(record: Mapping[str, Any]) -> tuple[str, Params]:
    """Return the rule of a finished job, and what it was asked."""
    model: Any = RULES[record["rule"]]
    return record["rule"], model(**record["asked"], **dict.fromkeys(model.places, ""))


def _kind(rule: str, asked: Any) -> tuple[str, ...]:
    """Return what jobs have in common whose times are alike: the rule, the method's file, the
    network, and the dataset where nothing is learned."""
    if rule in keeping.LIGHT:
        return rule, asked.job.get("dataset", "")
    strategy = asked.job.get("strategy", "")
    return rule, getattr(asked, "module", ""), asked.network["name"], strategy


def of(
    jobs: Jobs,
    gpu: str | None,
    *,
    again: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> list[Estimate]:
    """Estimate every job of a study: on this machine, whose measurement is made where none of the
    last month is kept, and kept with the estimates; or on a named GPU.

    Args:
        jobs: of the study.
        gpu: its name, as ``rates.GPUS`` has it; ``None`` for this machine's processor.
        again: measure this machine whatever is kept.
        note: called with a line before the measurement.

    Raises:
        UserError: the GPU is not known.
    """
    compute = jobs.study.config["compute"]
    allowed = compute["compile"] != "off"
    if gpu is not None:
        return Estimates(jobs, of_gpu(gpu), allowed).all()
    kept = keeping.load(compute)
    if again or not kept.is_good:
        note("measuring this machine, about 10 seconds, which is kept for a month")
        kept = keeping.measured(measure(compute["threads"]).as_json())
    rates = Rates.from_json(kept.rates)
    found = Estimates(jobs, rates, allowed and can_compile("cpu")).all()
    for each in found:
        taken = each.taken
        kept.jobs[keeping.key(jobs, each.job)] = [taken.seconds, taken.memory, taken.disk]
    keeping.save(compute, kept)
    return found


def by_rule(found: list[Estimate]) -> Iterator[tuple[str, list[Estimate]]]:
    """Group estimates by their rule, in their order."""
    for rule in dict.fromkeys(each.job.rule for each in found):
        yield rule, [each for each in found if each.job.rule == rule]
