"""Differences between methods, in pairs of networks."""

import numpy as np
import pandas as pd

from distillery.report.comparison import Comparison
from distillery.report.results import Results
from distillery.report.words import (
    CORESETS,
    dataset_title,
    images_per_class,
    p_text,
    quantity,
    sets_and_networks,
    signed,
)


def view(results: Results) -> list[dict]:
    """Differences between methods, network by network: the best against each other, distilled
    against random, real start against noise."""
    blocks = []
    for dataset in results.datasets:
        tables = []
        for network in results.networks(dataset):
            groups = []
            for ipc in results.ipcs(dataset):
                comparison = results.compared(dataset, network, ipc)
                if not comparison.cells:
                    continue
                recipes = {
                    cell: _recipes(results, dataset, network, ipc, *cell)
                    for cell in comparison.cells
                }
                lines = [
                    _pair_line(results, comparison, recipes, *pair)
                    for pair in _chosen_pairs(comparison.cells)
                ]
                lines = [line for line in lines if line]
                if lines:
                    tested = (
                        f", p by Holm for {quantity(comparison.tested, 'pair')}"
                        if comparison.tested
                        else ""
                    )
                    groups.append(
                        {"title": images_per_class(ipc).capitalize() + tested, "rows": lines}
                    )
            if groups:
                tables.append({"network": network, "groups": groups})
        if tables:
            blocks.append({"dataset": dataset_title(dataset), "tables": tables})
    return blocks


def _recipes(
    results: Results, dataset: str, network: str, ipc: float, method: str, init: str
) -> set[str]:
    """How networks were trained on the sets of a cell, as the jobs tell it; empty where they do
    not."""
    told = ("epochs", "lr", "momentum", "weight_decay", "batch", "decay", "augment")
    wanted = ("evaluate_synthetic", dataset, network, method, init, ipc)
    return {
        repr([(cost.get("settings") or {}).get(name) for name in told])
        for cost in results.costs
        if tuple(cost.get(name) for name in ("rule", "dataset", "network", "method", "init", "ipc"))
        == wanted
    }


def _chosen_pairs(
    cells: dict[tuple[str, str], dict],
) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """The pairs worth a line, each once. ``cells``: accuracies by (method, init)."""
    best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
    pairs = [(best, other) for other in cells if other != best]
    randoms = [cell for cell in cells if cell[0] == "random"]
    pairs += [(cell, random) for random in randoms for cell in cells if cell[0] not in CORESETS]
    pairs += [
        ((method, "real"), (method, "noise"))
        for method, init in cells
        if init == "noise" and (method, "real") in cells
    ]
    once: dict[frozenset, tuple] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


VERDICTS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "not significant": "not significant",
    "untested": "one pair of networks: not tested",
}


def _pair_line(
    results: Results,
    comparison: Comparison,
    recipes: dict[tuple[str, str], set[str]],
    first: tuple[str, str],
    second: tuple[str, str],
) -> dict | None:
    found = comparison.between(first, second)
    if found is None:
        return None
    common = pd.Series(
        [seed for seed, _ in comparison.cells[first].keys() & comparison.cells[second].keys()],
        dtype=int,
    )
    verdict, p = comparison.verdict(first, second), comparison.p(first, second)
    said = []
    if p is not None and found.unit == "network":
        said.append("of this one set only")
    if recipes[first] and recipes[second] and recipes[first] != recipes[second]:
        said.append("networks trained by different recipes")
    if found.left_out:
        said.append(f"{found.left_out} without a partner left out")
    return {
        "first": results.name(*first),
        "second": results.name(*second),
        "colour": results.colours.get(first[0], 0),
        "difference": signed(100 * found.difference),
        "interval": f"{signed(100 * found.low)} to {signed(100 * found.high)}"
        if p is not None
        else "",
        "p": p_text(p),
        "verdict": VERDICTS[verdict],
        "worse": verdict == "worse",
        "shown": verdict in ("better", "worse"),
        "count": sets_and_networks(found.sets, int(common.value_counts().max()), found.networks),
        "said": "; ".join(said),
    }
