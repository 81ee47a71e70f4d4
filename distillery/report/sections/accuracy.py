"""Accuracy of every set and network, beside the published figures."""

import numpy as np

from distillery.published import figures as published
from distillery.report.results import Results
from distillery.report.sections.budgets import astray_notes, budget_table, expert_notes
from distillery.report.sections.images import SHOWN_CLASSES
from distillery.report.sections.ladder import ladder_of
from distillery.report.sections.sources import Sources
from distillery.report.words import (
    INIT_ORDER,
    SELECTIONS,
    class_name,
    counts_of,
    dataset_title,
    images_per_class,
    method_rank,
    method_title,
    percent,
    rank,
    signed,
    start_title,
)


def view(results: Results) -> dict:
    sources, blocks = Sources(), []
    for dataset in results.datasets:
        rows = results.summary[results.summary["dataset"] == dataset]
        if rows.empty:
            continue
        tables = [
            _accuracy_table(results, sources, dataset, network)
            for network in results.networks(dataset)
        ]
        ladders = [
            ladder
            for ipc in results.ipcs(dataset)
            if (ladder := ladder_of(results, sources, dataset, ipc))
        ]
        blocks.append(
            {
                "dataset": dataset_title(dataset),
                "tables": tables,
                "ladders": ladders,
                "budgets": budget_table(results, dataset),
                "notes": expert_notes(results, dataset)
                + astray_notes(results, dataset)
                + _untested_notes(results, dataset),
                "others": _others(results, sources, dataset),
            }
        )
    held_out = bool((results.summary["selection"] == "held_out").any())
    return {"blocks": blocks, "sources": sources.list(), "held_out": held_out}


def _accuracy_table(results: Results, sources: Sources, dataset: str, network: str) -> dict:
    rows = results.summary[
        (results.summary["dataset"] == dataset) & (results.summary["network"] == network)
    ]
    selections = [name for name in SELECTIONS if (rows["selection"] == name).any()]
    full = results.full(dataset, network)
    groups = []
    for ipc in [*sorted(set(rows["ipc"].dropna())), None]:
        part = rows[rows["ipc"].isna() if ipc is None else rows["ipc"] == ipc]
        cells = sorted(
            {(m, i) for m, i in zip(part["method"], part["init"])},
            key=lambda c: (method_rank(c[0]), rank(INIT_ORDER, c[1])),
        )
        random = None if ipc is None else results.result(dataset, network, ipc, "random")
        best = max(
            (
                r["mean"]
                for _, r in part[(part["selection"] == "last")].iterrows()
                if ipc is not None
            ),
            default=None,
        )
        lines = []
        for method, init in cells:
            by_selection = {
                name: results.result(dataset, network, ipc, method, init, name)
                for name in selections
            }
            main = by_selection.get("last")
            counted = (
                main
                if main is not None
                else next(r for r in by_selection.values() if r is not None)
            )
            looked = [
                sources.cell(
                    published.lookup(
                        dataset, method, ipc=ipc, init=init, network=network, protocol=protocol
                    ),
                    init,
                )
                for protocol in published.PROTOCOLS
            ]
            # Over the pairs of networks, as everywhere on the page: one difference, one number.
            above = None
            if random is not None and main is not None and method != "random":
                comparison = results.compared(dataset, network, ipc)
                above = comparison.between((method, init), ("random", random["init"]))
            gain = None if above is None else 100 * above.difference
            usable = full is not None and full["mean"] > 0
            share = (
                main["mean"] / full["mean"]
                if usable and main is not None and ipc is not None
                else None
            )
            lines.append(
                {
                    "method": method_title(method, results.titles),
                    "start": "" if ipc is None else start_title(method, init),
                    "colour": results.colours.get(method, 0),
                    "best": best is not None
                    and main is not None
                    and main["mean"] == best
                    and len(cells) > 1,
                    "imported": init == "imported",
                    "results": [
                        None
                        if r is None
                        else _result_text(r, counted) | {"same": _is_final(results, r)}
                        for r in by_selection.values()
                    ],
                    "count": counts_of(counted),
                    "gain": signed(gain) if gain is not None else "",
                    "loss": gain is not None and gain < 0,
                    "share": percent(share, 1) if share is not None else "",
                    "published": looked[0],
                    "course": looked[1],
                }
            )
        if lines:
            groups.append(
                {
                    "title": "All training images"
                    if ipc is None
                    else images_per_class(ipc).capitalize(),
                    "rows": lines,
                }
            )
    every = [line for group in groups for line in group["rows"]]
    heads = []
    for position, name in enumerate(selections):
        # A count that is the same all the way down belongs into the column's head.
        shown = [line["results"][position] for line in every if line["results"][position]]
        same = {result["count"] for result in shown}
        heads.append({"title": SELECTIONS[name], "count": same.pop() if len(same) == 1 else ""})
        if heads[-1]["count"]:
            for result in shown:
                result["count"] = ""
    return {
        "network": network,
        "selections": heads,
        "groups": groups,
        "has": {
            name: any(line[name] for line in every)
            for name in ("gain", "share", "published", "course")
        },
        "caveats": full["caveats"]
        if full is not None and any(line["share"] for line in every)
        else [],
    }


def _is_final(results: Results, row) -> bool:
    """The snapshots that a selection chose are all the final images: its accuracy is then of the
    same sets, by its own networks."""
    if row["selection"] not in ("best_validation", "best_test"):
        return False
    rows = results.measured(
        "accuracy", **{name: row[name] for name in ("dataset", "network", "ipc", "method", "init")}
    )
    chosen = rows[rows["selection"] == row["selection"]]["iteration"]
    saved = rows[rows["selection"] == "snapshot"]["iteration"]
    return bool(len(chosen) and len(saved) and (chosen == saved.max()).all())


def _result_text(row, usual) -> dict:
    count = counts_of(row) if row["count"] != usual["count"] else ""
    return {
        "mean": percent(row["mean"]),
        "std": percent(row["std"]) if row["count"] > 1 else "",
        "count": count,
    }


def _untested_notes(results: Results, dataset: str) -> list[str]:
    """The classes that no test image is of, so that nothing can be said of them."""
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
        "accuracy is over the "
        f"{len(data.classes) - len(empty)} other classes of {len(data.classes)}."
    ]


def _others(results: Results, sources: Sources, dataset: str) -> dict | None:
    """Published figures of every method at the study's set sizes, on ConvNet."""
    table = published.table()
    ipcs = [int(ipc) for ipc in results.ipcs(dataset)]
    table = table[
        (table["dataset"] == dataset) & (table["network"] == "ConvNet") & (table["strategy"] == "")
    ]
    table = table[(table["protocol"] == "published") & table["ipc"].isin(ipcs)]
    if table.empty:
        return None
    lines = []
    for (method, note), part in table.groupby(["method", "note"], sort=False):
        if note == "learned on ConvNet":  # cross-architecture tables repeat the ConvNet column
            continue
        cells = [sources.cell(part[part["ipc"] == ipc]) for ipc in ipcs]
        if any(cells):
            order = next(cell["value"] for cell in cells if cell)
            lines.append(
                {
                    "method": method_title(method, results.titles),
                    "note": note,
                    "cells": cells,
                    "order": order,
                }
            )
    lines.sort(key=lambda line: -line["order"])
    return {"ipcs": [images_per_class(ipc) for ipc in ipcs], "rows": lines}
