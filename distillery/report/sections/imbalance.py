"""Balanced accuracy and AUROC, where accuracy alone would mislead."""

import pandas as pd

from distillery.report.cells import Cell, cell_rows
from distillery.report.results import Results
from distillery.report.words import (
    network_rank,
    plus_minus,
    sets_and_networks,
)
from distillery.vocabulary import LAST

MEASURES = ("accuracy", "balanced_accuracy", "auroc")


def view(results: Results) -> list[dict]:
    """Return a table for each dataset and network that was measured so: a line a set, and one for
    the full training set, with mean and standard deviation over all networks."""
    rows = results.metrics
    rows = rows[
        rows["measure"].isin(MEASURES)
        & (rows["selection"] == LAST)
        & (rows["split"] == "test")
        & (rows["strategy"] == "")
        & rows["epoch"].isna()
    ]
    measured = rows[rows["measure"] == "balanced_accuracy"]
    blocks = []
    for dataset in results.datasets:
        networks = set(measured[measured["dataset"] == dataset]["network"])
        for network in sorted(networks, key=network_rank):
            part = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            lines = [_line(results, cell, of_cell) for cell, of_cell in cell_rows(part)]
            blocks.append({"title": f"{results.title(dataset)}, {network}", "rows": lines})
    return blocks


def _line(results: Results, cell: Cell, rows: pd.DataFrame) -> dict:
    line = {
        "label": results.name(cell.method, cell.init),
        "size": "all" if cell.ipc is None else f"{cell.ipc}",
    }
    for measure in MEASURES:
        values = rows[rows["measure"] == measure]["value"]
        # Each is a fraction, shown in percent.
        line[measure] = (
            plus_minus(values.mean(), values.std(ddof=0), len(values)) if len(values) else "–"
        )
    networks = rows[rows["measure"] == "balanced_accuracy"].groupby("seed", dropna=False).size()
    line["count"] = sets_and_networks(len(networks), int(networks.max()), int(networks.sum()))
    return line
