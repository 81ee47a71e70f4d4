"""Curves of distillation and of training, and accuracies of each class."""

import pandas as pd

from distillery.report.cells import CELL, cell_rows
from distillery.report.drawn import chart_of, heat_cell, legend_of
from distillery.report.results import Results
from distillery.report.words import (
    blank,
    class_name,
    dataset_title,
    images_per_class,
    method_rank,
    method_title,
    network_rank,
    quantity,
)


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Only the networks that were measured at every point: a mean over others would jump where they
    come in."""
    if rows.empty:
        return rows
    points = rows.groupby([*CELL, "seed", "model"], dropna=False)["epoch"].transform("nunique")
    return rows[
        points == points.groupby([rows[name] for name in CELL], dropna=False).transform("max")
    ]


def _line_notes(kinds: dict[str, pd.DataFrame]) -> str:
    """What each kind of line is, and over how many networks: the test curve is that of one network
    of each set.

    On a small set testing along the way costs more than training: for one image per class of MNIST,
    300 epochs and 5 points, testing four more networks would take 200 000 forward passes, where all
    their training takes 45 000 (a step counted as three).
    """
    said = []
    for name, rows in kinds.items():
        if len(rows):
            counts = rows.groupby([*CELL, "seed"], dropna=False)["model"].nunique(dropna=False)
            few, many = int(counts.min()), int(counts.max())
            networks = quantity(many, "network") if few == many else f"{few} to {many} networks"
            said.append(f"{name}, {networks}{'' if rows['ipc'].isna().all() else ' per set'}")
    text = "; ".join(said)
    return text[:1].upper() + text[1:] + "." if text else ""


def view(results: Results) -> list[dict]:
    blocks = []
    for dataset in results.datasets:
        groups = []
        for ipc in results.ipcs(dataset) or sorted(
            set(results.measured("matching_loss", dataset=dataset)["ipc"].dropna())
        ):
            charts, cells = [], []
            where = f"{dataset_title(dataset)}, {images_per_class(ipc)}"
            for measure, word in (
                ("matching_loss", "matching loss"),
                ("step_size", "learned step size"),
            ):
                rows = results.measured(measure, dataset=dataset, ipc=ipc)
                for method in sorted(set(rows["method"]), key=method_rank):
                    part = rows[(rows["method"] == method) & rows["iteration"].notna()]
                    chart = chart_of(
                        results,
                        f"{method_title(method, results.titles)}: {word}",
                        part,
                        "iteration",
                        "iteration",
                        where,
                    )
                    if chart:
                        charts.append(chart)
                        cells += list(zip(part["method"], part["init"]))
            snapshots = results.measured("accuracy", dataset=dataset, ipc=ipc, selection="snapshot")
            networks = sorted(set(snapshots["network"]), key=network_rank)
            for network in networks:
                part = snapshots[(snapshots["network"] == network) & snapshots["iteration"].notna()]
                test, other = part[part["split"] == "test"], part[part["split"] == "validation"]
                chart = chart_of(
                    results,
                    f"{network}: accuracy of snapshots, %",
                    test if len(test) else other,
                    "iteration",
                    "iteration",
                    where,
                    thin=other if len(test) else None,
                    percent=True,
                )
                if chart:
                    chart["note"] = _line_notes({"thick: test": test, "thin: validation": other})
                    charts.append(chart)
                    cells += list(zip(part["method"], part["init"]))
            if charts:
                groups.append(
                    {
                        "title": f"Distillation, {images_per_class(ipc)}",
                        "charts": charts,
                        "legend": legend_of(results, cells),
                    }
                )
        for ipc in [*results.ipcs(dataset), None]:
            charts, cells = [], []
            where = f"{dataset_title(dataset)}, {images_per_class(ipc)}"
            for network in results.networks(dataset):
                for measure, word in (("accuracy", "accuracy, %"), ("loss", "loss")):
                    rows = results.measured(measure, dataset=dataset, network=network)
                    rows = rows[
                        (rows["method"] != "")  # experts have curves too, but are no result
                        & rows["epoch"].notna()
                        & (rows["strategy"] == "")
                        & rows["stage"].isna()
                        & rows["class"].isna()
                    ]
                    rows = rows[rows["ipc"].isna() if ipc is None else rows["ipc"] == ipc]
                    test, train = (
                        _complete(rows[rows["split"] == split]) for split in ("test", "train")
                    )
                    chart = chart_of(
                        results,
                        f"{network}: {word}",
                        test if len(test) else train,
                        "epoch",
                        "epoch of training",
                        where,
                        thin=train if len(test) else None,
                        percent=measure == "accuracy",
                    )
                    if chart:
                        chart["note"] = _line_notes(
                            {"thick: test": test, "thin: training images": train}
                        )
                        charts.append(chart)
                        cells += list(zip(rows["method"], rows["init"]))
            if charts:
                title = (
                    "Training on the full training set"
                    if ipc is None
                    else f"Training on the sets, {images_per_class(ipc)}"
                )
                groups.append(
                    {"title": title, "charts": charts, "legend": legend_of(results, cells)}
                )
        heats = _class_heat(results, dataset)
        if groups or heats:
            blocks.append({"dataset": dataset_title(dataset), "groups": groups, "heats": heats})
    return blocks


def _class_heat(results: Results, dataset: str) -> list[dict]:
    networks = results.networks(dataset)
    rows = results.measured("class_accuracy", dataset=dataset, split="test")
    rows = rows[rows["class"].notna() & (rows["strategy"] == "")]
    names = results.classes(dataset)
    found = []
    for network in networks[:1]:
        part = rows[(rows["network"] == network) & (rows["selection"] == "last")]
        if part.empty:
            continue
        lines = []
        for cell, own in cell_rows(part):
            by_class = own.groupby("class")["value"].mean()
            label = results.name(cell["method"], cell["init"])
            lines.append(
                {
                    "label": label,
                    "size": "" if blank(cell["ipc"]) else f"{int(cell['ipc'])}",
                    "values": by_class,
                }
            )
        every = [v for line in lines for v in line["values"]]
        low, high = min(every), max(every)
        indices = sorted(
            {int(i) for line in lines for i in line["values"].index} | set(range(len(names)))
        )
        for line in lines:
            line["cells"] = [heat_cell(line["values"].get(i), low, high) for i in indices]
        counts = part.groupby([*CELL, "seed"], dropna=False)["model"].nunique(dropna=False)
        few, many = int(counts.min()), int(counts.max())
        found.append(
            {
                "network": network,
                "classes": [class_name(names, i) for i in indices],
                "rows": lines,
                "networks": quantity(many, "network")
                if few == many
                else f"{few} to {many} networks",
                "untested": [
                    class_name(names, i)
                    for i in indices
                    if not any(i in line["values"].index for line in lines)
                ],
            }
        )
    return found
