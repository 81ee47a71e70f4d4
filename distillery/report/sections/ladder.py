"""Where each method stands on one axis."""

import math
from collections.abc import Callable

import pandas as pd

from distillery.report import charts as figures
from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.sections.sources import Sources
from distillery.report.words import images_per_class, percent, plus_minus
from distillery.vocabulary import LAST

RUNGS, LADDERS = 24, 6  # of a size, and of a dataset


def ladder_of(results: Results, sources: Sources, dataset: str, ipc: float) -> dict | None:
    """Place the sets of a size on one axis, the published figures beside, on the dataset's first
    network; ``None`` where there is but one."""
    network = results.networks(dataset)[0]
    rows = results.summed(dataset, network, LAST)
    rows = rows[rows["ipc"] == ipc]
    if len(rows) < 2:
        return None
    rows = rows.sort_values("mean", ascending=False, kind="stable")
    left_out = max(0, len(rows) - RUNGS)
    rungs = [(row, *_figures(results, sources, row)) for _, row in rows[:RUNGS].iterrows()]
    full = results.full(dataset, network)
    values = [100 * (row["mean"] + s * row["std"]) for row, _, _ in rungs for s in (-1, 1)]
    values += [cell["value"] for _, *cells in rungs for cell in cells if cell]
    values += [] if full is None else [100 * full.mean]
    low = max(0.0, 10 * math.floor((min(values) - 3) / 10))
    high = min(100.0, 10 * math.ceil((max(values) + 1) / 10))

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    drawn = [_rung(results, rung, low, high, place) for rung in rungs]
    note = " (see the note)" if full is not None and full.caveats else ""
    return {
        "title": f"{images_per_class(ipc)}, {network}"
        + (f"; the best {RUNGS}, {left_out} more in the table" if left_out else ""),
        "rows": drawn,
        "ticks": [{"at": place(mark), "text": f"{mark:g}"} for mark in figures.ticks(low, high, 5)],
        "full": None
        if full is None
        else {"at": place(100 * full.mean), "text": percent(full.mean, 1) + note},
        "any_published": any(rung["published"] for rung in drawn),
        "any_course": any(rung["course"] for rung in drawn),
    }


def _figures(results: Results, sources: Sources, row: pd.Series) -> list[dict | None]:
    """Look up the published figure and the course project's. What was measured under another
    protocol has no place on the axis."""
    cells = sources.beside(results, Cell.of(row), str(row["network"]))
    return [cell if cell and not cell["not_comparable"] else None for cell in cells]


def _rung(
    results: Results, rung: tuple, low: float, high: float, place: Callable[[float], float]
) -> dict:
    row, theirs, course = rung
    mean, std = 100 * row["mean"], 100 * row["std"]
    start = max(mean - std, low)
    return {
        "label": results.name(row["method"], row["init"]),
        "colour": results.colours.get(row["method"], 0),
        "value": plus_minus(row["mean"], row["std"], row["count"], 1),
        "at": place(mean),
        "from": place(start),
        "width": round(place(min(mean + std, high)) - place(start), 2),
        "published": theirs and theirs | {"at": place(theirs["value"])},
        "course": course and course | {"at": place(course["value"])},
    }
