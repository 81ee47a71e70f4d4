"""Where each method stands on one axis."""

import math

from distillery.published import figures as published
from distillery.report import charts as figures
from distillery.report.results import Results
from distillery.report.sections.sources import Sources
from distillery.report.words import images_per_class, percent, plus_minus


def ladder_of(results: Results, sources: Sources, dataset: str, ipc: float) -> dict | None:
    """Where each method stands on one axis, the published figures beside, on the dataset's first
    network."""
    network = results.networks(dataset)[0]
    rows = results.summary
    rows = rows[
        (rows["dataset"] == dataset)
        & (rows["network"] == network)
        & (rows["ipc"] == ipc)
        & (rows["selection"] == "last")
    ]
    if len(rows) < 2:
        return None
    lines = []
    for _, row in rows.iterrows():
        looked = [
            sources.cell(
                published.lookup(
                    dataset,
                    row["method"],
                    ipc=int(ipc),
                    init=row["init"],
                    protocol=p,
                    network=network,
                )
            )
            for p in published.PROTOCOLS
        ]
        lines.append((row, *looked))
    lines.sort(key=lambda line: -line[0]["mean"])
    whole = results.full(dataset, network)
    values = [100 * (r["mean"] + s * r["std"]) for r, _, _ in lines for s in (-1, 1)]
    # What was measured under another protocol has no place on the axis.
    lines = [
        (row, *(cell if cell and not cell["not_comparable"] else None for cell in looked))
        for row, *looked in lines
    ]
    values += [c["value"] for _, p, q in lines for c in (p, q) if c] + (
        [100 * whole["mean"]] if whole is not None else []
    )
    low, high = (
        max(0.0, 10 * math.floor((min(values) - 3) / 10)),
        min(100.0, 10 * math.ceil((max(values) + 1) / 10)),
    )

    def place(value):
        return round(100 * (value - low) / (high - low), 2)

    drawn = []
    for row, theirs, course in lines:
        mean, std = 100 * row["mean"], 100 * row["std"]
        start = max(mean - std, low)
        drawn.append(
            {
                "label": results.name(row["method"], row["init"]),
                "colour": results.colours.get(row["method"], 0),
                "value": plus_minus(row["mean"], row["std"], row["count"], 1),
                "at": place(mean),
                "from": place(start),
                "width": round(place(min(mean + std, high)) - place(start), 2),
                "published": theirs and theirs | {"at": place(theirs["value"])},
                "course": course and course | {"at": place(course["value"])},
            }
        )
    marks = figures.ticks(low, high, 5)
    return {
        "title": f"{images_per_class(ipc)}, {network}",
        "rows": drawn,
        "ticks": [{"at": place(mark), "text": f"{mark:g}"} for mark in marks],
        "whole": None
        if whole is None
        else {
            "at": place(100 * whole["mean"]),
            "text": percent(whole["mean"], 1) + (" (see the note)" if whole["caveats"] else ""),
        },
        "any_published": any(row["published"] for row in drawn),
        "any_course": any(row["course"] for row in drawn),
    }
