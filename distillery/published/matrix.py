"""Render the matrix of all cells: ours and the published figure, marked by budget."""

from collections.abc import Sequence
from typing import Any

from distillery import markdown
from distillery.published import budgets
from distillery.published.budgets import PUBLISHED, SAME
from distillery.published.records import DATASETS, METHODS, NETWORK, Cell, rank
from distillery.vocabulary import INITS, WHOLE

HEADING = f"""\
## At a glance

Test accuracy in percent on {NETWORK}, ours / published, of what was run, with standard deviation
and sets × networks. **Bold: a reproduction**, by the work of the published figure. ↓: by less work;
↑: by more; ·: the work behind the published figure is not known, or is not compared. Of several
records of a cell, variants of the method among them, this is the one at the published budget, else
one of the published tables' network with most iterations, epochs and networks. †: by another
ConvNet than that of the published tables, whose width is 128.
"""
OTHER = "·"
_MARKS = {"smaller budget": "↓", "larger budget": "↑"}


def render(cells: Sequence[Cell]) -> str:
    """Render the section: a table of methods by datasets and images per class."""
    cells = [cell for cell in cells if cell.network == NETWORK and not cell.strategy]
    if not cells:
        return ""
    columns = sorted({_column(cell) for cell in cells}, key=_column_order)
    rows: dict[tuple[str, str], dict[tuple, Cell]] = {}
    for cell in sorted(cells, key=budgets.nearness):
        rows.setdefault((cell.base, cell.init), {})[_column(cell)] = cell
    keys = sorted(rows, key=lambda key: (rank(METHODS, key[0]), rank((*INITS, ""), key[1])))
    # A table a dataset: one wide table would have to be scrolled.
    tables = []
    for dataset in dict.fromkeys(column[0] for column in columns):
        of_it = [column for column in columns if column[0] == dataset]
        lines = [
            [_name(*key), *(_text(rows[key].get(column)) for column in of_it)]
            for key in keys
            if any(column in rows[key] for column in of_it)
        ]
        head = [dataset, *("all images" if n is None else f"{n} per class" for _, n in of_it)]
        tables.append(markdown.table(head, lines))
    return "\n".join([HEADING, *tables])


def _column(cell: Cell) -> tuple[str, int | None]:
    return cell.dataset, cell.ipc


def _column_order(column: tuple[str, int | None]) -> tuple[Any, ...]:
    dataset, ipc = column
    return (rank(DATASETS, dataset), ipc is None, ipc or 0)


def _name(method: str, init: str) -> str:
    return "full training set" if method == WHOLE else f"{method}, {init}" if init else method


def _text(cell: Cell | None) -> str:
    """Write ours / published, and the mark of ours."""
    if cell is None:
        return ""
    beside = budgets.beside(cell)
    verdict = budgets.mark(cell, beside)
    ours = cell.figure().text(1)
    row = beside.get(PUBLISHED)
    theirs = "–" if row is None or row["not_comparable"] else row["printed"]
    if verdict.startswith(SAME):
        ours = f"**{ours}**"
    else:
        other = "" if budgets.same_network(cell) else "†"
        ours = f"{ours} {_MARKS.get(verdict.partition(',')[0], OTHER)}{other}"
    return f"{ours} / {theirs}"
