"""The synthetic sets of a study, as its grid and its imported sets name them."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillery.errors import UserError
from distillery.plugins import Dataset, Method
from distillery.study.messages import known
from distillery.study.overrides import listed
from distillery.vocabulary import IMPORTED, INITS, REAL

# Snakemake takes seconds for a thousand jobs to find out what is to be done, and more than its
# share of memory.
MOST_SETS = 10_000
# What tells cells apart, in the order in which a block is expanded.
AXES = ("dataset", "method", "init", "ipc", "seed")


@dataclass(frozen=True, order=True)
class Cell:
    """One synthetic set of the study."""

    dataset: str
    method: str
    init: str
    ipc: int
    seed: int

    def among(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether it is one of the sets that a config's block names."""
        return all(getattr(self, key) in values for key, values in wanted.items())


def expand(
    config: Mapping[str, Any], datasets: Mapping[str, Dataset], methods: Mapping[str, Method]
) -> list[Cell]:
    """Return the cells of a config in the order of its blocks, each once: imported sets come last.

    A block's ``init`` is a name: of ``INITS``, or of the config's ``starts``.

    Raises:
        UserError: a block names what is not known, a coreset starts from noise, or there are more
            cells than a study has.
    """
    cells: dict[Cell, None] = {}
    for number, block in enumerate(config["grid"]):
        for cell in _of_block(f"config: grid[{number}]", block):
            place = f"config: grid[{number}]"
            known(place, "init", cell.init, (*INITS, *config["starts"]))
            _check(place, cell, datasets, methods)
            cells[cell] = None
    for entry in config["imported"]:
        for experiment in range(entry["sets"]):
            cells[Cell(entry["dataset"], entry["name"], IMPORTED, entry["ipc"], experiment)] = None
    if len(cells) > MOST_SETS:
        raise UserError(
            f"config: grid: {len(cells)} sets; a study has at most {MOST_SETS}: make several of it"
        )
    return list(cells)


def _of_block(where: str, block: Mapping[str, Any]) -> Iterator[Cell]:
    """Return the product of a block's lists."""
    axes = {name: listed(value) for name, value in block.items()}
    axes.setdefault("seed", [0])
    size = math.prod(map(len, axes.values()))
    if size > MOST_SETS:
        raise UserError(
            f"{where}: {size} sets; a block has at most {MOST_SETS}: name fewer values, or make "
            "several studies of it"
        )
    for values in itertools.product(*(axes[name] for name in AXES)):
        yield Cell(*values)


def _check(
    where: str, cell: Cell, datasets: Mapping[str, Dataset], methods: Mapping[str, Method]
) -> None:
    known(where, "dataset", cell.dataset, datasets)
    known(where, "method", cell.method, methods)
    if methods[cell.method].is_coreset and cell.init != REAL:
        raise UserError(
            f"{where}: {cell.method} chooses real images: give it a block of its own with "
            f"`init: [real]`, not {cell.init!r}"
        )
