"""Class-incremental learning."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from distillery.published import figures as published
from distillery.report import charts
from distillery.report.cells import Cell
from distillery.report.charts import Chart, Look, Series
from distillery.report.drawn import heat_cell, means_by_cell, names_at_ends
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    blank,
    byte_count,
    images_per_class,
    init_rank,
    method_rank,
    network_rank,
    plus_minus,
    quantity,
    rank,
    sets_and_networks,
)
from distillery.vocabulary import (
    AFTERWARDS,
    FINETUNE,
    GDUMB,
    JOINT,
    PER_STEP,
    REPLAY,
    STRATEGIES,
)

TITLES = {
    FINETUNE: ("Fine-tuning", "one group after another, nothing kept"),
    JOINT: ("Joint", "all groups seen so far together: the bound"),
    REPLAY: ("Replay", "the memory set mixed in from the second group on"),
    AFTERWARDS: ("Afterwards", "fine-tuning, then the memory set alone"),
    GDUMB: ("GDumb", "a fresh network after each group, on the memory alone"),
}
MEASURES = {
    "overall_accuracy": "Accuracy on all classes, %",
    "average_accuracy": "Mean accuracy of the groups seen so far, %",
}
# Strategies have their panels, and their lines still differ where pictures lie side by side.
WIDTHS = {FINETUNE: 1.4, JOINT: 1.4, AFTERWARDS: 1.4, GDUMB: 2.8}
# What is shown of all stages together, beside the accuracy on all classes at the end.
OVER_STAGES = ("average_incremental_accuracy", "forgetting", "backward_transfer")


class _Run(NamedTuple):
    """The networks that learned by one strategy from one memory; ``ipc`` is NaN where there is
    none. ``kind``: how the memory came about."""

    strategy: str
    kind: str
    method: str
    init: str
    ipc: float

    @property
    def order(self) -> tuple:
        size = math.inf if blank(self.ipc) else self.ipc
        place = rank(STRATEGIES, self.strategy)
        made = method_rank(self.method), init_rank(self.init)
        return (place, *made, size, self.kind == PER_STEP)

    def memory(self, results: Results) -> str:
        """Name the memory; nothing where there is none."""
        if not self.method:
            return ""
        size = "" if blank(self.ipc) else f", {images_per_class(self.ipc)}"
        return results.name(self.method, self.init) + size

    @property
    def made(self) -> str:
        """Say how the memory came about, where that is to be told."""
        return "made per step" if self.kind == PER_STEP else ""

    def look(self, results: Results, dataset: str) -> Look:
        """Return how its line looks: dashes tell the size of the memory, the width the strategy."""
        width = WIDTHS.get(self.strategy, Look.width)
        if self.method:
            dash = results.size_dash(dataset, self.ipc)
            return replace(results.look(self.method, self.init), dash=dash, width=width)
        return Look(0, "s", "open" if self.strategy == JOINT else "full", "dotted", width)

    @property
    def panel(self) -> tuple[str, str] | None:
        """Return the panel of its line: that of its strategy and kind of memory; ``None``, where it
        has no memory, for all."""
        return (self.strategy, self.kind) if self.method else None

    def title(self) -> str:
        """Name the strategy."""
        return TITLES.get(self.strategy, (self.strategy, ""))[0]

    def label(self, results: Results) -> str:
        """Name strategy and memory."""
        memory = ", ".join(part for part in (self.memory(results), self.made) if part)
        return f"{self.title()}{': ' if memory else ''}{memory}"


def view(results: Results) -> list[dict]:
    """Return the charts and tables of every dataset, network and number of groups that learned
    so."""
    return [_block(results, *about, rows) for about, rows in _parts(results)]


def ways(results: Results) -> dict[str, tuple[str, list[tuple[_Run, pd.DataFrame]]]]:
    """Return the dataset and the runs of each dataset, network and number of groups, in the
    report's order, by a name that a file can have."""
    named = {}
    for (dataset, network), rows in _parts(results):
        steps = rows["steps"].iloc[0]
        groups = "" if blank(steps) else f"_{steps:.0f}groups"
        named[f"{dataset}_{network}{groups}"] = dataset, _runs(rows)
    return named


def _parts(results: Results) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    rows = results.metrics[results.metrics["strategy"] != ""]
    for dataset in results.datasets:
        learned = rows[rows["dataset"] == dataset]
        for network in sorted(set(learned["network"]), key=network_rank):
            of_network = learned[learned["network"] == network]
            for _, part in of_network.groupby("steps", dropna=False):
                yield (dataset, network), part


def _runs(rows: pd.DataFrame) -> list[tuple[_Run, pd.DataFrame]]:
    keys = ["strategy", "memory", "method", "init", "ipc"]
    runs = [(_Run._make(key), part) for key, part in rows.groupby(keys, dropna=False)]
    return sorted(runs, key=lambda run: run[0].order)


def _block(results: Results, dataset: str, network: str, rows: pd.DataFrame) -> dict:
    runs = _runs(rows)
    lines = [_line(results, dataset, network, *run) for run in runs]
    steps, orders = rows["steps"].iloc[0], rows["order"].nunique(dropna=False)
    about = [results.title(dataset), network, "" if blank(steps) else f"{steps:.0f} groups"]
    about.append(f"{orders} orders" if orders > 1 else "")
    return {
        "title": ", ".join(part for part in about if part),
        "orders": orders,
        "equal": len({line["bytes"] for line in lines if line["bytes"]}) <= 1,
        "has_bytes": any(line["bytes"] for line in lines),
        "charts": [
            {"title": MEASURES[name], "charts": drawn}
            for name in MEASURES
            if (drawn := _charts(results, dataset, name, runs))
        ],
        "rows": lines,
        "has_course": any(line["course"] for line in lines),
        "has": {name: any(line[name] for line in lines) for name in OVER_STAGES},
        "untested": ", ".join(str(index) for index in _untested(rows)),
        "matrices": [matrix for run in runs if (matrix := _matrix(results, *run))],
    }


def _line(results: Results, dataset: str, network: str, run: _Run, rows: pd.DataFrame) -> dict:
    """Return what the networks of a run reach in the end."""
    memory = run.memory(results)
    ipc, steps = (None if blank(x) else int(x) for x in (run.ipc, rows["steps"].iloc[0]))
    line = {
        "cell": key_of(Cell(dataset, run.method, run.init, ipc)),
        "rule": "continual_memory" if memory else "continual_alone",
        "asked": {"strategy": run.strategy, "memory": run.kind, "steps": steps or ""},
        "strategy": run.title(),
        "meaning": TITLES.get(run.strategy, ("", ""))[1],
        "memory": memory,
        "made": run.made,
        "colour": run.look(results, dataset).colour,
        "count": "",
    }
    for measure in MEASURES:
        final = _final(rows, measure)
        line[measure] = _spread(final["value"])
        if len(final):
            line["count"] = _count(final, bool(memory))
    for measure in OVER_STAGES:
        line[measure] = _spread(rows[rows["measure"] == measure]["value"])
    stored = rows[rows["measure"] == "memory_bytes"]["value"]
    line["bytes"] = byte_count(stored.mean()) if len(stored) else ""
    course = published.lookup(
        dataset,
        run.method,
        ipc=ipc,
        protocol=published.PROTOCOLS[1],
        network=network,
        strategy=run.strategy,
    )
    # As many groups of the classes, in the dataset's own order, as the course project learned.
    course = course[course["groups"].isin(rows["steps"].dropna().unique())]
    alike = rows["steps"].nunique() <= 1 and set(rows["order"].dropna()) <= {0}
    shown = len(course) and alike and run.kind != PER_STEP
    line["course"] = course.iloc[0]["printed"] if shown else ""
    return line


def _count(final: pd.DataFrame, memory: bool) -> str:
    """Count the orders, sets and networks of a mean; orders where there are several, sets where
    there is a memory."""
    orders = final["order"].nunique(dropna=False)
    sets = final["seed"].nunique(dropna=False)
    most = int(final.groupby(["order", "seed"], dropna=False).size().max())
    if orders == 1:
        return sets_and_networks(sets, most, len(final)) if memory else quantity(most, "network")
    if len(final) != orders * sets * most:
        return f"{quantity(orders, 'order')}, {quantity(len(final), 'network')}"
    return f"{orders} × {sets} × {most}" if memory else f"{orders} × {most}"


def _final(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Select the rows of a measure after the last stage, where it has stages."""
    rows = rows[rows["measure"] == measure]
    return rows[rows["stage"] == rows["stage"].max()] if rows["stage"].notna().any() else rows


def _spread(values: pd.Series) -> str:
    numbers = values.to_numpy()
    return plus_minus(numbers.mean(), numbers.std(), len(numbers)) if len(numbers) else ""


def panels(runs: list[tuple[_Run, pd.DataFrame]]) -> list[list[tuple[_Run, pd.DataFrame]]]:
    """Part runs by strategy and kind of memory; those without a memory are in each part."""
    alone = [run for run in runs if run[0].panel is None]
    parts = dict.fromkeys(run[0].panel for run in runs if run[0].panel is not None)
    return [[*alone, *(run for run in runs if run[0].panel == part)] for part in parts] or [alone]


def _charts(
    results: Results, dataset: str, measure: str, runs: list[tuple[_Run, pd.DataFrame]]
) -> list[Chart]:
    """Draw a measure over the stages: a chart for each strategy, a line for each memory, and what
    learning all classes together reaches as the bound."""
    bounds = [
        ("joint, all classes", float(_final(rows, measure)["value"].to_numpy().mean()))
        for run, rows in runs
        if run.strategy == JOINT
        and measure == "overall_accuracy"
        and (rows["measure"] == measure).any()
    ]
    drawn = []
    memories = [run for run, _ in runs if run.method]
    names = names_at_ends(results, ((run.method, run.init) for run in memories))
    several = len({run.ipc for run in memories}) > 1
    for panel in panels(runs):
        last = panel[-1][0]
        named = ", ".join(part for part in (last.title(), last.made) if part)
        about = Chart(
            named if last.panel else "Without a memory",
            f"{MEASURES[measure]}, {results.title(dataset)}",
            "after stage",
            tuple(
                replace(line, short=_short(run, names, several))
                for run, rows in panel
                if (line := curve(results, dataset, measure, run, rows))
            ),
            percent=True,
            whole_x=True,
            bounds=tuple(bounds[-1:]),
        )
        drawn.append(charts.chart(about))
    return [chart for chart in drawn if chart is not None]


def _short(run: _Run, names: dict[tuple[str, str], str], several: bool) -> str:
    """Name a run at the end of its line, by the size of its memory where there are several."""
    if not run.method:
        return run.title()
    size = f", {run.ipc:g} IPC" if several and not blank(run.ipc) else ""
    return names[run.method, run.init] + size


def curve(
    results: Results, dataset: str, measure: str, run: _Run, rows: pd.DataFrame
) -> Series | None:
    """Draw a measure of a run over its stages, counted from 1, under the name of its memory."""
    rows = rows[(rows["measure"] == measure) & rows["stage"].notna()]
    if rows.empty:
        return None
    ((_, means),) = means_by_cell(rows.assign(stage=rows["stage"] + 1), "stage")
    name = run.memory(results) or run.title()
    return means.line(name, run.look(results, dataset))[0]


def _matrix(results: Results, run: _Run, rows: pd.DataFrame) -> dict | None:
    """Return the accuracy of each group after each stage."""
    rows = rows[(rows["measure"] == "accuracy") & rows["stage"].notna() & rows["group"].notna()]
    if rows.empty:
        return None
    table = rows.pivot_table(index="stage", columns="group", values="value", aggfunc="mean")
    return {
        "title": run.label(results),
        "groups": [int(group) + 1 for group in table.columns],
        "rows": [
            {
                "stage": int(stage) + 1,
                "cells": [heat_cell(value, 0, 1) for value in row],
            }
            for stage, row in zip(table.index, table.to_numpy())
        ],
    }


def _untested(rows: pd.DataFrame) -> list[int]:
    """List the groups that no test image is of, counted from 1."""
    stages = rows[(rows["strategy"] != AFTERWARDS) & rows["stage"].notna()]["stage"]
    tested = set(rows[(rows["measure"] == "accuracy") & rows["group"].notna()]["group"])
    if not tested or stages.empty:
        return []
    return [index + 1 for index in range(int(stages.max()) + 1) if index not in tested]
