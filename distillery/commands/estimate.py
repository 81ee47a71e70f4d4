"""Say what a study will cost: jobs, hours, memory and disk."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from distillery.commands.run import CONFIGS, gpus
from distillery.errors import UserError

if TYPE_CHECKING:
    from distillery.estimate.study import Estimate

EXAMPLES = """\
  distillery estimate config.yaml
  distillery estimate config.yaml --cores 16 --resources gpu=8
  distillery estimate config.yaml --gpu h100
  distillery estimate config.yaml --json

Times on this machine come from a measurement of about 10 seconds, which is kept for a month in the
user's cache folder, and from what finished jobs in the study's results folder took. Those on a
named GPU are worked out from its published peaks and what networks of this size usually reach of
them; they have not been checked against one. Within a factor of 1.5 of what a few studies took on
idle cores: docs/cost.md.
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments, as help shows them."""
    parser.add_argument(
        "config",
        metavar="CONFIG",
        nargs="*",
        help="the study; several are merged in their order (default: config.yaml of this folder)",
    )
    parser.add_argument("--gpu", metavar="NAME", help="on a GPU: h100, a100, rtx4090 ...")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="that Snakemake may use (default: all of these)"
    )
    parser.add_argument(
        "--resources",
        metavar="gpu=N",
        help="computing jobs at a time (default: one a GPU, or one each two cores)",
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure this machine again, now that it is idle"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, job by job")


def run(given: argparse.Namespace) -> None:
    """Print what the study takes, a line for each rule and one for all."""
    from distillery.estimate import kept, study
    from distillery.store.layout import Layout
    from distillery.study import load
    from distillery.study.jobs import Jobs

    config: dict[str, Any] = load.merged(given.config or [_here()])
    asked = load.study(config)
    jobs = Jobs(asked, Layout(asked.config["results"]))
    cores = given.cores or _cores()
    compute = asked.config["compute"]
    limit = _limit(given.resources)
    if limit is None:
        limit = 1 if given.gpu else gpus() or max(1, cores // 2)
    slots = kept.side_by_side(cores, compute["threads"], limit)
    found = study.of(
        jobs,
        given.gpu,
        again=given.measure,
        note=lambda text: print(text, file=sys.stderr),
    )
    if given.json:
        print(json.dumps(_as_json(found, slots), indent=1))
        return
    print("\n".join(_table(found)))
    taken = [(each.job.rule, each.taken) for each in found]
    where = f"a {given.gpu}" if given.gpu else f"{cores} cores of this machine"
    print(f"\n{kept.total(taken, slots)}: on {where}, computing jobs at a time: {slots}")
    past = sum(each.why == "past" for each in found)
    if past:
        print(
            f"{past} of these times are scaled by those of finished jobs in {jobs.layout.results}"
        )
    for method in sorted({_method(each) for each in found if each.taken.seconds is None}):
        print(f"{method}: of unknown length; it says no expected_work (docs/adding.md)")
    if not given.gpu and not gpus() and kept.is_long(taken, slots):
        print(f"no GPU was found; without one, smaller studies are {kept.SMALLER}")


def _here() -> str:
    """Return the config of this folder.

    Raises:
        UserError: there is none.
    """
    for name in CONFIGS:
        if os.path.isfile(name):
            return name
    raise UserError("estimate: this folder has no config.yaml; name a config")


def _method(estimate: "Estimate") -> str:
    cell = estimate.job.cell
    return estimate.job.rule if cell is None else cell.method


def _cores() -> int:
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return found or 1


def _limit(resources: str | None) -> int | None:
    """Read ``gpu=N``.

    Raises:
        UserError: it is something else.
    """
    if resources is None:
        return None
    name, _, number = resources.partition("=")
    if name != "gpu" or not number.isdigit() or not int(number):
        raise UserError(f"--resources: must be gpu=N, such as gpu=2, not {resources!r}")
    return int(number)


def _table(found: list["Estimate"]) -> list[str]:
    from distillery.estimate.kept import minutes, size
    from distillery.estimate.study import by_rule

    rows = [("rule", "jobs", "time of all", "longest", "memory", "disk", "operations")]
    for rule, each in by_rule(found):
        known = [one.taken.seconds for one in each if one.taken.seconds is not None]
        flops = sum(one.flops or 0.0 for one in each)
        rows.append(
            (
                rule,
                str(len(each)),
                minutes(sum(known)) if known else "unknown",
                minutes(max(known)) if known else "unknown",
                size(max(one.taken.memory for one in each)),
                size(sum(one.taken.disk for one in each)),
                f"{flops:.1e}" if flops else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _as_json(found: list["Estimate"], slots: int) -> dict[str, Any]:
    from distillery.estimate import kept

    taken = [(each.job.rule, each.taken) for each in found]
    return {
        "jobs": [
            {
                "rule": each.job.rule,
                **dict(each.job.wildcards),
                "seconds": each.taken.seconds,
                "memory_bytes": each.taken.memory,
                "disk_bytes": each.taken.disk,
                "flops": each.flops,
                "from": each.why,
            }
            for each in found
        ],
        "at_a_time": slots,
        "wall_seconds": kept.wall(taken, slots),
        "memory_bytes": max(each.memory for _, each in taken),
        "disk_bytes": sum(each.disk for _, each in taken),
    }
