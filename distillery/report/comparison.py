"""Which differences between sets are significant: all pairs, network by network."""

import itertools

import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import cell_rows
from distillery.report.words import quantity

SIGNIFICANT = 0.05
RANDOM = "random"  # the method that the others are measured by


def by_network(rows: pd.DataFrame) -> dict[tuple[str, str], dict[tuple[int, int], float]]:
    """Return values by (method, init), and therein by (seed, number of the network): what is
    compared in pairs."""
    rows = rows[rows[["ipc", "seed", "model"]].notna().all(axis=1)]
    return {
        (cell.method, cell.init): {
            (int(seed), int(model)): float(value)
            for seed, model, value in zip(part["seed"], part["model"], part["value"])
        }
        for cell, part in cell_rows(rows)
    }


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
        self._differences: dict[tuple, scores.PairedDifference] = {}
        for first, second in itertools.combinations(cells, 2):
            if cells[first].keys() & cells[second].keys():
                self._differences[first, second] = scores.paired_difference(
                    cells[first], cells[second]
                )
        known = {
            pair: difference.p
            for pair, difference in self._differences.items()
            if difference.p is not None
        }
        self._adjusted = dict(zip(known, scores.holm(list(known.values()))))
        self.tested = len(known)
        self.units = {self._differences[pair].unit for pair in known}

    def p(self, first: tuple[str, str], second: tuple[str, str]) -> float | None:
        """Return Holm's p; ``None`` where the pair cannot be tested."""
        return self._adjusted.get((first, second), self._adjusted.get((second, first)))

    def between(
        self, first: tuple[str, str], second: tuple[str, str]
    ) -> scores.PairedDifference | None:
        """Return how far ``first`` is above ``second``; ``None`` where they have no network in
        common."""
        if not self.cells.get(first, {}).keys() & self.cells.get(second, {}).keys():
            return None
        return self._differences.get((first, second)) or scores.paired_difference(
            self.cells[first], self.cells[second]
        )

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


def pairs_in_words(difference: scores.PairedDifference) -> str:
    """Count the pairs of networks that a difference is over."""
    pairs, sets = quantity(difference.networks, "pair"), quantity(difference.sets, "set")
    return f"{pairs} of networks, {sets}"
