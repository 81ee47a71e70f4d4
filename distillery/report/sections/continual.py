"""Class-incremental learning."""

import math

import pandas as pd
from markupsafe import Markup

from distillery.published import figures as published
from distillery.report import charts as figures
from distillery.report.drawn import curve_of, heat_cell
from distillery.report.results import Results
from distillery.report.words import (
    INIT_ORDER,
    blank,
    dataset_title,
    images_per_class,
    method_rank,
    network_rank,
    plus_minus,
    quantity,
    rank,
    sets_and_networks,
)

STRATEGIES = {
    "finetune": ("Fine-tuning", "one group after another, nothing kept"),
    "joint": ("Joint", "all groups seen so far together: the bound"),
    "replay": ("Replay", "the memory set mixed in from the second group on"),
    "afterwards": ("Afterwards", "fine-tuning, then the memory set alone"),
}


def view(results: Results) -> list[dict]:
    rows = results.metrics[results.metrics["strategy"] != ""]
    blocks = []
    for dataset in results.datasets:
        for network in sorted(set(rows[rows["dataset"] == dataset]["network"]), key=network_rank):
            own = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            block = _continual_block(results, dataset, network, own)
            if block:
                blocks.append(block)
    return blocks


def _continual_block(
    results: Results, dataset: str, network: str, rows: pd.DataFrame
) -> dict | None:
    lines, runs = [], []
    order = list(STRATEGIES)
    for key, part in rows.groupby(["strategy", "method", "init", "ipc"], dropna=False):
        strategy, method, init, ipc = key
        runs.append(
            (
                (
                    rank(order, strategy),
                    method_rank(method),
                    rank(INIT_ORDER, init),
                    math.inf if blank(ipc) else ipc,
                ),
                key,
                part,
            )
        )
    runs.sort(key=lambda run: run[0])
    charts = {"overall_accuracy": [], "average_accuracy": []}
    legend, matrices, bound = [], [], None
    for _, (strategy, method, init, ipc), part in runs:
        title, meaning = STRATEGIES.get(strategy, (strategy, ""))
        memory = (
            ""
            if not method
            else f"{results.name(method, init)}"
            + ("" if blank(ipc) else f", {images_per_class(ipc)}")
        )
        style = (
            results.style(method, init)
            if method
            else {"colour": 0, "dash": "dotted" if strategy == "joint" else "solid"}
        )
        line = {
            "strategy": title,
            "meaning": meaning,
            "memory": memory,
            "colour": style["colour"],
            "count": "",
        }
        line |= dict.fromkeys(charts, "")
        for measure in charts:
            values = part[part["measure"] == measure]
            if len(values):
                final = (
                    values[values["stage"] == values["stage"].max()]
                    if values["stage"].notna().any()
                    else values
                )
                numbers = final["value"].to_numpy()
                line[measure] = plus_minus(numbers.mean(), numbers.std(), len(numbers))
                sets, most = (
                    final["seed"].nunique(dropna=False),
                    final.groupby("seed", dropna=False).size().max(),
                )
                line["count"] = (
                    sets_and_networks(sets, int(most), len(numbers))
                    if memory
                    else quantity(len(numbers), "network")
                )
                staged = values[values["stage"].notna()]
                if len(staged):
                    made = curve_of(
                        staged.assign(stage=staged["stage"] + 1),
                        "stage",
                        f"{title} {memory}",
                        style,
                    )
                    charts[measure].append((strategy, made[0]))
                if strategy == "joint" and measure == "overall_accuracy":
                    bound = float(numbers.mean())
        forgetting = part[(part["measure"] == "forgetting")]["value"].to_numpy()
        line["forgetting"] = (
            plus_minus(forgetting.mean(), forgetting.std(), len(forgetting))
            if len(forgetting)
            else ""
        )
        looked = published.lookup(
            dataset,
            method,
            ipc=None if blank(ipc) else int(ipc),
            protocol="course project",
            network=network,
            strategy=strategy,
        )
        line["course"] = "" if looked.empty else looked.iloc[0]["printed"]
        lines.append(line)
        legend.append(
            {
                "svg": Markup(figures.swatch(**style)),
                "label": f"{title}{': ' if memory else ''}{memory}",
            }
        )
        groups = part[
            (part["measure"] == "accuracy") & part["stage"].notna() & part["group"].notna()
        ]
        if len(groups):
            table = groups.pivot_table(
                index="stage", columns="group", values="value", aggfunc="mean"
            )
            matrices.append(
                {
                    "title": f"{title}{': ' if memory else ''}{memory}",
                    "groups": [int(g) + 1 for g in table.columns],
                    "rows": [
                        {
                            "stage": int(stage) + 1,
                            "cells": [heat_cell(table.loc[stage, g], 0, 1) for g in table.columns],
                        }
                        for stage in table.index
                    ],
                }
            )
    stages = rows[~rows["strategy"].isin(["afterwards"]) & rows["stage"].notna()]["stage"]
    tested = set(rows[(rows["measure"] == "accuracy") & rows["group"].notna()]["group"])
    untested = (
        [
            index + 1
            for index in range(int(stages.max()) + 1 if len(stages) else 0)
            if index not in tested
        ]
        if tested
        else []
    )
    words = {
        "overall_accuracy": "Accuracy on all classes, %",
        "average_accuracy": "Mean accuracy of the groups seen so far, %",
    }
    drawn = []
    for measure, series in charts.items():
        svg = figures.line_chart(
            [one for _, one in series],
            label=f"{words[measure]}, {dataset_title(dataset)}",
            x_label="after stage",
            percent=True,
            integer_x=True,
            bounds=[("joint, all classes", bound, 0)]
            if bound is not None and measure == "overall_accuracy"
            else (),
        )
        if svg:
            drawn.append({"title": words[measure], "svg": Markup(svg), "note": ""})
    if not lines:
        return None
    return {
        "title": f"{dataset_title(dataset)}, {network}" if network else dataset_title(dataset),
        "charts": drawn,
        "legend": legend,
        "rows": lines,
        "has_course": any(line["course"] for line in lines),
        "has_forgetting": any(line["forgetting"] for line in lines),
        "untested": ", ".join(str(index) for index in untested),
        "matrices": matrices,
    }
