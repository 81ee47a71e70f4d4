"""Nested sizes: the first images of a larger set beside sets that were made at that size."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import Cell, cell_rows
from distillery.report.comparison import by_network, pairs_in_words
from distillery.report.labelled import KINDS, Place, Reached, reached
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import plus_minus, signed


def view(results: Results) -> list[dict]:
    """Return a table for each dataset and network on which parts of sets were evaluated."""
    rows = results.measured("accuracy_of_first", split="test")
    known = reached(results) if len(rows) else {}

    def table(dataset: str, network: str) -> dict | None:
        part = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
        lines = [
            _line(results, known, cell, network, first, one[one["first"] == first])
            for cell, one in cell_rows(part)
            for first in sorted({int(value) for value in one["first"]})
        ]
        return {"network": network, "rows": lines} if lines else None

    return results.tables(table)


def _line(
    results: Results,
    known: Mapping[Place, Reached],
    cell: Cell,
    network: str,
    first: int,
    rows: pd.DataFrame,
) -> dict:
    """Return what the first images of a cell's sets are worth, beside the sets of its method and
    start that were made at that size, under labels of the same kind."""
    key = (cell.method, cell.init)
    ours = by_network(rows)[key]
    labels = str(rows.iloc[0]["labels"])
    there = known.get(Place(cell.dataset, network, first, labels))
    theirs = {} if there is None else there.test.get(key, {})
    line = {
        "cell": key_of(cell),
        "other": key_of(cell._replace(ipc=first)),
        "label": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "size": cell.ipc,
        "first": first,
        "labels": KINDS.get(labels, labels),
        "ours": _accuracy(ours),
        "theirs": _accuracy(theirs) if theirs else "",
        "difference": "",
        "interval": "",
        "count": "",
    }
    if ours.keys() & theirs.keys():
        between = scores.paired_difference(ours, theirs)
        line["difference"] = signed(100 * between.difference, 1)
        line["count"] = pairs_in_words(between)
        if between.p is not None:
            low, high = (signed(100 * bound, 1) for bound in (between.low, between.high))
            line["interval"] = f"{low} to {high}"
    return line


def _accuracy(values: Mapping[tuple[int, int], float]) -> str:
    numbers = np.array(list(values.values()))
    return plus_minus(numbers.mean(), numbers.std(), len(numbers), 1)
