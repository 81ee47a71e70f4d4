"""Which differences between sets are significant: all pairs, network by network."""

import itertools

import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import cell_rows
from distillery.report.words import quantity

SIGNIFICANT = 0.05


def by_network(rows: pd.DataFrame) -> dict[tuple[str, str], dict[tuple[int, int], float]]:
    """Values by (method, init), and therein by (seed, number of the network): what is compared in
    pairs."""
    rows = rows[rows[["ipc", "seed", "model"]].notna().all(axis=1)]
    return {
        (cell["method"], cell["init"]): {
            (int(seed), int(model)): float(value)
            for seed, model, value in zip(found["seed"], found["model"], found["value"])
        }
        for cell, found in cell_rows(rows)
    }


class Comparison:
    """All pairs of the cells of one dataset, network and ipc: differences network by network, and
    what of them is significant.

    Attributes:
        cells: values by (method, init), and therein by (seed, number of the network).
        tested: how many pairs could be tested; p is adjusted for so many, by Holm. All pairs are
            the family, not those shown: the best cell is picked after looking.
        unit: what was tested over: ``set``, ``network``, or both where cells differ; empty where
            nothing was.
    """

    def __init__(self, cells: dict[tuple[str, str], dict[tuple[int, int], float]]):
        self.cells = cells
        self._found: dict[tuple, scores.PairedDifference] = {}
        for first, second in itertools.combinations(cells, 2):
            if cells[first].keys() & cells[second].keys():
                self._found[first, second] = scores.paired_difference(cells[first], cells[second])
        known = [pair for pair, found in self._found.items() if found.p is not None]
        self._adjusted = dict(zip(known, scores.holm([self._found[pair].p for pair in known])))
        self.tested = len(known)
        self.units = {self._found[pair].unit for pair in known}

    def p(self, first: tuple[str, str], second: tuple[str, str]) -> float | None:
        """Holm's; ``None`` where the pair cannot be tested."""
        return self._adjusted.get((first, second), self._adjusted.get((second, first)))

    def between(
        self, first: tuple[str, str], second: tuple[str, str]
    ) -> scores.PairedDifference | None:
        """How far ``first`` is above ``second``; ``None`` where they have no network in common."""
        if not self.cells.get(first, {}).keys() & self.cells.get(second, {}).keys():
            return None
        return self._found.get((first, second)) or scores.paired_difference(
            self.cells[first], self.cells[second]
        )

    def verdicts(self, best: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
        """The other cells by what is known of ``best`` against them: ``better``, ``worse``, ``not
        significant``, ``untested``."""
        found: dict[str, list] = {"better": [], "worse": [], "not significant": [], "untested": []}
        for other in self.cells:
            if other != best:
                found[self.verdict(best, other)].append(other)
        return found

    def verdict(self, first: tuple[str, str], second: tuple[str, str]) -> str:
        p = self.p(first, second)
        if p is None:
            return "untested"
        if p > SIGNIFICANT:
            return "not significant"
        return "better" if self.between(first, second).difference > 0 else "worse"

    def how(self) -> str:
        """By what the pairs were tested, in words."""
        over = {"set": "over the sets of a cell", "network": "over the networks of one set each"}
        units = " or ".join(over[unit] for unit in sorted(self.units))
        return f"paired t {units}, Holm for {quantity(self.tested, 'pair')}"


def pairs_in_words(found: scores.PairedDifference) -> str:
    return f"{quantity(found.networks, 'pair')} of networks, {quantity(found.sets, 'set')}"
