"""Published figures, beside which a study's own stand: ``figures.csv`` and the budgets behind it.

Every figure has its source and how it was seen (``evidence``): ``C`` read in code or logs, ``R`` in
a repository's README, ``P`` in a paper's table, ``I`` in an issue thread, ``M`` from memory, not
confirmed by a stored copy.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from distillery.errors import UserError
from distillery.vocabulary import WHOLE

FILE = Path(__file__).with_name("figures.csv")
COLUMNS = (
    "dataset",
    "method",
    "init",
    "ipc",
    "network",
    "strategy",
    "groups",
    "protocol",
    "value",
    "std",
    "source",
    "evidence",
    "note",
    "not_comparable",
    "batch",
)
PROTOCOLS = ("published", "course project")
EVIDENCE = {
    "C": "read in code or logs",
    "R": "a repository's README",
    "P": "a table of a paper",
    "I": "an issue thread",
    "M": "from memory, unconfirmed",
}


@cache
def _table(path: str) -> pd.DataFrame:
    text = {name: str for name in COLUMNS}
    try:
        frame = pd.read_csv(path, dtype=text, keep_default_na=False)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: the table of published figures cannot be read ({error}); it is part of the "
            "repository"
        ) from error
    if tuple(frame.columns) != COLUMNS:
        raise UserError(
            f"{path}: columns are {', '.join(frame.columns)}; they should be {', '.join(COLUMNS)}"
        )
    # As printed ("44.9", "2.0"): a number alone would lose the digits that the source gives.
    frame["printed"] = frame["value"].where(
        frame["std"] == "", frame["value"] + " ± " + frame["std"]
    )
    for name in ("ipc", "groups", "value", "std", "batch"):
        frame[name] = pd.to_numeric(frame[name].where(frame[name] != ""), errors="coerce").astype(
            float
        )
    return frame


def table(path: str | Path = FILE) -> pd.DataFrame:
    """Read all published figures, one per row, in the file's order (a method's main table before
    its other tables).

    Columns: ``dataset``, ``method``, ``init`` (empty: the source does not say), ``ipc`` (float,
    NaN: the full training set), ``network``, ``strategy`` and ``groups`` (continual learning only:
    of classes, in the dataset's own order; float, NaN elsewhere), ``protocol``
    (``published`` or ``course project``), ``value`` and ``std`` (percent; NaN where none is given),
    ``source``, ``evidence`` (one letter, see ``EVIDENCE``), ``note``, ``not_comparable`` (why no
    figure of a study may be set against it, empty where one may), ``batch`` (images a step that
    networks were trained with, where that is not what the protocol has; float, NaN elsewhere),
    ``printed`` (``"44.9 ± 0.5"``, the source's digits).

    Raises:
        UserError: the file is missing or has other columns.
    """
    return _table(str(path)).copy()


def lookup(
    dataset: str,
    method: str,
    *,
    ipc: int | None,
    init: str | None = None,
    network: str | None = "ConvNet",
    protocol: str | None = None,
    strategy: str = "",
    path: str | Path = FILE,
) -> pd.DataFrame:
    """Find the published rows that a figure of ours can stand beside, best match first.

    Args:
        dataset: its name in the file.
        method: its name in the file.
        ipc: images per class; ``None`` for figures without a set (the whole data, continual
            learning without a memory).
        init: the start images. Rows with the same start come first, then rows that do not state
            theirs, then (only for the protocol ``published``, whose tables give one start per
            method) rows with another start. ``None``: any, in the file's order.
        network: its name in the file.
        protocol: one of ``PROTOCOLS``, or ``None`` for both.
        strategy: of continual learning; "" elsewhere.
        path: the file of the figures.

    Returns:
        Rows of :func:`table`, possibly none.
    """
    sizes = _sizes(str(path)).get((dataset, method, network, strategy), frozenset())
    if ipc not in sizes:  # most of a large study's, and a search would find none
        return _none(str(path))
    return _rows(str(path), dataset, method, ipc, init, network, protocol, strategy).copy()


def apart(row: pd.Series, batch: int | None) -> str:
    """Say why a published figure may not be set against one of ours; empty where it may.

    Args:
        row: of :func:`table`.
        batch: images a step that our networks were trained with; ``None`` where there are none.
    """
    if row["not_comparable"] or math.isnan(row["batch"]) or row["batch"] == batch:
        return str(row["not_comparable"])
    ours = "" if batch is None else f", ours at {batch}"
    return f"networks trained at batch {row['batch']:.0f}{ours}"


@cache
def _sizes(path: str) -> dict[Any, frozenset[int | None]]:
    return {
        key: frozenset(None if ipc != ipc else int(ipc) for ipc in part["ipc"])
        for key, part in _parts(path).items()
    }


@cache
def _none(path: str) -> pd.DataFrame:
    return _table(path).iloc[:0]


@cache
def _parts(path: str) -> dict[Any, pd.DataFrame]:
    return dict(iter(_table(path).groupby(["dataset", "method", "network", "strategy"])))


@cache  # a report looks up the same figures for table after table
def _rows(
    path: str,
    dataset: str,
    method: str,
    ipc: int | None,
    init: str | None,
    network: str | None,
    protocol: str | None,
    strategy: str,
) -> pd.DataFrame:
    frame = _parts(path).get((dataset, method, network, strategy), _table(path).iloc[:0])
    keep = frame["ipc"].isna() if ipc is None else frame["ipc"] == ipc
    if protocol is not None:
        keep &= frame["protocol"] == protocol
    frame = frame[keep]
    if init is not None:
        rank = (
            frame["init"]
            .map(lambda stated: 0 if stated == init else 1 if stated == "" else 2)
            .astype(int)
        )
        possible = (rank < 2) | (frame["protocol"] == "published")
        frame = frame[possible].loc[rank[possible].sort_values(kind="stable").index]
    return frame


_LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}


def budget(
    method: str, dataset: str, ipc: int | None, protocol: str = "published"
) -> dict[str, int | str]:
    """Look up what a protocol spent: ``iterations``, ``outer`` and ``inner`` loops, ``experts``,
    ``epochs`` (evaluation), ``networks`` (per set), ``sets``.

    Keys that the method has no use for, or that were not found, are absent; an empty dict means
    nothing is known. From the authors' code for DC, DSA, DM and MTT (TESLA's is built on MTT's and
    keeps its defaults), and from the course project's.
    """
    if protocol == "course project":
        if method == WHOLE:
            return {"epochs": 20, "networks": 1, "sets": 1}
        if method in ("dc", "mtt"):
            extra = {"experts": "a few"} if method == "mtt" else {}
            return {"iterations": 100, **extra, "epochs": 20, "networks": 1, "sets": 1}
        return {}
    if method in ("dc", "dsa"):
        loops = dict(zip(("outer", "inner"), _LOOPS[ipc])) if ipc in _LOOPS else {}
        # DC's evaluation augments on MNIST only, and whatever augments trains 1000 epochs.
        epochs = 1000 if method == "dsa" or dataset == "MNIST" else 300
        return {"iterations": 1000, **loops, "epochs": epochs, "networks": 20, "sets": 5}
    if method == "dm":
        return {"iterations": 20000, "epochs": 1000, "networks": 20, "sets": 5}
    if method in ("mtt", "tesla"):
        return {"iterations": 5000, "experts": 100, "epochs": 1000, "networks": 5, "sets": 1}
    return {}
