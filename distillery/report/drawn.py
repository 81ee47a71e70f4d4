"""Lines, charts and heat cells of a study's rows."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from distillery.report import charts
from distillery.report.cells import CELL, Cell, records
from distillery.report.charts import Chart, Look, Series
from distillery.report.results import Results
from distillery.report.words import blank, init_rank, method_rank, percent
from distillery.vocabulary import IMPORTED, LAST, NOISE, REAL, WHOLE

# Initialisations where there is little room.
INIT_WORDS = {REAL: "real", NOISE: "noise", IMPORTED: "imported"}


@dataclass(frozen=True)
class Means:
    """The points of a line: where, and the mean, deviation and number of what was measured
    there."""

    at: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    count: np.ndarray

    def line(
        self, label: str, look: Look, *, short: str = "", thin: bool = False
    ) -> tuple[Series, int]:
        """Draw them, with a band of one deviation where there are several.

        Returns:
            The line, and over how many points in a row each of its points is the mean.
        """
        size, at, (y, spread, counts) = charts.shorten(self.at, self.mean, self.std, self.count)
        band = bool(self.count.max() > 1)
        low, high = (y - spread, y + spread) if band else (None, None)
        return Series(label, at, y, look, low, high, counts * size, short, thin), size


def means_by_cell(rows: pd.DataFrame, x: str) -> list[tuple[Cell, Means]]:
    """Average the values of each cell over the column ``x``, in the report's order.

    All cells at once: a frame for each of a thousand takes half a minute a page.
    """
    grouped = rows[rows[x].notna()].groupby([*CELL, x], dropna=False)["value"]
    mean = grouped.mean()
    columns = mean, grouped.std(ddof=0), grouped.size()
    index = mean.index
    assert isinstance(index, pd.MultiIndex)
    # Sorted by their keys, the points of a cell are in a row.
    codes = np.stack([np.asarray(part) for part in index.codes[: len(CELL)]], axis=1)
    starts = np.flatnonzero(np.any(np.diff(codes, axis=0, prepend=-2), axis=1))
    values = [index.get_level_values(x).to_numpy(), *(one.to_numpy() for one in columns)]
    parts = zip(*(np.split(one, starts[1:]) for one in values))
    cells = [Cell.of(dict(zip(CELL, index[int(start)]))) for start in starts]
    return sorted(
        ((cell, Means(*part)) for cell, part in zip(cells, parts)), key=lambda item: item[0].order
    )


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
    note: str = "",
) -> Chart | None:
    """Draw a line for each cell of ``rows``, and a thin one for each of ``thin``; ``None`` where
    there is no point."""
    series, binned = [], 1
    for source, is_thin in ((thin, True), (rows, False)):
        if source is None:
            continue
        cells = means_by_cell(source, axes.x)
        names = names_at_ends(results, [cell[1:3] for cell, _ in cells])
        for cell, means in cells:
            line, size = means.line(
                results.name(cell.method, cell.init),
                results.look(cell.method, cell.init),
                short=names[cell[1:3]],
                thin=is_thin,
            )
            series.append(line)
            binned = max(binned, size)
    notes = [note] if note else []
    notes += [f"Means over {binned} iterations."] if binned > 1 else []
    return charts.chart(
        Chart(
            title,
            axes.where,
            axes.x_label,
            tuple(series),
            percent=axes.percent,
            note=" ".join(notes),
        )
    )


def accuracies(
    results: Results,
    dataset: str,
    network: str,
    place: Callable[[Results, Cell], float | None],
) -> list[Series]:
    """Draw the test accuracy of the final images over ``place``, a line for each method and
    initialisation: mean and deviation over all networks. Sets of no known place are left out."""
    rows = results.summed(dataset, network, LAST)
    rows = rows[rows["ipc"].notna() & (rows["method"] != WHOLE)]
    placed: dict[tuple[str, str], list[tuple[float, float, float, int]]] = {}
    for row in records(rows):
        cell = Cell.of(row)
        at = place(results, cell)
        if at:
            spread = row["std"] if row["count"] > 1 else 0.0
            point = (float(at), row["mean"], spread, row["count"])
            placed.setdefault((cell.method, cell.init), []).append(point)
    names = names_at_ends(results, placed)
    series = []
    for pair in sorted(placed, key=lambda pair: (method_rank(pair[0]), init_rank(pair[1]))):
        x, mean, spread, count = (np.array(part) for part in zip(*sorted(placed[pair])))
        band = mean - spread, mean + spread
        look = results.look(*pair)
        series.append(Series(results.name(*pair), x, mean, look, *band, count, names[pair]))
    return series


def names_at_ends(results: Results, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Name methods and initialisations at the ends of lines: the method alone where that says
    which line it is."""
    known = set(pairs)
    starts = Counter(method for method, _ in known)
    return {
        (method, init): results.method_title(method)
        if starts[method] == 1
        else f"{results.method_title(method)}, {INIT_WORDS.get(init, init)}"
        for method, init in known
    }


def heat_cell(value: float | None, low: float, high: float, digits: int = 1) -> dict | None:
    """Return a fraction as a cell of a heat map that goes from ``low`` to ``high``."""
    if blank(value):
        return None
    share = min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    return {"text": percent(value, digits), "share": round(share, 3)}
