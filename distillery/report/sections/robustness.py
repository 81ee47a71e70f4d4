"""Label- and augmentation-robust scores."""

import itertools

import numpy as np
import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import Cell, cell_rows
from distillery.report.comparison import Comparison
from distillery.report.effort import first_setting
from distillery.report.results import FullTraining, Results
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    images_per_class,
    listed,
    network_rank,
    plus_minus,
    quantity,
    sets_and_networks,
    signed,
)

LABEL, AUGMENTATION = "label", "augmentation"
MEASURES = {
    LABEL: ["accuracy_own_labels", "accuracy_random_same_labels", "accuracy_hard_labels"],
    AUGMENTATION: [
        "accuracy_augmented",
        "accuracy_random_augmented",
        "accuracy_plain",
        "accuracy_random_plain",
    ],
}


def view(results: Results) -> list[dict]:
    """Return the scores: one a set, of the means over its networks; shown as mean and deviation
    over sets, with one set over its networks' own scores."""
    rows = results.metrics
    rows = rows[rows["measure"].isin([*MEASURES[LABEL], *MEASURES[AUGMENTATION]])]
    blocks = []
    for dataset in results.datasets:
        for network in sorted(set(rows[rows["dataset"] == dataset]["network"]), key=network_rank):
            part = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            blocks.append(_block(results, dataset, network, part))
    return blocks


def _block(results: Results, dataset: str, network: str, rows: pd.DataFrame) -> dict:
    full = results.full(dataset, network)
    augments = {
        str(first_setting((cost.get("settings") or {}).get("robust"), "augment") or "")
        for cost in results.costs
        if (cost.get("rule"), cost.get("dataset"), cost.get("network"))
        == ("evaluate_robust", dataset, network)
    }
    return {
        "title": f"{results.title(dataset)}, {network}",
        "rows": [_line(results, cell, part, full) for cell, part in cell_rows(rows)],
        "augment": ", ".join(sorted(augments - {""})),
        "has_whole": full is not None,
        "full": "" if full is None else full.text,
        "notes": [
            note
            for ipc in sorted(rows["ipc"].dropna().unique())
            for kind in MEASURES
            if (
                note := _note(
                    results, kind, f"At {images_per_class(ipc)}", rows[rows["ipc"] == ipc], full
                )
            )
        ],
        "caveats": [] if full is None else full.caveats,
    }


def _score(kind: str, means: pd.Series, full: FullTraining | None) -> float:
    if kind == LABEL:
        of_set, random, hard = means
        assert full is not None  # or no label-robust score is asked for
        return scores.label_robust_score(of_set, random, full.mean, hard)
    return scores.augmentation_robust_score(*means)


def _means(rows: pd.DataFrame, keys: list[str], measures: list[str]) -> pd.DataFrame:
    """Average the measures of each set, or of each network: those that have all of them."""
    table = rows.groupby([*keys, "measure"])["value"].mean().unstack()
    return table.reindex(columns=measures).dropna()


def _scores(
    kind: str, rows: pd.DataFrame, full: FullTraining | None
) -> tuple[pd.Series, pd.Series]:
    """Score each set by the means over its networks, by seed; and each network alone, by (seed,
    model)."""
    none = pd.Series(dtype=float)
    if kind == LABEL and full is None:
        return none, none
    tables = (_means(rows, keys, MEASURES[kind]) for keys in (["seed"], ["seed", "model"]))
    of_sets, of_networks = (
        table.apply(lambda means: _score(kind, means, full), axis=1) if len(table) else none
        for table in tables
    )
    return of_sets, of_networks


def _line(results: Results, cell: Cell, rows: pd.DataFrame, full: FullTraining | None) -> dict:
    line = {
        "cell": key_of(cell),
        "label": results.name(cell.method, cell.init),
        "size": f"{cell.ipc}",
        "colour": results.colours.get(cell.method, 0),
        "count": sets_and_networks(
            rows["seed"].nunique(),
            int(rows.groupby(["seed", "measure"]).size().max()),
            int(rows.groupby("measure").size().max()),
        ),
    }
    line |= dict.fromkeys(
        ("lrs", "over_random", "over_full", "ars", "over_augmented", "over_plain"), ""
    )
    for kind, name in ((LABEL, "lrs"), (AUGMENTATION, "ars")):
        of_sets, of_networks = _scores(kind, rows, full)
        spread = of_sets if len(of_sets) > 1 else of_networks
        if len(of_sets):
            line[name] = plus_minus(of_sets.mean(), spread.std(ddof=0), len(spread))
    labels = _means(rows, ["seed"], MEASURES[LABEL])
    if len(labels):
        of_set, random, hard = (labels[name] for name in MEASURES[LABEL])
        line["over_random"] = signed(100 * (of_set - random).mean())
        if full is not None:
            line["over_full"] = signed(100 * (hard - full.mean).mean())
    augmented = _means(rows, ["seed"], MEASURES[AUGMENTATION])
    if len(augmented):
        ours, random, plain, random_plain = (augmented[name] for name in MEASURES[AUGMENTATION])
        line["over_augmented"] = signed(100 * (ours - random).mean())
        line["over_plain"] = signed(100 * (plain - random_plain).mean())
    return line


def _note(
    results: Results, kind: str, at: str, rows: pd.DataFrame, full: FullTraining | None
) -> str:
    """Say what the scores of one size and kind can tell: which pairs of sets differ significantly,
    network by network."""
    cells = {}
    for cell, part in cell_rows(rows):
        _, of_networks = _scores(kind, part, full)
        if len(of_networks):
            cells[cell.method, cell.init] = {
                (int(seed), int(m)): float(v)
                for (seed, m), v in zip(of_networks.index, of_networks)
            }
    if len(cells) < 2:
        return ""
    where, comparison = f"{at} the {kind}-robust scores", Comparison(cells)
    if not comparison.tested:
        return (
            f"{where} are of one network each: they have no spread, and nothing tells the sets "
            "apart."
        )
    pairs = itertools.combinations(cells, 2)
    apart = sum(comparison.verdict(*pair) in ("better", "worse") for pair in pairs)
    tested = quantity(comparison.tested, "pair")
    if not apart:
        return (
            f"{where} cannot tell the sets apart: none of {tested} differs significantly "
            f"({comparison.how()})."
        )
    best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
    near = comparison.verdicts(best)["not significant"]
    highest = "is significantly above all others"
    if near:
        names = listed([results.short_name(*cell) for cell in near])
        highest = f"is not significantly above {names}"
    return (
        f"{where} tell {apart} of {tested} apart ({comparison.how()}); the highest, of "
        f"{results.short_name(*best)}, {highest}."
    )
