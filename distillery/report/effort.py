"""What training on a set and making it took, by the jobs' records."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.words import blank, thousands
from distillery.vocabulary import WHOLE

DISTILL = "distill"


@dataclass(frozen=True)
class Spent:
    """What training and testing one network took.

    Attributes:
        seconds: mean over so many ``networks``; ``None`` where no job tells.
        memory: the largest peak (bytes).
    """

    seconds: float | None
    memory: float | None
    networks: int


@dataclass(frozen=True)
class Making:
    """What making a set of a cell took, in seconds.

    Attributes:
        distilling: mean over the cell's sets of the whole job, with its deviation ``spread``.
        experts: all expert jobs of the recipe that the sets learned from, by their headers (0: of
            none; ``None``: not known).
        sharing: how many sets of the study learned from that recipe on that dataset.
    """

    distilling: float
    spread: float
    experts: float | None
    sharing: int

    @property
    def share(self) -> float:
        """Return the set's share of the experts, equal for each."""
        assert self.experts is not None  # asked where their time is known
        return self.experts / max(1, self.sharing)

    @property
    def together(self) -> float | None:
        """Return the cost of distilling and of the set's share of the experts."""
        return None if self.experts is None else self.distilling + self.share

    @property
    def alone(self) -> float | None:
        """Return the cost of distilling and of all experts, as a set made alone takes."""
        return None if self.experts is None else self.distilling + self.experts


def first_setting(tree: Any, *names: str) -> Any:
    """Find the first of ``names`` anywhere in nested dictionaries, outermost first."""
    level = [tree]
    while level:
        deeper = []
        for node in level:
            if isinstance(node, dict):
                for name in names:
                    if node.get(name) is not None and not isinstance(node[name], dict):
                        return node[name]
                deeper.extend(node.values())
        level = deeper
    return None


def flops_of(results: Results, cell: Cell, network: str) -> float | None:
    """Return the FLOPs of training a network on a set, or on the full training set, of a
    dataset."""
    rows = results.measured(
        "training_flops", dataset=cell.dataset, network=network, method=cell.method, strategy=""
    )
    if cell.method != WHOLE:
        rows = rows[(rows["init"] == cell.init) & (rows["ipc"] == cell.ipc)]
    return float(rows["value"].mean()) if len(rows) else None


def makings(results: Results) -> dict[Cell, list[dict]]:
    """List the records of the jobs that made each cell's sets, one a seed, by cell in the report's
    order."""
    cells = {Cell.of(cost) for cost in results.costs if cost.get("rule") == DISTILL}
    groups = {cell: _makers(results, cell) for cell in sorted(cells, key=lambda cell: cell.order)}
    return {cell: jobs for cell, jobs in groups.items() if jobs}


def _makers(results: Results, cell: Cell) -> list[dict]:
    return [job for job in results.jobs_of(DISTILL, cell) if not blank(job.get("seconds"))]


def making_of(results: Results, cell: Cell) -> Making | None:
    """Say what making a set of a cell took; ``None`` where no job tells."""
    jobs = _makers(results, cell)
    return making_by(results, cell, jobs) if jobs else None


def making_by(results: Results, cell: Cell, jobs: list[dict]) -> Making:
    """Say what making a set of a cell took, by the records of the jobs that made its sets."""
    seconds = np.array([float(job["seconds"]) for job in jobs])
    experts, sharing = 0.0, 0
    recipes = {recipe_name(header) for _, header in results.sets_of(cell)}
    if recipes - {None}:
        recipe = recipes.pop() if len(recipes) == 1 else None
        shards, sharing = _experts(results, cell.dataset, recipe)
        experts = sum(shards) if recipe is not None and shards else None
    return Making(float(seconds.mean()), float(seconds.std()), experts, sharing)


def _experts(results: Results, dataset: str, recipe: str | None) -> tuple[list[float], int]:
    """Return the seconds of each expert job of a recipe, and how many sets learned from it."""

    def found() -> tuple[list[float], int]:
        shards = [
            float(cost["seconds"])
            for cost in results.costs
            if (cost.get("rule"), cost.get("dataset"), cost.get("recipe"))
            == ("train_experts", dataset, recipe)
            and not blank(cost.get("seconds"))
        ]
        sharing = sum(
            (header.get("dataset"), recipe_name(header)) == (dataset, recipe)
            for _, header in results.sets
        )
        return shards, sharing

    return results.once(("experts", dataset, recipe), found)


def recipe_name(header: dict) -> str | None:
    """Name the expert recipe that a set learned from, as its header says."""
    experts = header.get("experts")
    return experts.get("recipe") if isinstance(experts, dict) else None


def pays_after(making: float | None, ours: float | None, full: float | None) -> int | str | None:
    """Count the trainings on a set, instead of on the full training set, after which making it has
    paid.

    Returns:
        An integer; ``never`` where a training on the set is no faster; ``None`` where a time is
        not known.
    """
    if making is None or not ours or not full:
        return None
    return max(1, math.ceil(making / (full - ours))) if ours < full else "never"


def paid_after(results: Results, cell: Cell, network: str) -> int | str | None:
    """Count the trainings of a network after which making a set of a cell has paid, as
    :func:`pays_after` does."""
    making = making_of(results, cell)
    times = [spent_on(results, cell.dataset, network, cells).seconds for cells in ([cell], None)]
    return pays_after(None if making is None else making.together, *times)


def pays_text(pays: int | str | None) -> str:
    """Return the answer of :func:`pays_after` as a reader is shown it."""
    if pays is None or isinstance(pays, str):
        return pays or ""
    return thousands(pays)


def spent_on(results: Results, dataset: str, network: str, cells: Collection[Cell] | None) -> Spent:
    """Say what training and testing one network took, by the jobs' records.

    Args:
        results: of the study.
        dataset: its name.
        network: its name.
        cells: those of the sets; ``None`` for the full training set.
    """
    rule = "train_vanilla" if cells is None else "evaluate_synthetic"
    seconds, memory, networks = [], [], 0
    if cells is None:
        jobs = results.jobs_with(rule, dataset, network)
    else:
        jobs = [
            job
            for cell in cells
            for job in results.jobs_of(rule, cell)
            if (job.get("dataset"), job.get("network")) == (dataset, network)
        ]
    for cost in jobs:
        if not blank(cost.get("seconds")):
            models = int((cost.get("settings") or {}).get("models") or 1)
            seconds.append(float(cost["seconds"]) / models)
            networks += models
        if not blank(cost.get("peak_memory_bytes")):
            memory.append(float(cost["peak_memory_bytes"]))
    mean = float(np.mean(seconds)) if seconds else None
    return Spent(mean, max(memory, default=None), networks)
