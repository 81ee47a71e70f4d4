"""Accuracy on other networks than a set was made with."""

from collections.abc import Mapping
from typing import Any

from distillery.published import figures as published
from distillery.report.cells import Cell, records
from distillery.report.comparable import apart
from distillery.report.drawn import heat_cell
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import percent
from distillery.vocabulary import LAST, WHOLE


def view(results: Results) -> list[dict]:
    """Return a heat map of each dataset that several networks were trained on."""
    blocks = []
    for dataset in results.datasets:
        networks = results.networks(dataset)
        if len(networks) < 2:
            continue
        rows = results.summary
        rows = rows[(rows["dataset"] == dataset) & (rows["selection"] == LAST)]
        bounds = rows["mean"].min(), rows["mean"].max()
        cells: dict[Cell, dict[str, dict[str, Any]]] = {}
        for row in records(rows):
            cells.setdefault(Cell.of(row), {})[row["network"]] = row
        lines = [
            {
                "cell": key_of(cell),
                "rule": "train_vanilla" if cell.method == WHOLE else "evaluate_synthetic",
                "label": results.name(cell.method, cell.init),
                "size": "all" if cell.ipc is None else f"{cell.ipc}",
                "cells": [
                    _heat(results, cell, cells[cell][network], bounds)
                    if network in cells[cell]
                    else None
                    for network in networks
                ],
            }
            for cell in sorted(cells, key=lambda cell: cell.order)
        ]
        blocks.append({"dataset": results.title(dataset), "networks": networks, "rows": lines})
    return blocks


def _heat(
    results: Results, cell: Cell, row: Mapping[str, Any], bounds: tuple[float, float]
) -> dict | None:
    """Return the accuracy of a network on a set, with the published figure where it was measured
    under the same recipe."""
    network = str(row["network"])
    theirs = published.lookup(
        cell.dataset,
        cell.method,
        ipc=cell.ipc,
        init=cell.init,
        network=network,
        protocol=published.PROTOCOLS[0],
    )
    theirs = theirs[theirs["not_comparable"] == ""]
    if apart(results, cell, network, published.PROTOCOLS[0]):
        theirs = theirs.iloc[:0]
    heat = heat_cell(row["mean"], *bounds)
    if heat is None:
        return None
    return heat | {
        "std": percent(row["std"], 1) if row["count"] > 1 else "",
        "published": None if theirs.empty else theirs.iloc[0]["printed"].split(" ")[0],
        "unconfirmed": not theirs.empty and theirs.iloc[0]["evidence"] == "M",
    }
