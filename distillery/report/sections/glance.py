"""The first section: the headlines, and how much was measured."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from distillery.report.cells import Cell, cell_rows
from distillery.report.charts import spaced
from distillery.report.comparison import RANDOM, pairs_in_words
from distillery.report.effort import flops_of, making_of, pays_after, pays_text, spent_on
from distillery.report.results import FullTraining, Results
from distillery.report.sections.images import class_strips
from distillery.report.words import (
    blank,
    counts_in_words,
    fewer,
    images_per_class,
    listed,
    network_rank,
    plus_minus,
    quantity,
    si_number,
    signed,
    some_of,
)
from distillery.times import duration
from distillery.vocabulary import IMPORTED, LAST, WHOLE

SIZES = 6  # of a dataset, in words


def headlines(results: Results) -> list[dict]:
    """Say of each dataset which sets are best, and what they are worth."""
    blocks = (_headline(results, dataset) for dataset in results.datasets)
    return [block for block in blocks if block]


def _headline(results: Results, dataset: str) -> dict | None:
    networks = results.networks(dataset)
    if not networks:
        return None
    network = networks[0]
    full = results.full(dataset, network)
    sentences, best, ties = [], None, False
    sizes = results.ipcs(dataset)
    shown = spaced(sizes, SIZES)
    for ipc in shown:
        level, count = _best_rows(results, dataset, network, ipc)
        if not count:
            continue
        best, ties = Cell.of(level.iloc[0]), len(level) > 1
        sentences.append(_sentence(results, best, network, level, count))
    if not sentences and full is None:
        return None
    tiles = [] if best is None else _tiles_of(results, best)
    reached = "" if full is None else f"{plus_minus(full.mean, full.std, full.count, 1)} %"
    return {
        "dataset": results.title(dataset),
        "network": network,
        "sentences": sentences,
        "full": reached,
        "full_counts": "" if full is None else _full_counts(full),
        "left_out": len(sizes) - len(shown),
        "caveats": ([] if full is None else full.caveats)
        + _numberless_notes(results, dataset, network),
        "tiles": tiles,
        "tiles_of": f"{'one of the best sets' if ties else 'the best set'}: "
        f"{results.name(best.method, best.init)}, {images_per_class(best.ipc)}"
        if tiles and best is not None
        else "",
    }


def _best_rows(results: Results, dataset: str, network: str, ipc: float) -> tuple[Any, int]:
    """Select the distilled sets of a size that reach most, and count those that compete: imported
    ones where there are no others."""
    rows = results.summed(dataset, network, LAST)
    distilled = [method != WHOLE and not results.is_coreset(method) for method in rows["method"]]
    rows = rows[(rows["ipc"] == ipc) & np.array(distilled, bool)]
    rows = rows[rows["init"] != IMPORTED] if (rows["init"] != IMPORTED).any() else rows
    # Means of the same accuracies in another order differ in their last bit.
    return rows[np.isclose(rows["mean"], rows["mean"].max(), rtol=0, atol=1e-9)], len(rows)


def _sentence(results: Results, best: Cell, network: str, level: pd.DataFrame, count: int) -> dict:
    """Say what the best set of a size is worth. ``level``: the rows of it and of its equals among
    ``count``."""
    row = level.iloc[0]
    ties = list(zip(level["method"], level["init"]))[1:]
    full = results.full(best.dataset, network)
    facts = [_best_of(results, best, network, ties, count), _above_random(results, best, network)]
    if full is not None and full.mean > 0 and not full.caveats:
        share = f"{100 * row['mean'] / full.mean:.1f} %"
        facts.append(f"{share} of the {full.text} that the full training set reaches")
    facts += [_training_fact(results, best, network), _paid_fact(results, best, network)]
    return {
        "lead": f"{results.short_name(best.method, best.init)} at {images_per_class(best.ipc)}:",
        "value": f"{plus_minus(row['mean'], row['std'], row['count'], 1)} %",
        "facts": [fact for fact in facts if fact],
        "counts": counts_in_words(row),
    }


def _tiles_of(results: Results, best: Cell) -> list[dict]:
    """Show an image of each class of the best set; of its smallest size where it has no file."""
    alike = [item for item in results.sets if Cell.of(item[1])[:3] == best[:3]]
    same = [item for item in alike if Cell.of(item[1]) == best]
    chosen = next(iter([*same, *alike]), None)
    return [] if chosen is None else class_strips(results, chosen, 1)


def _full_counts(full: FullTraining) -> str:
    if full.count == 1:
        return "one network, so that its spread is not known"
    return f"mean ± standard deviation over {quantity(full.count, 'network')}"


def _numberless_notes(results: Results, dataset: str, network: str) -> list[str]:
    """Name the cells that have accuracies without a number, which no mean holds."""
    rows = results.numberless
    rows = rows[
        (rows["dataset"] == dataset) & (rows["network"] == network) & (rows["selection"] == LAST)
    ]
    notes = [
        f"{len(part)} of {results.name(cell.method, cell.init)}, {images_per_class(cell.ipc)}"
        for cell, part in cell_rows(rows)
    ]
    return (
        [f"Test accuracies that are no number, and count nowhere: {listed(notes)}."]
        if notes
        else []
    )


def _best_of(
    results: Results, best: Cell, network: str, ties: Sequence[tuple[str, str]], count: int
) -> str:
    """Say that the headline's cell was picked by its test accuracy, among how many, which others
    reached the same, and which it is not shown to be above."""
    assert best.ipc is not None  # the best cell is one of sets
    comparison = results.compared(best.dataset, network, best.ipc)
    cell = (best.method, best.init)
    verdicts = comparison.verdicts(cell) if cell in comparison.cells else {}
    better, worse, equal, untested = (
        verdicts.get(verdict, []) for verdict in ("better", "worse", "not significant", "untested")
    )

    def names(cells: Sequence[tuple[str, str]]) -> str:
        return some_of([results.short_name(*cell) for cell in cells])

    level = f", level with {names(ties)}" if ties else ""
    clauses = [f"best of {count} by test accuracy{level}"] if count > 1 else []
    if worse:
        clauses.append(f"significantly worse than {names(worse)}")
    if equal:
        clauses.append(f"not significantly better than {names(equal)}")
    elif better and not worse:
        all_others = len(better) > 1 and not untested
        clauses.append(f"significantly better than {'all others' if all_others else names(better)}")
    if untested:
        whom = names(untested) if better or worse or equal else "any other"
        clauses.append(f"not tested against {whom}, since one pair of networks shows no spread")
    tested = f" ({comparison.how()})" if comparison.tested and clauses else ""
    return "; ".join(clauses) + tested


def _above_random(results: Results, best: Cell, network: str) -> str:
    """Say how far a cell is above random images."""
    assert best.ipc is not None  # the best cell is one of sets
    comparison = results.compared(best.dataset, network, best.ipc)
    cell = (best.method, best.init)
    random = next((other for other in comparison.cells if other[0] == RANDOM), None)
    if random is None or cell not in comparison.cells:
        return ""
    above = comparison.between(cell, random)
    if above is None:
        return ""
    side = "above" if above.difference > 0 else "below"
    if f"{abs(100 * above.difference):.1f}" == "0.0":
        side = "from"
    interval = " (one pair of networks)"
    if math.isfinite(above.low):
        low, high = signed(100 * above.low, 1), signed(100 * above.high, 1)
        interval = f" (95 % interval {low} to {high}, {pairs_in_words(above)})"
    return (
        f"{abs(100 * above.difference):.1f} points {side} random images of the same size{interval}"
    )


def _training_fact(results: Results, best: Cell, network: str) -> str:
    """Say what training on the set takes instead of training on the full training set, whichever
    way it falls."""
    ours = flops_of(results, best, network)
    full = flops_of(results, Cell(best.dataset, WHOLE, "", None), network)
    takes = []
    if ours and full:
        takes.append(
            f"{fewer(full / ours, 'FLOPs', 'fewer')} ({si_number(ours, 'FLOP')} instead of "
            f"{si_number(full, 'FLOP')})"
        )
    mine = spent_on(results, best.dataset, network, [best])
    theirs = spent_on(results, best.dataset, network, None)
    if mine.seconds and theirs.seconds:
        takes.append(
            f"{fewer(theirs.seconds / mine.seconds, 'time', 'less')} ({duration(mine.seconds)} "
            f"instead of {duration(theirs.seconds)} a network; mean of "
            f"{quantity(mine.networks, 'network')} and of {theirs.networks}, tests included)"
        )
    elif takes:
        takes.append("a time that was not measured")
    return f"training on it takes {' and '.join(takes)}" if takes else ""


def _paid_fact(results: Results, best: Cell, network: str) -> str:
    """Say what making the set took, and after how many trainings that has paid."""
    making = making_of(results, best)
    if making is None:
        return ""
    took = f"making it took {duration(making.distilling)}"
    if making.experts is None:
        return f"{took}, without its experts, whose time is not known"
    if making.experts:
        took += f" and {duration(making.share)} as its share of the experts"
    times = [spent_on(results, best.dataset, network, cells).seconds for cells in ([best], None)]
    pays = pays_after(making.together, *times)
    if pays is None:
        return took
    if isinstance(pays, str):
        return f"{took}, which never pays in time: a training on it is no faster"
    alone = pays_after(making.alone, *times)
    if_alone = f"; {pays_text(alone)} if the experts served it alone" if alone != pays else ""
    return f"{took}, which has paid after {quantity(pays, 'training')}{if_alone}"


def overview(results: Results) -> list[dict]:
    """Count what was measured, and on what."""
    networks = sorted({name for name in results.summary["network"] if name}, key=network_rank)
    methods = [results.method_title(name) for name in results.methods if name != WHOLE]
    runs = results.measured("accuracy", selection=LAST, split="test")
    runs = runs[runs[["epoch", "stage", "class"]].isna().all(axis=1)]
    seconds = [float(cost["seconds"]) for cost in results.costs if not blank(cost.get("seconds"))]
    devices = sorted(
        {str(cost.get("device_name") or cost.get("device") or "") for cost in results.costs} - {""}
    )
    if not devices and results.provenance.get("device"):
        devices = [str(results.provenance["device"])]
    facts = [
        (
            "Datasets",
            len(results.datasets),
            ", ".join(results.title(name) for name in results.datasets),
        ),
        ("Methods", len(methods), ", ".join(methods)),
        (
            "Synthetic sets",
            len(results.sets),
            ", ".join(
                images_per_class(i)
                for i in sorted({cell.ipc for cell in results.headers if cell.ipc})
            ),
        ),
        ("Networks", len(networks), ", ".join(networks)),
        (
            "Networks trained",
            len(runs),
            "for the accuracy tables, each tested on all test images" if len(runs) else "",
        ),
        (
            "Compute time",
            duration(sum(seconds)) if seconds else "",
            f"{len(seconds)} jobs" if seconds else "",
        ),
        ("Device", "", "; ".join(devices)),
    ]
    counted = {
        "Datasets": quantity(len(results.datasets), "dataset"),
        "Methods": quantity(len(methods), "method"),
        "Synthetic sets": quantity(len(results.sets), "synthetic set"),
        "Networks": quantity(len(networks), "network"),
        "Networks trained": quantity(len(runs), "training"),
    }
    return [
        {"name": n, "value": v, "note": t, "counted": counted.get(n, "")}
        for n, v, t in facts
        if ((v or v == 0) and v != 0) or t
    ]
