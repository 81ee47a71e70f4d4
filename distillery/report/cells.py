"""The cells of a study: which rows, headers and jobs are about the same sets."""

import math

import pandas as pd

from distillery.report.words import DATASET_ORDER, INIT_ORDER, blank, method_rank, rank

CELL = ["dataset", "method", "init", "ipc"]


def cell_order(cell) -> tuple:
    ipc = cell.get("ipc") if isinstance(cell, dict) else cell["ipc"]
    return (
        rank(DATASET_ORDER, str(cell.get("dataset", ""))),
        math.inf if blank(ipc) else float(ipc),
        method_rank(str(cell.get("method", ""))),
        rank(INIT_ORDER, str(cell.get("init") or "")),
    )


def cell_rows(rows: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """Group rows by (dataset, ipc, method, init), in the report's order."""
    parts = [(dict(zip(CELL, key)), part) for key, part in rows.groupby(CELL, dropna=False)]
    return sorted(parts, key=lambda item: cell_order(item[0]))
