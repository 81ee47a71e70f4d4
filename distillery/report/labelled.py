"""What sets are worth under each kind of labels, and which teacher they had."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from distillery.report.cells import Cell, records
from distillery.report.results import Results
from distillery.vocabulary import HARD, LAST, OWN, SOFT, TEACHER, WHOLE

KINDS = {HARD: "hard labels", SOFT: "soft labels", TEACHER: "a teacher’s labels"}
BY_LABELS = "accuracy_by_labels"
# What of a recipe decides whether two are the same.
RECIPE = (
    *("epochs", "lr", "momentum", "weight_decay", "batch", "decay", "augment"),
    *("optimiser", "mix"),
)

# By (method, init), and therein by (seed, number of the network).
Accuracies = Mapping[tuple[str, str], Mapping[tuple[int, int], float]]


class Place(NamedTuple):
    """Where sets may be compared: of one size, trained by one network under one kind of labels."""

    dataset: str
    network: str
    ipc: int
    labels: str


@dataclass(frozen=True)
class Reached:
    """What networks reach on test images and on validation images."""

    test: Accuracies = field(default_factory=dict)
    validation: Accuracies = field(default_factory=dict)


def own_labels(results: Results, cell: Cell) -> str:
    """Return the kind of the labels that the sets of a cell have; hard where there is no file."""
    arrays = next((arrays for arrays, _ in results.sets_of(cell)), {})
    return SOFT if arrays and arrays["labels"].ndim == 2 else HARD


def labelled_rows(results: Results) -> pd.DataFrame:
    """Return the accuracies of networks trained on the final images of sets, each with the kind of
    labels that they were trained under: those that sets are compared by, and the others."""
    rows = results.metrics
    rows = rows[
        rows["measure"].isin(("accuracy", BY_LABELS))
        & (rows["selection"] == LAST)
        & (rows["strategy"] == "")
        & (rows["method"] != WHOLE)
        & rows["ipc"].notna()
        & rows[["epoch", "stage", "class"]].isna().all(axis=1)
    ].copy()
    untold = rows["labels"] == ""
    if untold.any():
        owns = {cell: own_labels(results, cell) for cell in map(_cell, records(rows[untold]))}
        rows.loc[untold, "labels"] = [owns[_cell(row)] for row in records(rows[untold])]
    return rows


def _cell(row: Mapping[str, Any]) -> Cell:
    return Cell.of(row)


def reached(results: Results) -> dict[Place, Reached]:
    """Return what is reached, by dataset, network, size and kind of labels; worked out once."""
    return results.once("reached", lambda: _reached(results))


def _reached(results: Results) -> dict[Place, Reached]:
    rows = labelled_rows(results)
    rows = rows[rows["split"].isin(("test", "validation"))]
    rows = rows[rows[["seed", "model"]].notna().all(axis=1)]
    names = ("dataset", "network", "ipc", "labels", "split", "method", "init", "seed", "model")
    sides: dict[tuple[Place, str], dict[Cell, dict[tuple[int, int], float]]] = {}
    for *about, seed, model, value in zip(*(rows[name] for name in (*names, "value"))):
        dataset, network, ipc, labels, split, method, init = about
        cells = sides.setdefault((Place(dataset, network, int(ipc), labels), split), {})
        values = cells.setdefault(Cell(dataset, method, init, int(ipc)), {})
        values[int(seed), int(model)] = float(value)
    ordered = {
        side: {
            (cell.method, cell.init): cells[cell]
            for cell in sorted(cells, key=lambda cell: cell.order)
        }
        for side, cells in sides.items()
    }
    return {
        place: Reached(*(ordered.get((place, split), {}) for split in ("test", "validation")))
        for place in sorted({place for place, _ in sides})
    }


def first_kinds(results: Results) -> dict[tuple[Cell, str], str]:
    """Return the kind of labels that each cell's sets are compared under with each network, where
    what was measured says it."""
    rows = results.metrics
    rows = rows[
        (rows["measure"] == "accuracy")
        & (rows["selection"] == LAST)
        & (rows["split"] == "test")
        & (rows["strategy"] == "")
        & (rows["labels"] != "")
    ].drop_duplicates(["dataset", "method", "init", "ipc", "network"])
    return {(_cell(row), str(row["network"])): str(row["labels"]) for row in records(rows)}


def recipes_by(
    results: Results, labels: str | None = None
) -> dict[tuple[str, Cell], dict[str, str]]:
    """Say how networks were trained on the sets of each cell, as the jobs say, by network and cell:
    the recipes, each with its main settings in words.

    Args:
        results: the study's.
        labels: under this kind of labels; by default under those that sets are compared by.
    """
    recipes: dict[tuple[str, Cell], dict[str, str]] = {}
    for cost in results.costs:
        settings = cost.get("settings") or {}
        if cost.get("rule") == "evaluate_synthetic":
            first = (settings.get("labels") or [OWN])[0]
            taught = settings.get(TEACHER) if (labels or first) == TEACHER else None
            decide = [settings.get(name) for name in RECIPE]
            decide += [first] if labels is None and first != OWN else []
            decide += [sorted(taught.items())] if taught else []
            words = [
                f"{name} {settings[name]}"
                for name in ("epochs", "lr", "augment")
                if settings.get(name) is not None
            ]
            words += [f"teacher {teacher_words(taught)}"] if taught else []
            known = recipes.setdefault((str(cost.get("network")), Cell.of(cost)), {})
            known[repr(decide)] = ", ".join(words)
    return recipes


def teacher_words(teacher: Mapping[str, Any]) -> str:
    """Say which experts a teacher is."""
    epoch = "last epoch" if teacher["epoch"] == "last" else f"epoch {teacher['epoch']}"
    return f"{teacher['experts']}, {epoch}, temperature {teacher['temperature']:g}" + (
        f", mean of {teacher['number']}" if teacher["number"] > 1 else ""
    )
