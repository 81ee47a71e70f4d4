"""Charts, legends and heat cells of a study's rows."""

import pandas as pd
from markupsafe import Markup

from distillery.report import charts as figures
from distillery.report.cells import cell_rows
from distillery.report.charts import Series
from distillery.report.results import Results
from distillery.report.words import INIT_ORDER, blank, method_rank, percent, rank


def curve_of(
    rows: pd.DataFrame, x: str, label: str, style: dict, *, thin: bool = False
) -> tuple[Series, int] | None:
    if rows.empty:
        return None
    grouped = rows.groupby(x)["value"]
    mean, std, count = grouped.mean(), grouped.std(ddof=0), grouped.size()
    size, at, (y, spread) = figures.shorten(mean.index.to_numpy(), mean.to_numpy(), std.to_numpy())
    band = bool(count.max() > 1)
    return Series(
        label,
        at,
        y,
        **style,
        low=y - spread if band else None,
        high=y + spread if band else None,
        thin=thin,
    ), size


def chart_of(
    results: Results,
    title: str,
    rows: pd.DataFrame,
    x: str,
    x_label: str,
    where: str,
    thin: pd.DataFrame | None = None,
    **options,
) -> dict | None:
    series, binned = [], 1
    for source, is_thin in ((thin, True), (rows, False)):
        if source is None:
            continue
        for cell, part in cell_rows(source):
            name = results.name(cell["method"], cell["init"])
            made = curve_of(
                part, x, name, results.style(cell["method"], cell["init"]), thin=is_thin
            )
            if made is not None:
                series.append(made[0])
                binned = max(binned, made[1])
    svg = figures.line_chart(series, label=f"{title}, {where}", x_label=x_label, **options)
    if not svg:
        return None
    note = f"Means over {binned} iterations." if binned > 1 else ""
    return {"title": title, "svg": Markup(svg), "note": note}


def legend_of(results: Results, cells: list[tuple[str, str]]) -> list[dict]:
    pairs = sorted(set(cells), key=lambda c: (method_rank(c[0]), rank(INIT_ORDER, c[1])))
    return [
        {"svg": Markup(figures.swatch(**results.style(*pair))), "label": results.name(*pair)}
        for pair in pairs
    ]


def heat_cell(value: float | None, low: float, high: float, digits: int = 1) -> dict | None:
    if blank(value):
        return None
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    return {
        "text": percent(value, digits),
        "share": round(share, 3),
        "hot": share > 0.7,
        "std": "",
        "published": "",
    }
