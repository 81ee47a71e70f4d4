"""Whether a published figure was measured under the recipe by which this study trains networks."""

from typing import Any

import pandas as pd

from distillery import plugins
from distillery.published import figures as published
from distillery.report.cells import Cell
from distillery.report.labelled import RECIPE, own_labels
from distillery.report.results import Results
from distillery.study.overrides import resolve
from distillery.study.presets import recipe
from distillery.vocabulary import HARD, OWN, SOFT, TEACHER, WHOLE

PUBLISHED, COURSE = published.PROTOCOLS
# Coresets whose published tables are the gradient-matching authors', by their evaluation.
_OF_DC = ("random", "herding")
UNKNOWN = "its source does not give the recipe"


def rows(cell: Cell, network: str, protocol: str) -> pd.DataFrame:
    """Look up the figures of a protocol that stand beside a cell, as ``figures.lookup`` does."""
    return published.lookup(
        cell.dataset,
        cell.method,
        ipc=cell.ipc,
        init=cell.init,
        network=network,
        protocol=protocol,
    )


def apart(results: Results, cell: Cell, network: str, protocol: str) -> str:
    """Say in what a figure's recipe is another than ours, setting by setting; empty where it is
    ours, or where one of the two is not known.

    Args:
        results: the study's.
        cell: that the figure stands beside.
        network: that was trained.
        protocol: of the figure, one of ``figures.PROTOCOLS``. Of the course project's the epochs
            are on record, and the batch where it was another than the published code's.
    """
    theirs = _theirs(cell, network, protocol)
    if theirs is None:
        return UNKNOWN
    rule = "train_vanilla" if cell.method == WHOLE else "evaluate_synthetic"
    found: dict[str, None] = {}
    for cost in results.jobs_of(rule, cell):
        if cost.get("network") == network:
            for text in _differences(results, cell, cost.get("settings") or {}, theirs):
                found.setdefault(text)
    return "measured with " + ", ".join(found) if found else ""


def _theirs(cell: Cell, network: str, protocol: str) -> dict[str, Any] | None:
    """Return the settings under which a figure was measured, as far as they are known; ``None``
    where it is of a coreset that others evaluated, and they do not say how."""
    if protocol == COURSE:
        budget = published.budget(cell.method, cell.dataset, cell.ipc, COURSE)
        known = {"epochs": budget["epochs"]} if "epochs" in budget else {}
        batch = rows(cell, network, COURSE)["batch"].dropna()
        return known | ({"batch": int(batch.iloc[0])} if len(batch) else {})
    method = plugins.methods().get(cell.method)
    if method is None:
        return {}
    usual = plugins.methods()["dc"].protocol
    if method.is_coreset and method.protocol == usual and cell.method not in _OF_DC:
        return None
    return recipe(resolve(method.protocol, cell._asdict()))


def _differences(
    results: Results, cell: Cell, ours: dict[str, Any], theirs: dict[str, Any]
) -> list[str]:
    pairs: list[tuple[str, Any, Any]] = []
    factor = results.factor(cell)
    for key in RECIPE:
        if key in ours and key in theirs:
            pair = ours[key], theirs[key]
            if key == "batch" and cell.ipc is not None:
                # No step has more images than the set; of an unknown number nothing is said.
                most = cell.ipc * factor**2 * len(results.classes(cell.dataset))
                pair = min(pair[0], most), min(pair[1], most)
            if key != "momentum" or ours.get("optimiser", "sgd") == "sgd":
                pairs.append((key.replace("_", " "), *pair))
    if ours.get("labels") and theirs.get("labels"):
        kind, other = (_kind(results, cell, each["labels"]) for each in (ours, theirs))
        pairs.append(("labels", kind, other))
        if kind == other == TEACHER:
            here, there = (each[TEACHER].get("temperature", 1) for each in (ours, theirs))
            pairs.append(("temperature", here, there))
    apart = [f"{name} {there} (here {here})" for name, here, there in pairs if here != there]
    # What a paper's images held stands in no protocol.
    return apart if factor == 1 else [*apart, f"images that here hold {factor} x {factor} each"]


def _kind(results: Results, cell: Cell, labels: list[str] | str) -> str:
    """Return what labels come to: those of the full training set are hard."""
    first = labels if isinstance(labels, str) else labels[0]
    if first != OWN:
        return first
    return SOFT if cell.ipc is not None and own_labels(results, cell) == SOFT else HARD
