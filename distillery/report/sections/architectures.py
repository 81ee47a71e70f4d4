"""Accuracy on other networks than a set was made with."""

from distillery.published import figures as published
from distillery.report.cells import cell_rows
from distillery.report.drawn import heat_cell
from distillery.report.results import Results
from distillery.report.words import blank, dataset_title, percent


def view(results: Results) -> list[dict]:
    blocks = []
    for dataset in results.datasets:
        networks = results.networks(dataset)
        if len(networks) < 2:
            continue
        rows = results.summary[
            (results.summary["dataset"] == dataset) & (results.summary["selection"] == "last")
        ]
        low, high = rows["mean"].min(), rows["mean"].max()
        lines = []
        for cell, part in cell_rows(rows):
            cells = []
            for network in networks:
                own = part[part["network"] == network]
                if own.empty:
                    cells.append(None)
                    continue
                row = own.iloc[0]
                looked = published.lookup(
                    dataset,
                    cell["method"],
                    ipc=None if blank(cell["ipc"]) else int(cell["ipc"]),
                    init=cell["init"],
                    network=network,
                )
                theirs = looked[looked["protocol"] == "published"]
                heat = heat_cell(row["mean"], low, high)
                heat["std"] = percent(row["std"], 1) if row["count"] > 1 else ""
                heat["published"] = (
                    None if theirs.empty else theirs.iloc[0]["printed"].split(" ")[0]
                )
                heat["unconfirmed"] = not theirs.empty and theirs.iloc[0]["evidence"] == "M"
                cells.append(heat)
            size = "all" if blank(cell["ipc"]) else f"{int(cell['ipc'])}"
            lines.append(
                {"label": results.name(cell["method"], cell["init"]), "size": size, "cells": cells}
            )
        blocks.append({"dataset": dataset_title(dataset), "networks": networks, "rows": lines})
    return blocks
