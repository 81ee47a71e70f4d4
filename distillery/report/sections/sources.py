"""The sources of published figures, numbered."""

import pandas as pd

from distillery.published import figures as published
from distillery.report import comparable
from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.words import INIT_TITLES, blank


class Sources:
    """The sources of published figures, numbered in the order in which the page names them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], int] = {}

    def beside(self, results: Results, cell: Cell, network: str) -> list[dict | None]:
        """Return the figures that stand beside a cell of ours, as cells of a table: one of each of
        ``figures.PROTOCOLS``, ``None`` where there is none.

        Args:
            results: the study's.
            cell: of ours.
            network: that was trained.
        """
        return [
            self.cell(
                comparable.rows(cell, network, protocol),
                cell.init,
                comparable.apart(results, cell, network, protocol),
            )
            for protocol in published.PROTOCOLS
        ]

    def cell(self, frame: pd.DataFrame, init: str | None = None, apart: str = "") -> dict | None:
        """Return the first of published figures as a cell of a table; ``None`` where there is none.

        Args:
            frame: as ``figures.lookup`` gives it.
            init: what our set starts from: another start is named.
            apart: why ours may not be set against it, as ``comparable.apart`` says, where its own
                row says nothing.
        """
        if frame.empty:
            return None
        row = frame.iloc[0]
        number = self.rows.setdefault((row["source"], row["evidence"]), len(self.rows) + 1)
        other = row["init"] and init is not None and row["init"] != init
        return {
            "text": row["printed"],
            "value": float(row["value"]),
            "std": 0.0 if blank(row["std"]) else float(row["std"]),
            "source": number,
            "unconfirmed": row["evidence"] == "M",
            "note": row["note"],
            "not_comparable": row["not_comparable"] or apart,
            "other_start": f"from {INIT_TITLES.get(row['init'], row['init'])}" if other else "",
        }

    def list(self) -> list[dict]:
        """List the sources that the page names."""
        return [
            {
                "number": number,
                "text": source,
                "evidence": published.EVIDENCE.get(tag, tag),
                "unconfirmed": tag == "M",
            }
            for (source, tag), number in self.rows.items()
        ]
