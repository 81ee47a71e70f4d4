"""What sets are worth to other networks than the one that they were made with."""

import math
from collections.abc import Mapping
from typing import Any

from distillery.report.cells import Cell, records
from distillery.report.drawn import heat_cell
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import percent, signed
from distillery.vocabulary import LAST, WHOLE

Rows = Mapping[Cell, Mapping[str, Mapping[str, Any]]]


def view(results: Results) -> list[dict]:
    """Return, of each dataset that several networks were trained on, what no other table says: by
    how many points each network is above the first on the same set, and where the set ranks among
    those of its size by each network.
    """
    blocks = []
    for dataset in results.datasets:
        first, *others = results.networks(dataset) or [""]
        cells = _accuracies(results, dataset)
        compared = [cell for cell, row in cells.items() if first in row and len(row) > 1]
        if not compared:
            continue
        ranks = _ranks(cells)
        apart = [
            row[network]["mean"] - row[first]["mean"]
            for row in (cells[cell] for cell in compared)
            for network in row
        ]
        bounds = min(apart), max(apart)
        lines = [
            {
                "cell": key_of(cell),
                "rule": "train_vanilla" if cell.method == WHOLE else "evaluate_synthetic",
                "label": results.name(cell.method, cell.init),
                "size": "all" if cell.ipc is None else f"{cell.ipc}",
                "rank": ranks.get((cell, first), ""),
                "cells": [
                    _cell(cells[cell], first, other, bounds, ranks.get((cell, other), ""))
                    for other in others
                ],
            }
            for cell in sorted(compared, key=lambda cell: cell.order)
        ]
        title = results.title(dataset)
        blocks.append({"dataset": title, "first": first, "networks": others, "rows": lines})
    return blocks


def _accuracies(results: Results, dataset: str) -> Rows:
    """Return the accuracies of the final images of each cell, by network."""
    rows = results.summary
    rows = rows[(rows["dataset"] == dataset) & (rows["selection"] == LAST)]
    cells: dict[Cell, dict[str, dict[str, Any]]] = {}
    for row in records(rows):
        cells.setdefault(Cell.of(row), {})[str(row["network"])] = row
    return cells


def _ranks(cells: Rows) -> dict[tuple[Cell, str], str]:
    """Return the place of each set among those of its size that all networks were trained on, by
    its mean with each network; nothing where there is only one."""
    networks = {network for row in cells.values() for network in row}
    sizes: dict[int | None, list[Cell]] = {}
    for cell, row in cells.items():
        if cell.method != WHOLE and row.keys() == networks:
            sizes.setdefault(cell.ipc, []).append(cell)
    ranks: dict[tuple[Cell, str], str] = {}
    for among in sizes.values():
        for network in networks if len(among) > 1 else ():
            means = {cell: cells[cell][network]["mean"] for cell in among}
            for cell, mean in means.items():
                place = 1 + sum(other > mean for other in means.values())
                ranks[cell, network] = f"{place} of {len(among)}"
    return ranks


def _cell(
    row: Mapping[str, Mapping[str, Any]],
    first: str,
    other: str,
    bounds: tuple[float, float],
    rank: str,
) -> dict | None:
    """Return how far a network is above the first on a set, with the standard deviation of the
    difference between one network of each, and its rank there."""
    if other not in row:
        return None
    theirs, ours = row[first], row[other]
    difference = ours["mean"] - theirs["mean"]
    heat = heat_cell(difference, *bounds)
    # A single network has no spread.
    several = min(ours["count"], theirs["count"]) > 1
    std = percent(math.hypot(ours["std"], theirs["std"]), 1) if several else ""
    return heat and heat | {"text": signed(100 * difference, 1), "std": std, "rank": rank}
