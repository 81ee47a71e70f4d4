"""Curves of distillation and of training, and accuracies of each class."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from distillery.report import charts
from distillery.report.cells import CELL, cell_rows
from distillery.report.charts import Chart
from distillery.report.drawn import Axes, accuracies, chart_of, heat_cell
from distillery.report.results import Results
from distillery.report.words import (
    class_name,
    images_per_class,
    method_rank,
    network_rank,
    quantity,
)
from distillery.vocabulary import LAST, SNAPSHOT

# Draws a chart when it is called; ``None`` where it has no point.
Drawing = Callable[[], Chart | None]

# What one page shows at most, of each dataset and of each size: a study may have a thousand.
MOST_SIZES = 8
MOST_CHARTS = 24


def view(results: Results) -> list[dict]:
    """Return the charts of every dataset, by set size, and the accuracies of each class."""
    blocks = []
    for dataset in results.datasets:
        sizes = results.ipcs(dataset)
        losses = results.measured("matching_loss", dataset=dataset)["ipc"]
        groups = []
        groups.append(_group("Accuracy by images per class", _by_size(results, dataset)))
        sizes = sizes or sorted(set(losses.dropna()))
        shown = charts.spaced(sizes, MOST_SIZES)
        for ipc in shown:
            drawn = _snapshots(results, dataset, ipc) + _distillation(results, dataset, ipc)
            groups.append(_group(f"Distillation, {images_per_class(ipc)}", drawn))
        for ipc in [*shown, None]:
            of_sets = ipc is not None
            title = f"Training on the sets, {images_per_class(ipc)}"
            title = title if of_sets else "Training on the full training set"
            groups.append(_group(title, _training(results, dataset, ipc)))
        groups = [group for group in groups if group["charts"]]
        heats = _class_heat(results, dataset)
        if groups or heats:
            left_out = len(sizes) - len(shown)
            blocks.append(
                {
                    "dataset": results.title(dataset),
                    "groups": groups,
                    "heats": heats,
                    "left_out": left_out and f"Curves of {left_out} other sizes are left out.",
                }
            )
    return blocks


def _group(title: str, drawings: list[Drawing]) -> dict:
    """Draw the charts that share a legend, no more than are shown: of a thousand methods each has
    one."""
    drawn: list[Chart] = []
    left = len(drawings)
    for drawing in drawings:
        if len(drawn) == MOST_CHARTS:
            break
        chart = drawing()
        left -= 1
        drawn += [] if chart is None else [chart]
    note = f"{MOST_CHARTS} of {MOST_CHARTS + left:,} charts: the first." if left else ""
    return {"title": title, "charts": drawn, "note": note}


def _by_size(results: Results, dataset: str) -> list[Drawing]:
    """Draw what the final images of each method reach on each network, by their size."""
    return [partial(_of_sizes, results, dataset, network) for network in results.networks(dataset)]


def _of_sizes(results: Results, dataset: str, network: str) -> Chart | None:
    series = accuracies(results, dataset, network, lambda _, cell: cell.ipc)
    if len({x for one in series for x in one.x}) < 2:
        return None
    full = results.full(dataset, network)
    about = Chart(
        f"{network}: test accuracy, %",
        results.title(dataset),
        "images per class",
        tuple(series),
        percent=True,
        whole_x=True,
        log_x=True,
        bounds=() if full is None else (("full training set", full.mean),),
    )
    return charts.chart(about)


def _where(results: Results, dataset: str, ipc: float | None) -> str:
    return f"{results.title(dataset)}, {images_per_class(ipc)}"


def _distillation(results: Results, dataset: str, ipc: float) -> list[Drawing]:
    """Draw the matching loss and the step size of each method."""
    drawings = []
    for measure, word in (("matching_loss", "matching loss"), ("step_size", "learned step size")):
        rows = results.measured(measure, dataset=dataset, ipc=ipc)
        there = set(rows["method"][rows["iteration"].notna()])
        for method in sorted(there, key=method_rank):
            where = {"dataset": dataset, "ipc": ipc, "method": method}
            title = f"{results.method_title(method)}: {word}"
            drawings.append(partial(_along, results, title, measure, where))
    return drawings


def _along(results: Results, title: str, measure: str, where: dict[str, Any]) -> Chart | None:
    axes = Axes("iteration", "iteration", _where(results, where["dataset"], where["ipc"]))
    return chart_of(results, title, axes, results.measured(measure, **where))


def _snapshots(results: Results, dataset: str, ipc: float) -> list[Drawing]:
    """Draw the accuracies of the images on their way, for each network."""
    rows = results.measured("accuracy", dataset=dataset, ipc=ipc, selection=SNAPSHOT)
    networks = sorted(set(rows["network"][rows["iteration"].notna()]), key=network_rank)
    where = {"dataset": dataset, "ipc": ipc, "selection": SNAPSHOT}
    return [partial(_on_the_way, results, {**where, "network": name}) for name in networks]


def _on_the_way(results: Results, where: dict[str, Any]) -> Chart | None:
    place = _where(results, where["dataset"], where["ipc"])
    axes = Axes("iteration", "iteration", place, percent=True)
    rows = results.measured("accuracy", **where)
    rows = rows[rows["iteration"].notna()]
    test, other = (rows[rows["split"] == split] for split in ("test", "validation"))
    title = f"{where['network']}: accuracy of snapshots, %"
    return _over(results, title, axes, (test, other), "validation")


def _training(results: Results, dataset: str, ipc: float | None) -> list[Drawing]:
    """Draw accuracy and loss along the training of each network."""
    return [
        partial(_trained, results, dataset, network, ipc, measure)
        for network in results.networks(dataset)
        for measure in ("accuracy", "loss")
        if len(results.curve(measure, dataset, network, ipc))
    ]


def _trained(
    results: Results, dataset: str, network: str, ipc: float | None, measure: str
) -> Chart | None:
    rows, percent = results.curve(measure, dataset, network, ipc), measure == "accuracy"
    test, train = (_complete(rows[rows["split"] == split]) for split in ("test", "train"))
    axes = Axes("epoch", "epoch of training", _where(results, dataset, ipc), percent)
    title = f"{network}: {measure}{', %' if percent else ''}"
    return _over(results, title, axes, (test, train), "training images")


def _over(
    results: Results,
    title: str,
    axes: Axes,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    other_name: str,
) -> Chart | None:
    """Draw test rows over others; the others alone where there are no test rows."""
    test, other = rows
    thin = other if len(test) else None
    note = _line_notes({"thick: test": test, f"thin: {other_name}": other})
    return chart_of(results, title, axes, test if len(test) else other, thin, note)


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep only the networks that were measured at every point: a mean over others would jump where
    they come in."""
    if rows.empty:
        return rows
    points = rows.groupby([*CELL, "seed", "model"], dropna=False)["epoch"].transform("nunique")
    return rows[
        points == points.groupby([rows[name] for name in CELL], dropna=False).transform("max")
    ]


def _networks_per_set(rows: pd.DataFrame) -> str:
    counts = rows.groupby([*CELL, "seed"], dropna=False)["model"].nunique(dropna=False)
    few, many = int(counts.min()), int(counts.max())
    return quantity(many, "network") if few == many else f"{few} to {many} networks"


def _line_notes(kinds: dict[str, pd.DataFrame]) -> str:
    """Say what each kind of line is, and over how many networks: the test curve is that of one
    network of each set.

    On a small set testing along the way costs more than training: for one image per class of MNIST,
    300 epochs and 5 points, testing four more networks would take 200 000 forward passes, where all
    their training takes 45 000 (a step counted as three).
    """
    notes = [
        f"{name}, {_networks_per_set(rows)}{'' if rows['ipc'].isna().all() else ' per set'}"
        for name, rows in kinds.items()
        if len(rows)
    ]
    text = "; ".join(notes)
    return text[:1].upper() + text[1:] + "." if text else ""


def _class_heat(results: Results, dataset: str) -> list[dict]:
    """Return the accuracy of each class as a heat map, on the dataset's first network."""
    rows = results.measured("class_accuracy", dataset=dataset, split="test", strategy="")
    rows = rows[rows["class"].notna() & (rows["selection"] == LAST)]
    names, maps = results.classes(dataset), []
    for network in results.networks(dataset)[:1]:
        part = rows[rows["network"] == network]
        if part.empty:
            continue
        means = [(cell, group.groupby("class")["value"].mean()) for cell, group in cell_rows(part)]
        tested = {int(index) for _, values in means for index in values.index}
        indices = sorted(tested | set(range(len(names))))
        low = min(values.min() for _, values in means)
        high = max(values.max() for _, values in means)
        lines = [
            {
                "label": results.name(cell.method, cell.init),
                "size": "" if cell.ipc is None else f"{cell.ipc}",
                "cells": [heat_cell(values.get(index), low, high) for index in indices],
            }
            for cell, values in means
        ]
        maps.append(
            {
                "network": network,
                "classes": [class_name(names, index) for index in indices],
                "rows": lines,
                "networks": _networks_per_set(part),
                "untested": [class_name(names, i) for i in indices if i not in tested],
            }
        )
    return maps
