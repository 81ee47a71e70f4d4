"""Render README's table: the reproductions, and what a smaller budget reached."""

from collections.abc import Sequence

from distillery import markdown
from distillery.errors import UserError
from distillery.published import budgets, document
from distillery.published.budgets import PUBLISHED
from distillery.published.records import NETWORK, Cell

START = "<!-- reproductions: written by `python -m distillery reproduction render` -->"
END = "<!-- end of reproductions -->"
HEAD = ("distilled set", "accuracy (%)", "published", "work", "time", "on")


def render(text: str, cells: Sequence[Cell]) -> str:
    """Write the table between its two marks in README's text.

    Raises:
        UserError: a mark is missing.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise UserError(f"README.md: the marks {START!r} and {END!r} are not both there")
    return f"{before}{start}\n\n{table(cells)}\n{end}{after}"


def table(cells: Sequence[Cell]) -> str:
    """Render the table: of each distilled method at each size with a published figure the
    reproduction, else the nearest to it; reproductions first."""
    chosen: dict[tuple, Cell] = {}
    for cell in sorted(cells, key=budgets.nearness):
        row = budgets.beside(cell).get(PUBLISHED)
        distilled = "iterations" in cell.settings and not cell.strategy and cell.network == NETWORK
        if distilled and row is not None and not row["not_comparable"]:
            chosen[cell.dataset, cell.base, cell.ipc] = cell
    rows = sorted(chosen.values(), key=lambda cell: (not budgets.is_same(cell), cell.order))
    return markdown.table(HEAD, map(_row, rows))


def _row(cell: Cell) -> list[str]:
    beside = budgets.beside(cell)
    same = budgets.is_same(cell)
    ours = cell.figure().text(1)
    return [
        f"{cell.dataset}, {markdown.cell(cell.name).removesuffix(f', {NETWORK}')}",
        f"**{ours}**" if same else ours,
        str(beside[PUBLISHED]["printed"]),
        "as published" if same else budgets.mark(cell, beside).replace(" budget", ""),
        document.time(cell),
        markdown.cell(document.hardware(cell)),
    ]
