"""What training on a set and making it took, by the jobs' records."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distillery.report.cells import CELL, cell_order
from distillery.report.results import Results
from distillery.report.words import blank


def flops_of(results: Results, dataset, network, method, init, ipc) -> float | None:
    rows = results.measured("training_flops", dataset=dataset, network=network, method=method)
    if method != "whole":
        rows = rows[(rows["init"] == init) & (rows["ipc"] == ipc)]
    rows = rows[rows["strategy"] == ""]
    return float(rows["value"].mean()) if len(rows) else None


def makings(results: Results) -> dict[tuple, list[dict]]:
    """The records of the jobs that made each cell's sets, one a seed, by cell in the report's
    order."""
    groups: dict[tuple, list[dict]] = {}
    for cost in results.costs:
        if str(cost.get("rule", "")).startswith("distill") and not blank(cost.get("seconds")):
            groups.setdefault(results.key(cost), []).append(cost)
    return {
        key: groups[key] for key in sorted(groups, key=lambda k: cell_order(dict(zip(CELL, k))))
    }


def making_of(results: Results, key: tuple) -> dict | None:
    """What making a set of a cell took, in seconds; ``None`` where no job tells.

    Returns:
        ``distilling``: mean over the cell's sets of the whole job, with its deviation ``spread``.
        ``experts``: the seconds of all expert jobs of the recipe that the sets learned from, by
        their headers (0: of none; ``None``: not known); ``sharing``: how many sets of the study
        learned from that recipe on that dataset; ``together``: distilling and the set's share of
        the experts, equal for each; ``alone``: distilling and all of them, as a set made alone
        takes.
    """
    jobs = makings(results).get(key)
    if not jobs:
        return None
    seconds = np.array([float(job["seconds"]) for job in jobs])
    found: dict[str, Any] = {
        "distilling": float(seconds.mean()),
        "spread": float(seconds.std()),
        "experts": 0.0,
        "sharing": 0,
    }
    recipes = {recipe_name(header) for _, header in results.sets if results.key(header) == key}
    if recipes - {None}:
        recipe = recipes.pop() if len(recipes) == 1 else None
        shards = [
            float(cost["seconds"])
            for cost in results.costs
            if (cost.get("rule"), cost.get("dataset"), cost.get("recipe"))
            == ("train_experts", key[0], recipe)
            and not blank(cost.get("seconds"))
        ]
        found["experts"] = sum(shards) if recipe is not None and shards else None
        found["sharing"] = sum(
            (header.get("dataset"), recipe_name(header)) == (key[0], recipe)
            for _, header in results.sets
        )
    known = found["experts"] is not None
    found["together"] = (
        found["distilling"] + found["experts"] / max(1, found["sharing"]) if known else None
    )
    found["alone"] = found["distilling"] + found["experts"] if known else None
    return found


def recipe_name(header: dict) -> str | None:
    """The expert recipe that a set learned from, as its header says."""
    experts = header.get("experts")
    return experts.get("recipe") if isinstance(experts, dict) else None


def pays_after(making: float | None, ours: float | None, full: float | None) -> int | str | None:
    """After how many trainings on a set, instead of on the full training set, making it has paid:
    an integer, ``never`` where a training on it is no faster, ``None`` where a time is not
    known."""
    if making is None or not ours or not full:
        return None
    return max(1, math.ceil(making / (full - ours))) if ours < full else "never"


def pays_text(pays: int | str | None) -> str:
    if pays is None or pays == "never":
        return pays or ""
    return f"{pays:,}".replace(",", " ")


def spent(
    results: Results, dataset: str, network: str, cells: Sequence[tuple] | None
) -> dict[str, Any]:
    """What training and testing one network took, by the jobs' records: mean ``seconds`` over so
    many ``networks``, largest ``memory`` (bytes).

    Args:
        cells: (method, init, ipc) of the sets; ``None`` for the full training set.
    """
    rule = "train_vanilla" if cells is None else "evaluate_synthetic"
    seconds, memory, networks = [], [], 0
    for cost in results.costs:
        if (cost.get("rule"), cost.get("dataset"), cost.get("network")) != (rule, dataset, network):
            continue
        if cells is not None and results.key(cost)[1:] not in cells:
            continue
        if not blank(cost.get("seconds")):
            models = int((cost.get("settings") or {}).get("models") or 1)
            seconds.append(float(cost["seconds"]) / models)
            networks += models
        if not blank(cost.get("peak_memory_bytes")):
            memory.append(float(cost["peak_memory_bytes"]))
    return {
        "seconds": float(np.mean(seconds)) if seconds else None,
        "memory": max(memory, default=None),
        "networks": networks,
    }
