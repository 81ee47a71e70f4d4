"""Which differences between sets are significant: all pairs, network by network."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from distillery.evaluation import scores
from distillery.report.cells import Cell
from distillery.report.words import quantity

SIGNIFICANT = 0.05
RANDOM = "random"  # the method that the others are measured by


def by_network(rows: pd.DataFrame) -> dict[tuple[str, str], dict[tuple[int, int], float]]:
    """Return values by (method, init), and therein by (seed, number of the network): what is
    compared in pairs."""
    rows = rows[rows[["ipc", "seed", "model"]].notna().all(axis=1)]
    names = ("dataset", "ipc", "method", "init", "seed", "model", "value")
    found: dict[Cell, dict[tuple[int, int], float]] = {}
    for dataset, ipc, method, init, seed, model, value in zip(*(rows[name] for name in names)):
        values = found.setdefault(Cell(dataset, method, init, int(ipc)), {})
        values[int(seed), int(model)] = float(value)
    ordered = sorted(found, key=lambda cell: cell.order)
    return {(cell.method, cell.init): found[cell] for cell in ordered}


class Comparison:
    """All pairs of the cells of one dataset, network and ipc: differences network by network, and
    what of them is significant.

    Attributes:
        cells: values by (method, init), and therein by (seed, number of the network).
        tested: how many pairs could be tested; p is adjusted for so many, by Holm. All pairs are
            the family, not those shown: the best cell is picked after looking.
        units: what was tested over: ``set``, ``network``, or both where cells differ; empty where
            nothing was.
    """

    def __init__(self, cells: dict[tuple[str, str], dict[tuple[int, int], float]]) -> None:
        self.cells = cells
        self._place = {cell: place for place, cell in enumerate(cells)}
        self._differences: dict[tuple, scores.PairedDifference] = {}
        # By place, the lower first; NaN where a pair cannot be tested.
        ps, self.units = self._tested()
        pairs = np.nonzero(~np.isnan(ps))
        self.tested = len(pairs[0])
        self._adjusted = np.full_like(ps, np.nan)
        self._adjusted[pairs] = scores.holm(ps[pairs].tolist())

    def _tested(self) -> tuple[np.ndarray, set[str]]:
        """Return the p of every pair, and what was tested over.

        Cells that were measured by the same networks are tested together: a thousand of them are
        half a million pairs.
        """
        ps = np.full((len(self.cells),) * 2, np.nan)
        units: set[str] = set()
        alike: dict[frozenset, list[int]] = {}
        for place, values in enumerate(self.cells.values()):
            alike.setdefault(frozenset(values), []).append(place)
        measured = list(self.cells.values())
        for keys, places in alike.items():
            if len(places) < 2:
                continue
            block = _ps([measured[place] for place in places], sorted(keys))
            if block is not None:
                above = np.triu(np.ones_like(block, bool), 1)
                ps[np.ix_(places, places)] = np.where(above, block, np.nan)
                units.add("set" if len({seed for seed, _ in keys}) > 1 else "network")
        names = list(self.cells)
        for (some, others), (more, theirs) in itertools.combinations(alike.items(), 2):
            if some & more:
                for pair in itertools.product(others, theirs):
                    low, high = sorted(pair)
                    difference = self.between(names[low], names[high])
                    if difference is not None and difference.p is not None:
                        ps[low, high] = difference.p
                        units.add(difference.unit)
        return ps, units

    def p(self, first: tuple[str, str], second: tuple[str, str]) -> float | None:
        """Return Holm's p; ``None`` where the pair cannot be tested."""
        if first not in self._place or second not in self._place:
            return None
        low, high = sorted((self._place[first], self._place[second]))
        p = float(self._adjusted[low, high])
        return None if np.isnan(p) else p

    def between(
        self, first: tuple[str, str], second: tuple[str, str]
    ) -> scores.PairedDifference | None:
        """Return how far ``first`` is above ``second``; ``None`` where they have no network in
        common."""
        if not self.cells.get(first, {}).keys() & self.cells.get(second, {}).keys():
            return None
        if (first, second) not in self._differences:
            pair = self.cells[first], self.cells[second]
            self._differences[first, second] = scores.paired_difference(*pair)
        return self._differences[first, second]

    def verdicts(self, best: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
        """Sort the other cells by what is known of ``best`` against them: ``better``, ``worse``,
        ``not significant``, ``untested``."""
        others: dict[str, list] = {"better": [], "worse": [], "not significant": [], "untested": []}
        for other in self.cells:
            if other != best:
                others[self.verdict(best, other)].append(other)
        return others

    def verdict(self, first: tuple[str, str], second: tuple[str, str]) -> str:
        """Say what is known of ``first`` against ``second``, as :meth:`verdicts` calls it."""
        p = self.p(first, second)
        if p is None:
            return "untested"
        if p > SIGNIFICANT:
            return "not significant"
        between = self.between(first, second)
        assert between is not None  # a pair with a p has networks in common
        return "better" if between.difference > 0 else "worse"

    def how(self) -> str:
        """Say by what the pairs were tested."""
        over = {"set": "over the sets of a cell", "network": "over the networks of one set each"}
        units = " or ".join(over[unit] for unit in sorted(self.units))
        return f"paired t {units}, Holm for {quantity(self.tested, 'pair')}"


def _ps(
    cells: Sequence[Mapping[tuple[int, int], float]], keys: Sequence[tuple[int, int]]
) -> np.ndarray | None:
    """Return the p of every pair of cells that were measured by the same networks, as
    ``scores.paired_difference`` computes them one by one: (N, N), symmetric; ``None`` where one
    pair of networks tests nothing.

    Args:
        cells: accuracies of each by (seed, number of the network).
        keys: those that each has, sorted.
    """
    accuracies = np.array([[values[key] for key in keys] for values in cells])
    seeds = np.array([seed for seed, _ in keys])
    apart = np.unique(seeds)
    units = len(apart) if len(apart) > 1 else len(keys)
    if units < 2:
        return None
    ps = np.ones((len(cells),) * 2)
    for row, ours in enumerate(accuracies):  # all pairs of a thousand cells at once are gigabytes
        differences = ours - accuracies
        if len(apart) > 1:
            means = [differences[:, seeds == seed].mean(axis=1) for seed in apart]
            differences = np.stack(means, axis=1)
        mean = differences.mean(axis=1)
        error = differences.std(axis=1, ddof=1) / math.sqrt(units)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * special.stdtr(units - 1, -np.abs(mean) / error)
        ps[row] = np.where(error > 0, p, (mean == 0).astype(float))
    return ps


def pairs_in_words(difference: scores.PairedDifference) -> str:
    """Count the pairs of networks that a difference is over."""
    pairs, sets = quantity(difference.networks, "pair"), quantity(difference.sets, "set")
    return f"{pairs} of networks, {sets}"
