"""Images or labels: every set under every kind of labels that it was evaluated under."""

import numpy as np
import pandas as pd

from distillery.report.cells import Cell, cell_rows
from distillery.report.labelled import BY_LABELS, KINDS, labelled_rows, recipes_by
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import plus_minus, sets_and_networks
from distillery.vocabulary import TEACHER


def view(results: Results) -> list[dict]:
    """Return a table for each dataset and network on which some set was evaluated under more than
    one kind of labels."""
    rows = labelled_rows(results)
    rows = rows[rows["split"] == "test"]
    taught = recipes_by(results, TEACHER)

    def table(dataset: str, network: str) -> dict | None:
        part = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
        if not (part["measure"] == BY_LABELS).any():
            return None
        kinds = [kind for kind in KINDS if (part["labels"] == kind).any()]
        return {
            "network": network,
            "kinds": [KINDS[kind] for kind in kinds],
            "rows": [_line(results, cell, one, kinds) for cell, one in cell_rows(part)],
            "teachers": _teachers(taught, network, dataset) if TEACHER in kinds else [],
        }

    return results.tables(table)


def _line(results: Results, cell: Cell, rows: pd.DataFrame, kinds: list[str]) -> dict:
    """Return the line of a cell: what it reaches under each kind."""
    values = {kind: rows[rows["labels"] == kind]["value"].to_numpy() for kind in kinds}
    best = max(kinds, key=lambda kind: values[kind].mean() if len(values[kind]) else -np.inf)
    counts = rows.groupby("labels")["value"].size()
    sets = int(rows["seed"].nunique(dropna=False))
    most = int(rows.groupby("seed", dropna=False)["model"].nunique().max())
    return {
        "cell": key_of(cell),
        "label": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "size": cell.ipc,
        "count": sets_and_networks(sets, most, int(counts.max())),
        "cells": [
            {
                "text": plus_minus(found.mean(), found.std(), len(found), 1) if len(found) else "",
                "best": kind == best and len(counts) > 1,
            }
            for kind, found in values.items()
        ],
    }


def _teachers(taught: dict[tuple[str, Cell], dict[str, str]], network: str, dataset: str) -> list:
    """List the recipes under which a teacher labelled, each once."""
    words = [
        text
        for (name, cell), recipes in taught.items()
        if name == network and cell.dataset == dataset
        for text in recipes.values()
        if "teacher" in text
    ]
    return list(dict.fromkeys(words))
