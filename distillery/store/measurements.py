"""Readers of the metrics rows that jobs leave: as a frame, and summarised by cell."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from distillery.errors import UserError, first_line
from distillery.store.metrics import COLUMNS
from distillery.vocabulary import BEST_VALIDATION, HELD_OUT, SELECTIONS, SNAPSHOT

NUMBERS = (
    *("ipc", "seed", "first", "steps", "order", "model", "stage", "group", "class"),
    *("epoch", "iteration", "value"),
)

CHUNK = 50_000  # rows that are read at a time


def read_metrics(metrics: pd.DataFrame | str | Path | Sequence[str | Path]) -> pd.DataFrame:
    """Read tidy metrics as one frame: text columns with "" for nothing, number columns as float
    with NaN for nothing.

    Args:
        metrics: a frame, a CSV file, or several CSV files (concatenated), with the columns
            ``COLUMNS``; further ones are kept.

    Raises:
        UserError: a file is missing or is no such table, or a number is none.
    """
    parts: Iterable[pd.DataFrame]
    if isinstance(metrics, pd.DataFrame):
        parts, where = [metrics.copy()], "metrics"
    else:
        paths = [metrics] if isinstance(metrics, str | Path) else list(metrics)
        where = ", ".join(str(path) for path in paths[:2]) + (", …" if len(paths) > 2 else "")
        parts = (part for path in paths for part in _read_csv(path))
    tidy, known, row = list[pd.DataFrame](), set[str](), 0
    for part in parts:
        known |= set(part)
        part.index = pd.RangeIndex(row, row + len(part))
        row += len(part)
        tidy.append(_tidied(part, where))
    missing = [name for name in COLUMNS if name not in known] if tidy else []
    if missing:
        raise UserError(
            f"{where}: the metrics have no column {', '.join(missing)}; the tidy columns are "
            f"{', '.join(COLUMNS)}"
        )
    return pd.concat(tidy) if tidy else _tidied(pd.DataFrame(columns=list(COLUMNS)), where)


def _tidied(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Give columns their types, and add those that are not there."""
    for name in COLUMNS:
        column = frame.get(name, pd.Series(None, index=frame.index, dtype=object))
        if name in NUMBERS:
            frame[name] = _numbers(column, where)
        else:
            # Each value once: a column of half a million rows has few.
            codes, values = pd.factorize(column)
            texts = np.array([*(sys.intern(str(value)) for value in values), ""], dtype=object)
            frame[name] = pd.Series(texts[codes], index=frame.index, dtype=object)
    return frame


def _read_csv(path: str | Path) -> Iterator[pd.DataFrame]:
    """Read a table part by part: as text it takes several times the memory."""
    try:
        with pd.read_csv(
            path, dtype=str, keep_default_na=False, comment="#", chunksize=CHUNK
        ) as reader:
            yield from reader
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: the metrics cannot be read ({first_line(error)}); delete the file: the rule "
            "that wrote it (distill, evaluate_synthetic, train_vanilla, continual or the "
            "collecting rule) re-creates it"
        ) from error


def _numbers(column: pd.Series, where: str) -> pd.Series:
    """Read a column as floats; what is neither blank nor a number is an error."""
    blank = column.isna() | (column.astype(str).str.strip() == "")
    numbers = pd.to_numeric(column.where(~blank), errors="coerce").astype(float)
    bad = numbers.isna() & ~blank & (column.astype(str).str.lower() != "nan")
    if bad.any():
        raise UserError(
            f"{where}: the column {column.name} holds {column[bad].iloc[0]!r} in row "
            f"{bad.idxmax()}; a number is needed"
        )
    return numbers


def finished(metrics: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of ``metrics`` (as :func:`read_metrics` gives) that hold accuracies of
    finished training: no curves, no classes, no continual learning.

    All are test accuracies but those of selection ``held_out``: what ``best_validation`` was chosen
    by, the accuracy of that snapshot on the images held out for it. Compare settings by these.
    """
    rows = metrics[
        (metrics["measure"] == "accuracy")
        & (metrics["strategy"] == "")
        & metrics[["epoch", "stage", "class"]].isna().all(axis=1)
    ]
    tested = rows[(rows["split"] == "test") & rows["selection"].isin(SELECTIONS)]
    held = rows[(rows["split"] == "validation") & (rows["selection"] == SNAPSHOT)]
    keys = ["dataset", "network", "ipc", "method", "init", "seed", "model", "iteration"]
    chosen, snapshots = (
        pd.MultiIndex.from_frame(part[keys].fillna(-1.0))
        for part in (tested[tested["selection"] == BEST_VALIDATION], held)
    )
    return pd.concat([tested, held[snapshots.isin(chosen)].assign(selection=HELD_OUT)])


def summarise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Average the accuracies of finished training (:func:`finished`) over sets (seeds) and networks
    trained on each.

    Args:
        metrics: as :func:`read_metrics` gives.

    Returns:
        One row for each dataset, network, ipc (NaN: the full training set), method, init and
        selection, with ``mean``, ``std`` (population, ddof 0, over all accuracies, as the papers
        do; fractions), ``count``, ``sets`` and ``models`` (most networks of one set).
    """
    return average(finished(metrics))


def average(rows: pd.DataFrame) -> pd.DataFrame:
    """Do as :func:`summarise` with the rows that :func:`finished` selects."""
    keys = ["dataset", "network", "ipc", "method", "init", "selection"]
    cells: list[tuple[Any, ...]] = []
    every = rows["value"].to_numpy()
    seeds, models = (rows[name].fillna(-1).to_numpy() for name in ("seed", "model"))
    grouped = rows.groupby(keys, dropna=False, sort=True)
    firsts = rows[keys].to_numpy()
    # By positions: a frame for each of thousands of cells takes milliseconds each.
    places = np.split(
        np.argsort(grouped.ngroup().to_numpy(), kind="stable"),
        np.cumsum(grouped.size().to_numpy())[:-1],
    )
    for at in places if len(rows) else ():
        values = every[at]
        trained = Counter(seed for seed, _ in set(zip(seeds[at].tolist(), models[at].tolist())))
        count = len(values), len(trained), max(trained.values())
        cells.append((*firsts[at[0]], values.mean(), values.std(), *count))
    frame = pd.DataFrame(cells, columns=[*keys, "mean", "std", "count", "sets", "models"])
    return frame.astype({"ipc": float})
