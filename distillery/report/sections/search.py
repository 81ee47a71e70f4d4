"""What sets are good for in a search: whether they rank networks as the full training set does."""

from typing import Any

import pandas as pd

from distillery.report.cells import Cell, cell_rows
from distillery.report.results import Results
from distillery.report.sections.traced import key_of
from distillery.report.words import blank, images_per_class, percent, quantity
from distillery.times import duration
from distillery.vocabulary import WHOLE

ACCURACY, FLOPS = "search_accuracy", "search_flops"


def view(results: Results) -> list[dict]:
    """Return a table for each dataset that was searched on, the best of its networks and how many
    there are."""
    return [
        block
        for dataset in results.datasets
        if (block := _block(results, dataset, results.measured(ACCURACY, dataset=dataset)))
    ]


def _block(results: Results, dataset: str, rows: pd.DataFrame) -> dict | None:
    full = rows[(rows["method"] == WHOLE) & (rows["split"] == "test")]
    if full.empty:
        return None
    worth = full.groupby("network")["value"].mean()
    whole = Cell(dataset, WHOLE, "", None)
    lines = [
        _line(results, cell, part, worth, _took(results, whole), _operations(results, whole))
        for cell, part in cell_rows(rows[rows["method"] != WHOLE])
    ]
    lines.sort(key=lambda line: -line["order"])
    return {
        "title": results.title(dataset),
        "count": quantity(len(worth), "network"),
        "best": f"{worth.idxmax()}",
        "best_accuracy": percent(worth.max(), 1),
        "worst_accuracy": percent(worth.min(), 1),
        "rows": lines,
    }


def _line(
    results: Results,
    cell: Cell,
    rows: pd.DataFrame,
    worth: pd.Series,
    took: float | None,
    operations: float,
) -> dict:
    """Return how well the sets of a cell rank the networks: means over its sets."""
    judged = rows[rows["split"] == ("validation" if "validation" in set(rows["split"]) else "test")]
    picked = judged.groupby("network")["value"].mean().idxmax()
    mine, spent = _took(results, cell), _operations(results, cell)
    sets = rows["seed"].nunique(dropna=False)
    correlation = _fact(results, cell, "search_spearman")
    return {
        "order": -2.0 if correlation is None else correlation,
        "cell": key_of(cell),
        "set": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "size": images_per_class(cell.ipc),
        "sets": sets,
        "spearman": _with_interval(results, cell, "search_spearman", "{:.2f}"),
        "kendall": _with_interval(results, cell, "search_kendall", "{:.2f}"),
        "regret": _with_interval(results, cell, "search_regret", "{:.1f}", 100),
        "picked": picked,
        "accuracy": percent(worth.get(picked, float("nan")), 1),
        "operations": f"{operations / spent:.3g} times" if spent else "",
        "time": f"{duration(mine)} of {duration(took)}" if mine and took else "",
    }


def _rows(results: Results, cell: Cell, measure: str) -> pd.DataFrame:
    rows = results.measured(measure, dataset=cell.dataset, method=cell.method, init=cell.init)
    return rows if cell.ipc is None else rows[rows["ipc"] == cell.ipc]


def _fact(results: Results, cell: Cell, measure: str) -> float | None:
    """Return the mean of a fact over the sets of a cell; ``None`` where it has no value."""
    values = _rows(results, cell, measure)["value"]
    return None if values.empty else float(values.mean())


def _with_interval(results: Results, cell: Cell, measure: str, form: str, times: float = 1) -> str:
    """Write a fact and its 95 % interval: that of its one set, or of several the mean of their
    ends."""
    value, low, high = (_fact(results, cell, f"{measure}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return ""
    written = form.format(times * value)
    if low is not None and high is not None:
        written += f" ({form.format(times * low)} to {form.format(times * high)})"
    return written.replace("-", "\u2212")


def _operations(results: Results, cell: Cell) -> float:
    """Return the operations of training each network once, of one set."""
    rows = _rows(results, cell, FLOPS)
    return float(rows.groupby("network")["value"].mean().sum())


def _took(results: Results, cell: Cell) -> float | None:
    """Return the mean seconds of the jobs that trained the networks; ``None`` where none tells."""
    rule = "search_full" if cell.method == WHOLE else "search"
    records: list[dict[str, Any]] = [
        record
        for record in results.costs
        if record.get("rule") == rule
        and not blank(record.get("seconds"))
        and Cell.of(record) == cell
    ]
    return sum(float(record["seconds"]) for record in records) / len(records) if records else None
