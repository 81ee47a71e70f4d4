"""The tidy record of measurements: one row a measurement, the same columns everywhere."""

import csv
import hashlib
import io
import math
import os
from typing import Any, SupportsFloat

from distillery.errors import UserError
from distillery.store.files import write_text

COLUMNS = (
    "rule",
    "dataset",
    "method",
    "init",
    "ipc",
    "seed",
    "network",
    "labels",
    "first",
    "strategy",
    "memory",
    "steps",
    "order",
    "model",
    "selection",
    "split",
    "stage",
    "group",
    "class",
    "epoch",
    "iteration",
    "measure",
    "value",
)
_HEADER = ",".join(COLUMNS) + "\n"


class Metrics:
    """Rows of one job. ``common`` holds the columns that all its rows share."""

    def __init__(self, **common: Any) -> None:
        self._common = self._checked(common)
        self.rows: list[dict[str, Any]] = []

    @staticmethod
    def _checked(columns: dict[str, Any]) -> dict[str, Any]:
        unknown = set(columns) - set(COLUMNS)
        if unknown:
            raise KeyError(f"no such metrics columns: {sorted(unknown)}")
        return {name: value for name, value in columns.items() if value is not None}

    def add(self, measure: str, value: SupportsFloat, **columns: Any) -> None:
        """Note one measurement; ``class_`` stands for the column ``class``."""
        if "class_" in columns:
            columns["class"] = columns.pop("class_")
        self.rows.append(
            {**self._common, **self._checked(columns), "measure": measure, "value": float(value)}
        )

    def extend(self, other: "Metrics") -> None:
        """Take over the rows of ``other``; what it does not say is as here."""
        self.rows.extend({**self._common, **row} for row in other.rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as CSV, atomically; a float is written so that reading it gives the same
        float.

        The last line is a comment with the SHA-256 of all before it, by which :func:`collect` finds
        a damaged file.
        """
        text = io.StringIO()
        writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            value = row["value"]
            number = (
                int(value)
                if math.isfinite(value) and value == int(value) and abs(value) < 2**53
                else value
            )
            writer.writerow({**row, "value": repr(number)})
        write_text(path, text.getvalue() + _seal(text.getvalue()))


def _seal(text: str) -> str:
    return f"# sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"


def collect(paths: list[str | os.PathLike[str]], output: str | os.PathLike[str]) -> None:
    """Concatenate metrics files in the order given.

    Raises:
        UserError: a file is not a metrics file, or not what was written (empty, cut short, changed,
            of other columns).
    """
    # A job may have nothing to tell, as a coreset has no loss: then there is the line of columns
    # alone.
    write_text(output, "".join([_HEADER, *map(_rows, paths)]))


def read(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Read the rows of one metrics file, every value as a text.

    Raises:
        UserError: as :func:`collect`.
    """
    return list(csv.DictReader(io.StringIO(_HEADER + _rows(path))))


def _rows(path: str | os.PathLike[str]) -> str:
    """Return the text of a metrics file below its line of columns."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); delete it and run snakemake again"
        ) from error
    at = text.rfind("# sha256 ")
    if not text.startswith(_HEADER) or at < 0 or text[at:] != _seal(text[:at]):
        raise UserError(
            f"{path}: is not a whole metrics file; delete it and run snakemake again: its rule "
            "re-creates it"
        )
    return text[len(_HEADER) : at]
