"""What jobs, sets and trainings took."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from distillery.report.cells import CELL, Cell, records
from distillery.report.effort import (
    Making,
    Spent,
    first_setting,
    making_by,
    makings,
    pays_after,
    pays_text,
    spent_on,
)
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    blank,
    byte_count,
    images_per_class,
    network_rank,
    one_to,
    si_number,
    thousands,
)
from distillery.times import duration
from distillery.vocabulary import WHOLE

WORK_MEASURES = ("training_flops", "macs_per_image", "parameters", "images_seen")


def view(results: Results) -> dict:
    """Return four tables: by rule, by set, until a set has paid, and by training."""
    return {
        "rules": rules(results.costs),
        "sets": [_set(results, cell, jobs) for cell, jobs in makings(results).items()],
        "paid": _paid(results),
        "training": _training(results),
    }


def _numbers(jobs: Iterable[Mapping], name: str) -> list[float]:
    """List a field of jobs' records where they have it."""
    return [float(job[name]) for job in jobs if not blank(job.get(name))]


def rules(costs: Iterable[Mapping]) -> list[dict]:
    """Sum up the jobs of each rule, the dearest first."""
    by_rule: dict[str, list[Mapping]] = {}
    for cost in costs:
        by_rule.setdefault(str(cost.get("rule", "")), []).append(cost)
    lines = [_rule(rule, jobs) for rule, jobs in by_rule.items()]
    total = max((line["total"] for line in lines), default=0)
    for line in lines:
        line["bar"] = round(100 * line["total"] / total, 2) if total else 0
    return sorted(lines, key=lambda line: (-line["total"], line["rule"]))


def _rule(rule: str, jobs: list[Mapping]) -> dict:
    seconds = np.array(_numbers(jobs, "seconds"))
    kinds = sorted({str(job.get("memory_kind") or "") for job in jobs})
    peaks = {
        kind: _numbers(
            (job for job in jobs if str(job.get("memory_kind") or "") == kind), "peak_memory_bytes"
        )
        for kind in kinds
    }
    memory = [f"{byte_count(max(peak))} {kind}".strip() for kind, peak in peaks.items() if peak]
    joules = _numbers(jobs, "energy_joules")
    some = f" ({len(joules)} of {len(jobs)} jobs)" if len(joules) < len(jobs) else ""
    return {
        "rule": rule,
        "jobs": len(jobs),
        "total": float(seconds.sum()),
        "seconds": duration(float(seconds.sum())) if len(seconds) else "",
        "median": duration(float(np.median(seconds))) if len(seconds) else "",
        "longest": duration(float(seconds.max())) if len(seconds) else "",
        "memory": ", ".join(memory),
        "energy": si_number(sum(joules), "J") + some if joules else "not measured",
    }


def _set(results: Results, cell: Cell, jobs: list[dict]) -> dict:
    """Say what making the sets of a cell took. ``jobs``: the records of those that made them."""
    making = making_by(results, cell, jobs)
    iterations = first_setting(jobs[0].get("settings"), "iterations")
    if iterations is None:
        iterations = results.headers.get(cell, {}).get("iterations")
    each = ""
    if isinstance(iterations, int | float) and iterations:
        each = f"{making.distilling / iterations:.3g} s"
    devices = {str(job.get("device_name") or job.get("device") or "") for job in jobs} - {""}
    return _naming(results, cell) | {
        "dataset": results.title(cell.dataset),
        "iterations": iterations or "",  # none of real images that are chosen
        "jobs": len(jobs),
        "seconds": duration(making.distilling),
        "spread": duration(making.spread) if len(jobs) > 1 else "",
        "each": each,
        "experts": _expert_text(making),
        "together": duration(making.together),
        "memory": byte_count(max(_numbers(jobs, "peak_memory_bytes"), default=None)),
        "device": ", ".join(sorted(devices)),
    }


def _naming(results: Results, cell: Cell) -> dict:
    return {
        "cell": key_of(cell),
        "label": results.name(cell.method, cell.init),
        "size": images_per_class(cell.ipc),
        "colour": results.colours.get(cell.method, 0),
    }


def _expert_text(making: Making) -> str:
    if making.experts is None:
        return "not known"
    if not making.experts:
        return ""
    return f"{duration(making.share)} (1 of {making.sharing} of {duration(making.experts)})"


def _paid(results: Results) -> list[dict]:
    """Count, for each cell and network, the trainings after which making the set has paid, with the
    experts shared and not."""
    blocks = []
    for dataset in results.datasets:
        full = {
            network: spent_on(results, dataset, network, None).seconds
            for network in results.networks(dataset)
        }
        full = {network: seconds for network, seconds in full.items() if seconds}
        made = [
            (cell, making_by(results, cell, jobs))
            for cell, jobs in makings(results).items()
            if cell.dataset == dataset
        ]
        if made and full:
            lines = [_paid_line(results, cell, making, full) for cell, making in made]
            blocks.append(
                {"dataset": results.title(dataset), "networks": list(full), "rows": lines}
            )
    return blocks


def _paid_line(results: Results, cell: Cell, making: Making, full: dict[str, float]) -> dict:
    """Return the line of a cell. ``full``: seconds of a training on the full training set, by
    network."""
    cells = []
    for network, theirs in full.items():
        ours = spent_on(results, cell.dataset, network, [cell]).seconds
        together = pays_after(making.together, ours, theirs)
        alone = pays_after(making.alone, ours, theirs)
        cells.append(
            {
                "text": pays_text(together),
                "alone": pays_text(alone) if alone != together else "",
                "times": f"{duration(ours)} instead of {duration(theirs)}" if ours else "",
            }
        )
    return _naming(results, cell) | {
        "together": duration(making.together),
        "alone": duration(making.alone) if making.alone != making.together else "",
        "cells": cells,
    }


def _training(results: Results) -> list[dict]:
    """Say what training each network on sets and on the full training set took. Sets of equal size
    that train equally long are one line."""
    lines = []
    for dataset in results.datasets:
        rows = {
            name: results.measured(name, dataset=dataset, strategy="") for name in WORK_MEASURES
        }
        counted = pd.concat([rows["training_flops"], rows["macs_per_image"]])["network"]
        for network in sorted({name for name in counted if name}, key=network_rank):
            parts = {name: part[part["network"] == network] for name, part in rows.items()}
            lines += _training_lines(results, dataset, network, parts)
    return lines


def _mean(rows: pd.DataFrame) -> float | None:
    return float(rows["value"].mean()) if len(rows) else None


def _means(rows: pd.DataFrame) -> dict[Cell, float]:
    """Average a measure of each set's cell, in the report's order."""
    found: dict[Cell, list[float]] = {}
    for row in records(rows[[*CELL, "value"]]):
        found.setdefault(Cell.of(row), []).append(row["value"])
    return {
        cell: float(np.mean(found[cell])) for cell in sorted(found, key=lambda cell: cell.order)
    }


def _training_lines(
    results: Results, dataset: str, network: str, rows: Mapping[str, pd.DataFrame]
) -> list[dict]:
    """Return the lines of a network. ``rows``: of each of ``WORK_MEASURES``."""
    full, sets = (
        {name: part[(part["method"] == WHOLE) == whole] for name, part in rows.items()}
        for whole in (True, False)
    )
    base, theirs = _mean(full["training_flops"]), spent_on(results, dataset, network, None)
    about = {
        "dataset": results.title(dataset),
        "network": network,
        "macs": si_number(_mean(rows["macs_per_image"]), ""),
        "parameters": si_number(_mean(rows["parameters"]), ""),
    }
    kinds: dict[tuple, list[Cell]] = {}
    seen_by = _means(sets["images_seen"])
    for cell, flops in _means(sets["training_flops"]).items():
        kinds.setdefault((cell.ipc, flops, seen_by.get(cell)), []).append(cell)
    most = max((len(cells) for cells in kinds.values()), default=0)
    of_size = Counter(ipc for ipc, *_ in kinds)
    lines = []
    for (ipc, flops, seen), cells in kinds.items():
        alone = most > 1 and of_size[ipc] == 1
        names = "; ".join(results.name(cell.method, cell.init) for cell in cells)
        what = images_per_class(ipc) + ("" if alone else f": {names}")
        ratio = one_to(base / flops) if base and flops else ""
        ours = spent_on(results, dataset, network, cells)
        lines.append(about | _work(what, flops, seen, ratio) | _spent(ours, theirs))
    if base is not None:
        work = _work("the full training set", base, _mean(full["images_seen"]), "1 : 1")
        lines.append(about | work | _spent(theirs, None))
    return lines


def _work(what: str, flops: float, seen: float | None, ratio: str) -> dict:
    return {
        "what": what,
        "seen": "" if seen is None else thousands(seen),
        "flops": si_number(flops, "FLOP"),
        "ratio": ratio,
    }


def _spent(ours: Spent, theirs: Spent | None) -> dict:
    """Return what a training took, beside what one on the full training set took."""
    texts = {
        "seconds": duration(ours.seconds),
        "memory": byte_count(ours.memory),
        "networks": ours.networks or "",
    }
    for name in ("seconds", "memory"):
        mine, other = getattr(ours, name), getattr(theirs, name, None)
        texts[f"{name}_ratio"] = one_to(other / mine) if other and mine else ""
    return texts
