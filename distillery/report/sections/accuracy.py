"""Accuracy of every set and network, beside the published figures."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from distillery.published import figures as published
from distillery.report.cells import Cell, records
from distillery.report.charts import spaced
from distillery.report.comparison import RANDOM
from distillery.report.results import FullTraining, Results
from distillery.report.sections.budgets import astray_notes, budget_table, expert_notes
from distillery.report.sections.images import SHOWN_CLASSES
from distillery.report.sections.ladder import LADDERS, ladder_of
from distillery.report.sections.sources import Sources
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    SELECTION_TITLES,
    class_name,
    counts_of,
    images_per_class,
    method_title,
    percent,
    signed,
)
from distillery.vocabulary import (
    BEST_TEST,
    BEST_VALIDATION,
    HELD_OUT,
    IMPORTED,
    LAST,
    SELECTIONS,
    SNAPSHOT,
    WHOLE,
)


def view(results: Results) -> dict:
    """Return the tables of every dataset and network, and the sources of the published figures."""
    sources, blocks = Sources(), []
    for dataset in results.datasets:
        networks = results.networks(dataset)
        if not networks:
            continue
        # In the order of the page, which is that of the sources' numbers.
        tables = [_table(results, sources, dataset, network) for network in networks]
        sizes = spaced(results.ipcs(dataset), LADDERS)
        ladders = [ladder_of(results, sources, dataset, ipc) for ipc in sizes]
        blocks.append(
            {
                "dataset": results.title(dataset),
                "tables": tables,
                "ladders": [ladder for ladder in ladders if ladder],
                "budgets": budget_table(results, dataset),
                "notes": expert_notes(results, dataset)
                + astray_notes(results, dataset)
                + _untested_notes(results, dataset),
                "others": _others(results, sources, dataset),
            }
        )
    held_out = bool((results.summary["selection"] == HELD_OUT).any())
    return {"blocks": blocks, "sources": sources.list(), "held_out": held_out}


def _table(results: Results, sources: Sources, dataset: str, network: str) -> dict:
    rows = results.summed(dataset, network)
    selections = [name for name in SELECTIONS if (rows["selection"] == name).any()]
    full = results.full(dataset, network)
    sizes: dict[float, dict[Cell, list[dict]]] = {}
    for row in records(rows):
        cell = Cell.of(row)
        size = math.inf if cell.ipc is None else cell.ipc
        sizes.setdefault(size, {}).setdefault(cell, []).append(row)
    groups = [_group(results, sources, sizes[size], selections) for size in sorted(sizes)]
    lines = [line for group in groups for line in group["rows"]]
    columns = ("gain", "share", "published", "course")
    shares = any(line["share"] for line in lines)
    return {
        "network": network,
        "selections": [_head(name, at, lines) for at, name in enumerate(selections)],
        "groups": groups,
        "has": {name: any(line[name] for line in lines) for name in columns},
        "caveats": full.caveats if full is not None and shares else [],
    }


def _head(selection: str, at: int, lines: list[dict]) -> dict:
    """Return the head of a selection's column. A count that is the same all the way down belongs
    into it, and goes from the lines."""
    shown = [line["results"][at] for line in lines if line["results"][at]]
    counts = {result["count"] for result in shown}
    count = counts.pop() if len(counts) == 1 else ""
    if count:
        for result in shown:
            result["count"] = ""
    return {"title": SELECTION_TITLES[selection], "count": count}


def _group(
    results: Results, sources: Sources, cells: Mapping[Cell, list[dict]], selections: list[str]
) -> dict:
    """Return the lines of the sets of one size, or those of the full training set."""
    ipc = next(iter(cells)).ipc
    final = [row["mean"] for rows in cells.values() for row in rows if row["selection"] == LAST]
    best = None if ipc is None or not final or len(cells) == 1 else max(final)
    return {
        "title": "All training images" if ipc is None else images_per_class(ipc).capitalize(),
        "rows": [
            _line(results, sources, cells[cell], selections, best)
            for cell in sorted(cells, key=lambda cell: cell.order)
        ],
    }


def _line(
    results: Results,
    sources: Sources,
    rows: list[dict],
    selections: list[str],
    best: float | None,
) -> dict:
    """Return the line of a cell. ``rows``: of its selections; ``best``: the mean of the best."""
    cell, network = Cell.of(rows[0]), rows[0]["network"]
    of = {row["selection"]: row for row in rows}
    final = of.get(LAST)
    usual = next(of[name] for name in selections if name in of) if final is None else final
    figures = sources.beside(results, cell, network)
    gain = None if final is None else _gain(results, cell, network)
    return {
        "cell": key_of(cell),
        "rule": "train_vanilla" if cell.method == WHOLE else "evaluate_synthetic",
        "method": results.method_title(cell.method),
        "start": "" if cell.ipc is None else results.start(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "best": bool(best is not None and final is not None and final["mean"] == best),
        "imported": cell.init == IMPORTED,
        "results": [
            _result(results, of[name], usual) if name in of else None for name in selections
        ],
        "count": counts_of(usual),
        "gain": "" if gain is None else signed(gain),
        "loss": gain is not None and gain < 0,
        "share": _share(results.full(cell.dataset, network), cell, final),
        "published": figures[0],
        "course": figures[1],
    }


def _gain(results: Results, cell: Cell, network: str) -> float | None:
    """Return how many points a cell is above random images: over the pairs of networks, as
    everywhere on the page, so that one difference is one number."""
    if cell.ipc is None or cell.method == RANDOM:
        return None
    comparison = results.compared(cell.dataset, network, cell.ipc)
    random = next((other for other in comparison.cells if other[0] == RANDOM), None)
    above = None if random is None else comparison.between((cell.method, cell.init), random)
    return None if above is None else 100 * above.difference


def _share(full: FullTraining | None, cell: Cell, final: Mapping[str, Any] | None) -> str:
    """Return what a cell reaches in percent of what the full training set reaches."""
    if full is None or not full.mean > 0 or final is None or cell.ipc is None:
        return ""
    return percent(final["mean"] / full.mean, 1)


def _result(results: Results, row: Mapping[str, Any], usual: Mapping[str, Any]) -> dict:
    """Return an accuracy of a line, with its count where it is not the line's."""
    return {
        "mean": percent(row["mean"]),
        "std": percent(row["std"]) if row["count"] > 1 else "",
        "count": counts_of(row) if row["count"] != usual["count"] else "",
        "same": _is_final(results, row),
    }


def _is_final(results: Results, row: Mapping[str, Any]) -> bool:
    """Say whether the snapshots that a selection chose are all the final images: its accuracy is
    then of the same sets, by its own networks."""
    if row["selection"] not in (BEST_VALIDATION, BEST_TEST):
        return False
    chosen, saved = results.once("snapshots", lambda: _snapshots(results))
    key = tuple(row[name] for name in _CELL)
    last = saved.get(key)
    return last is not None and chosen.get((*key, row["selection"])) == {last}


_CELL = ("dataset", "network", "ipc", "method", "init")


def _snapshots(results: Results) -> tuple[dict[tuple, set[float]], dict[tuple, float]]:
    """Return the iterations that each selection of a cell chose, and the last that was saved."""
    rows = results.measured("accuracy")
    rows = rows[rows["selection"].isin((SNAPSHOT, BEST_VALIDATION, BEST_TEST))]
    chosen: dict[tuple, set[float]] = {}
    saved: dict[tuple, float] = {}
    for *key, selection, at in zip(*(rows[name] for name in (*_CELL, "selection", "iteration"))):
        if selection == SNAPSHOT:
            saved[tuple(key)] = max(at, saved.get(tuple(key), at))
        else:
            chosen.setdefault((*key, selection), set()).add(at)
    return chosen, saved


def _untested_notes(results: Results, dataset: str) -> list[str]:
    """Name the classes that no test image is of, so that nothing can be said of them."""
    if dataset not in results.data:
        return []
    data = results.data[dataset]
    counts = np.bincount(np.asarray(data.test_labels), minlength=len(data.classes))
    empty = [class_name(data.classes, int(index)) for index in np.flatnonzero(counts == 0)]
    if not empty:
        return []
    shown = ", ".join(empty[:SHOWN_CLASSES]) + (
        f" and {len(empty) - SHOWN_CLASSES} more" if len(empty) > SHOWN_CLASSES else ""
    )
    return [
        f"There is no test image of {'class' if len(empty) == 1 else 'the classes'} {shown}: every "
        f"accuracy is over the {len(data.classes) - len(empty)} other classes of "
        f"{len(data.classes)}."
    ]


def _others(results: Results, sources: Sources, dataset: str) -> dict | None:
    """Return the published figures of every method at the study's set sizes, on ConvNet."""
    table = published.table()
    ipcs = [int(ipc) for ipc in results.ipcs(dataset)]
    table = table[
        (table["dataset"] == dataset) & (table["network"] == "ConvNet") & (table["strategy"] == "")
    ]
    table = table[(table["protocol"] == "published") & table["ipc"].isin(ipcs)]
    if table.empty:
        return None
    ipcs = [ipc for ipc in ipcs if ipc in set(table["ipc"])]
    lines = []
    for (method, note), part in table.groupby(["method", "note"], sort=False):
        if note == "learned on ConvNet":  # cross-architecture tables repeat the ConvNet column
            continue
        cells = [sources.cell(part[part["ipc"] == ipc]) for ipc in ipcs]
        if any(cells):
            order = next(cell["value"] for cell in cells if cell)
            lines.append(
                {
                    "method": method_title(str(method)),
                    "note": note,
                    "cells": cells,
                    "order": order,
                }
            )
    lines.sort(key=lambda line: -line["order"])
    return {"ipcs": [images_per_class(ipc) for ipc in ipcs], "rows": lines}
