"""The cells of a study: which rows, headers and cost records are about the same sets."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from distillery.report.words import blank, dataset_rank, init_rank, method_rank


class Cell(NamedTuple):
    """The sets that differ in their seed alone.

    Attributes:
        ipc: images per class; ``None`` for the full training set.
    """

    dataset: str
    method: str
    init: str
    ipc: int | None

    @classmethod
    def of(cls, about: "Mapping[str, Any] | pd.Series") -> "Cell":
        """Read the cell that a header, a cost record or a row is about."""
        ipc = about.get("ipc")
        return cls(
            str(about.get("dataset", "")),
            str(about.get("method", "")),
            str(about.get("init") or ""),
            None if blank(ipc) else int(float(ipc)),
        )

    @property
    def order(self) -> tuple:
        """Sort by this: datasets, then sizes, methods and starts, each in the report's order."""
        return (
            dataset_rank(self.dataset),
            math.inf if self.ipc is None else self.ipc,
            method_rank(self.method),
            init_rank(self.init),
        )


CELL = list(Cell._fields)


def cell_rows(rows: pd.DataFrame) -> list[tuple[Cell, pd.DataFrame]]:
    """Group rows by their cell, in the report's order."""
    parts = [
        (Cell.of(dict(zip(CELL, key))), part) for key, part in rows.groupby(CELL, dropna=False)
    ]
    return sorted(parts, key=lambda item: item[0].order)


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dictionaries: thousands are read faster so than as frames of one row."""
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
