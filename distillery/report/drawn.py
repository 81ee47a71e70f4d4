"""Charts, legends and heat cells of a study's rows."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from distillery.report import charts as figures
from distillery.report.cells import cell_rows
from distillery.report.charts import Series
from distillery.report.results import Results
from distillery.report.words import blank, init_rank, method_rank, percent


def curve_of(
    rows: pd.DataFrame, x: str, label: str, style: dict, *, thin: bool = False
) -> tuple[Series, int] | None:
    """Draw the means of rows over the column ``x``, with a band of one deviation where there are
    several.

    Returns:
        The line, and over how many points in a row each of its points is the mean.
    """
    if rows.empty:
        return None
    grouped = rows.groupby(x)["value"]
    mean, std, count = grouped.mean(), grouped.std(ddof=0), grouped.size()
    size, at, (y, spread) = figures.shorten(mean.index.to_numpy(), mean.to_numpy(), std.to_numpy())
    band = bool(count.max() > 1)
    low, high = (y - spread, y + spread) if band else (None, None)
    return Series(label, at, y, **style, low=low, high=high, thin=thin), size


@dataclass(frozen=True)
class Axes:
    """What a chart is over and where: the column of the rows that ``x`` is, its name, and of what
    the chart is, for a screen reader."""

    x: str
    x_label: str
    where: str
    percent: bool = False


def chart_of(
    results: Results,
    title: str,
    axes: Axes,
    rows: pd.DataFrame,
    thin: pd.DataFrame | None = None,
) -> dict | None:
    """Draw a line for each cell of ``rows``, and a thin one for each of ``thin``; ``None`` where
    there is no point."""
    series, binned = [], 1
    for source, is_thin in ((thin, True), (rows, False)):
        if source is None:
            continue
        for cell, part in cell_rows(source):
            name, style = results.name(*cell[1:3]), results.style(*cell[1:3])
            drawn = curve_of(part, axes.x, name, style, thin=is_thin)
            if drawn is not None:
                series.append(drawn[0])
                binned = max(binned, drawn[1])
    svg = figures.line_chart(
        series, label=f"{title}, {axes.where}", x_label=axes.x_label, percent=axes.percent
    )
    if not svg:
        return None
    note = f"Means over {binned} iterations." if binned > 1 else ""
    return {"title": title, "svg": Markup(svg), "note": note}


def legend_of(results: Results, cells: list[tuple[str, str]]) -> list[dict]:
    """List the lines of cells (method, initialisation), each once, in the report's order."""
    pairs = sorted(set(cells), key=lambda cell: (method_rank(cell[0]), init_rank(cell[1])))
    return [
        {"svg": Markup(figures.swatch(**results.style(*pair))), "label": results.name(*pair)}
        for pair in pairs
    ]


def heat_cell(value: float | None, low: float, high: float, digits: int = 1) -> dict | None:
    """Return a fraction as a cell of a heat map that goes from ``low`` to ``high``."""
    if blank(value):
        return None
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    return {
        "text": percent(value, digits),
        "share": round(share, 3),
        "std": "",
        "published": "",
    }
