"""Render the default study: the figures that ``config/config.yaml`` asks for again, beside ours."""

import dataclasses
from collections.abc import Sequence

from distillery import markdown
from distillery.published import budgets, figures
from distillery.published.budgets import COURSE
from distillery.published.records import Cell, Place, link

HEADING = """\
## The default study

`config/config.yaml` asks again for what a course project measured in 2022: DC and MTT on MNIST and
CIFAR-10, ten images per class from real images and from noise, judged by ConvNet and ResNet-18,
full training, and two groups of classes one after the other. Beside each of its figures stands ours
(sets × networks), at the course project's budget where there is such a record, else the nearest to
it, and what that took.
"""
HEAD = ("cell", "course project", "ours", "what ours took", "record")
NOT_RUN = "not run"


def render(cells: Sequence[tuple[str, Cell]]) -> str:
    """Render the section: a row for each figure of the course project.

    Args:
        cells: each with the name of its record.
    """
    table = figures.table()
    places = budgets.places(table[table["protocol"] == COURSE])
    rows = [_row(place, cells) for place in places]
    run = sum(row[2] != NOT_RUN for row in rows)
    return "\n".join(
        [HEADING, f"{run} of {len(rows)} cells have been run.\n", markdown.table(HEAD, rows)]
    )


def _row(place: Place, cells: Sequence[tuple[str, Cell]]) -> list[str]:
    """Write a row: the course project's figure, and the one of ours that is nearest to its work."""
    name = markdown.cell(f"{place.dataset}, {place.name}")
    ours = [
        (record, cell)
        for record, cell in cells
        if budgets.covers(dataclasses.replace(cell, method=cell.base), place)
    ]
    if not ours:
        return [name, markdown.cell(budgets.beside(place)[COURSE]["printed"]), NOT_RUN, "", ""]
    record, cell = max(ours, key=lambda one: budgets.nearness(one[1], COURSE))
    theirs = budgets.beside(cell)[COURSE]
    printed = str(theirs["printed"])
    if theirs["not_comparable"]:  # the tables below say why
        printed += " (not comparable)"
    texts = [name, markdown.cell(printed)]
    same = budgets.equals(cell, COURSE)
    took = budgets.mark(cell, {COURSE: theirs}) if same else _spent(cell)
    return [*texts, cell.figure().text(), markdown.cell(took), link(record)]


def _spent(cell: Cell) -> str:
    """Say what a cell took, in its own amounts."""
    if cell.strategy:
        parts = [budgets.continual_words(cell)]
    else:
        spent = budgets.spent(cell)
        parts = [
            f"{spent[name]} {word}"
            for name, word in budgets.WORK.items()
            if name in spent and spent[name] != "auto"
        ]
    parts.append(budgets.network_words(cell))
    if cell.method != cell.base:
        parts.append(f"as {cell.method}")
    return ", ".join(part for part in parts if part)
