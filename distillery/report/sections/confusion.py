"""Which classes networks that were trained on a set take for which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distillery.evaluation.confusion import Confusion
from distillery.report.cells import Cell
from distillery.report.charts import spaced
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import class_name, images_per_class, percent, quantity
from distillery.store import artefact

RULE = "evaluate_synthetic"
# What a page shows: tables of so many classes, else so many pairs of classes; so many sets of a
# dataset.
CLASSES, PAIRS, SETS = 20, 20, 24


def view(results: Results, paths: Sequence[str | Path]) -> list[dict]:
    """Return the counts of each dataset's sets, by its first network, those of a cell's sets added
    up. ``paths``: of the counts."""
    found: dict[str, dict[Cell, list[str | Path]]] = {}
    for path in paths:
        header = artefact.header(path, rule=RULE)
        cell = Cell.of(header)
        if header["network"] in results.networks(cell.dataset)[:1]:
            found.setdefault(cell.dataset, {}).setdefault(cell, []).append(path)
    blocks = []
    for dataset in results.datasets:
        cells = sorted(found.get(dataset, {}), key=lambda cell: cell.order)
        shown = spaced(cells, SETS)
        if shown:
            blocks.append(
                {
                    "dataset": results.title(dataset),
                    "network": results.networks(dataset)[0],
                    "sets": [_set(results, cell, found[dataset][cell]) for cell in shown],
                    "left_out": len(cells) - len(shown),
                }
            )
    return blocks


def _set(results: Results, cell: Cell, paths: Sequence[str | Path]) -> dict:
    counts, networks, names = Confusion(), 0, []
    for path in paths:
        tensors, header = artefact.load(path, rule=RULE)
        counts.add(tensors["pairs"])
        networks += header["models"]
        names = [str(name) for name in header["classes"]]
    pairs = counts.pairs.numpy()
    total = np.bincount(pairs[:, 0], pairs[:, 2], len(names)).astype(int)
    confused = [
        {
            "true": class_name(names, true),
            "answer": class_name(names, answer),
            "count": count,
            "share": percent(count / total[true], 1),
        }
        for true, answer, count in _most_confused(pairs).tolist()
    ]
    return {
        "label": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "size": images_per_class(cell.ipc),
        "cell": key_of(cell),
        "networks": quantity(networks, "network"),
        "names": names,
        "rows": _rows(pairs, names, total) if len(names) <= CLASSES else [],
        "confused": confused,
    }


def _most_confused(pairs: np.ndarray) -> np.ndarray:
    """Return the pairs of different classes that occur most often."""
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    return wrong[np.argsort(-wrong[:, 2], kind="stable")][:PAIRS]


def _rows(pairs: np.ndarray, names: Sequence[str], total: np.ndarray) -> list[dict]:
    """Return a row for each class that was tested: how often it was taken for each."""
    table = np.zeros((len(names), len(names)), int)
    table[pairs[:, 0], pairs[:, 1]] = pairs[:, 2]
    return [
        {
            "name": class_name(names, true),
            # By the root of its share: what is rare is seen, too.
            "cells": [(count, round(float(np.sqrt(count / total[true])), 2)) for count in counts],
        }
        for true, counts in enumerate(table.tolist())
        if total[true]
    ]
