"""Differences between methods, in pairs of networks."""

import numpy as np
import pandas as pd

from distillery.report.cells import Cell
from distillery.report.charts import spaced
from distillery.report.comparison import RANDOM, Comparison
from distillery.report.labelled import recipes_by
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    images_per_class,
    p_text,
    quantity,
    sets_and_networks,
    signed,
)
from distillery.vocabulary import NOISE, REAL

# What a page shows at most; all pairs are tested, and p is adjusted for all.
PAIRS, SIZES = 60, 12  # of a size, and of a network
VERDICTS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "not significant": "not significant",
    "untested": "one pair of networks: not tested",
}


def view(results: Results) -> list[dict]:
    """Return the differences between methods, network by network: the best against each other,
    distilled against random, real start against noise."""
    known = recipes_by(results)

    def table(dataset: str, network: str) -> dict | None:
        sizes = results.ipcs(dataset)
        shown = spaced(sizes, SIZES)
        groups = [_group(results, known, dataset, network, ipc) for ipc in shown]
        groups = [group for group in groups if group["rows"]]
        left_out = len(sizes) - len(shown)
        return {"network": network, "groups": groups, "left_out": left_out} if groups else None

    return results.tables(table)


def _group(
    results: Results,
    known: dict[tuple[str, Cell], dict[str, str]],
    dataset: str,
    network: str,
    ipc: float,
) -> dict:
    """Return the lines of a size. ``known``: the recipes, by network and cell."""
    comparison = results.compared(dataset, network, ipc)
    recipes = {
        cell: known.get((network, Cell(dataset, *cell, int(ipc))), {}).keys()
        for cell in comparison.cells
    }
    lines: list[dict | None] = []
    pairs = _chosen_pairs(results, comparison.cells)
    for first, second in pairs[:PAIRS]:
        differ = bool(recipes[first] and recipes[second] and recipes[first] != recipes[second])
        line = _line(results, comparison, (first, second), differ)
        sides = {"cell": first, "against": second}
        keys = {name: key_of(Cell(dataset, *cell, int(ipc))) for name, cell in sides.items()}
        lines.append(line and line | keys)
    tested = f", p by Holm for {quantity(comparison.tested, 'pair')}" if comparison.tested else ""
    return {
        "title": images_per_class(ipc).capitalize() + tested,
        "rows": [line for line in lines if line],
        "left_out": max(0, len(pairs) - PAIRS),
    }


def _chosen_pairs(
    results: Results, cells: dict[tuple[str, str], dict]
) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """List the pairs worth a line, each once. ``cells``: accuracies by (method, init)."""
    if not cells:
        return []
    best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
    pairs = [(best, other) for other in cells if other != best]
    randoms = [cell for cell in cells if cell[0] == RANDOM]
    distilled = [cell for cell in cells if not results.is_coreset(cell[0])]
    pairs += [(cell, random) for random in randoms for cell in distilled]
    pairs += [
        ((method, REAL), (method, NOISE))
        for method, init in cells
        if init == NOISE and (method, REAL) in cells
    ]
    once: dict[frozenset, tuple] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


def _line(
    results: Results,
    comparison: Comparison,
    pair: tuple[tuple[str, str], tuple[str, str]],
    other_recipe: bool,
) -> dict | None:
    first, second = pair
    difference = comparison.between(first, second)
    if difference is None:
        return None
    common = pd.Series(
        [seed for seed, _ in comparison.cells[first].keys() & comparison.cells[second].keys()],
        dtype=int,
    )
    verdict, p = comparison.verdict(first, second), comparison.p(first, second)
    notes = []
    if p is not None and difference.unit == "network":
        notes.append("of this one set only")
    if other_recipe:
        notes.append("networks trained by different recipes")
    if difference.left_out:
        notes.append(f"{difference.left_out} without a partner left out")
    interval = f"{signed(100 * difference.low)} to {signed(100 * difference.high)}"
    return {
        "first": results.name(*first),
        "second": results.name(*second),
        "colour": results.colours.get(first[0], 0),
        "difference": signed(100 * difference.difference),
        "interval": "" if p is None else interval,
        "p": p_text(p),
        "verdict": VERDICTS[verdict],
        "worse": verdict == "worse",
        "shown": verdict in ("better", "worse"),
        "count": sets_and_networks(
            difference.sets, int(common.value_counts().max()), difference.networks
        ),
        "note": "; ".join(notes),
    }
