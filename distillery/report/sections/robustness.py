"""Label- and augmentation-robust scores."""

import itertools

import numpy as np
import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import cell_rows
from distillery.report.comparison import Comparison
from distillery.report.results import Results, first_setting, short_name
from distillery.report.words import (
    dataset_title,
    full_text,
    images_per_class,
    listed,
    network_rank,
    plus_minus,
    quantity,
    sets_and_networks,
    signed,
)

LABEL_MEASURES = ("accuracy_own_labels", "accuracy_random_same_labels", "accuracy_hard_labels")


AUGMENT_MEASURES = (
    "accuracy_augmented",
    "accuracy_random_augmented",
    "accuracy_plain",
    "accuracy_random_plain",
)


def view(results: Results) -> list[dict]:
    """Label- and augmentation-robust scores: one a set, of the means over its networks; shown as
    mean and deviation over sets, with one set over its networks' own scores."""
    rows = results.metrics[results.metrics["measure"].isin([*LABEL_MEASURES, *AUGMENT_MEASURES])]
    blocks = []
    for dataset in results.datasets:
        for network in sorted(set(rows[rows["dataset"] == dataset]["network"]), key=network_rank):
            full = results.full(dataset, network)
            own = rows[(rows["dataset"] == dataset) & (rows["network"] == network)]
            lines = [_robust_line(results, cell, part, full) for cell, part in cell_rows(own)]
            augments = {
                str(first_setting((cost.get("settings") or {}).get("robust"), "augment") or "")
                for cost in results.costs
                if (cost.get("rule"), cost.get("dataset"), cost.get("network"))
                == ("evaluate_robust", dataset, network)
            }
            if lines:
                blocks.append(
                    {
                        "title": f"{dataset_title(dataset)}, {network}",
                        "rows": lines,
                        "augment": ", ".join(sorted(augments - {""})),
                        "has_whole": full is not None,
                        "full": "" if full is None else full_text(full),
                        "notes": _robust_notes(results, own, full),
                        "caveats": [] if full is None else full["caveats"],
                    }
                )
    return blocks


def _score(kind: str, found: pd.Series, full: dict | None) -> float:
    if kind == "label":
        own, random, hard = (found[name] for name in LABEL_MEASURES)
        return scores.label_robust_score(own, random, full["mean"], hard)
    return scores.augmentation_robust_score(*(found[name] for name in AUGMENT_MEASURES))


def _robust_scores(kind: str, rows: pd.DataFrame, full: dict | None) -> tuple[pd.Series, pd.Series]:
    """The score of each set, of the means over its networks, by seed; and that of each network
    alone, by (seed, model)."""
    if kind == "label" and full is None:
        return pd.Series(dtype=float), pd.Series(dtype=float)
    measures = list(LABEL_MEASURES if kind == "label" else AUGMENT_MEASURES)
    found = []
    for keys in (["seed"], ["seed", "model"]):
        table = (
            rows.groupby([*keys, "measure"])["value"]
            .mean()
            .unstack()
            .reindex(columns=measures)
            .dropna()
        )
        found.append(
            table.apply(lambda row: _score(kind, row, full), axis=1)
            if len(table)
            else pd.Series(dtype=float)
        )
    return found[0], found[1]


def _robust_line(results: Results, cell: dict, rows: pd.DataFrame, full: dict | None) -> dict:
    sets = (
        rows.groupby(["seed", "measure"])["value"]
        .mean()
        .unstack()
        .reindex(columns=[*LABEL_MEASURES, *AUGMENT_MEASURES])
    )
    labels, augmented = sets[list(LABEL_MEASURES)].dropna(), sets[list(AUGMENT_MEASURES)].dropna()
    line = {
        "label": results.name(cell["method"], cell["init"]),
        "size": f"{int(cell['ipc'])}",
        "colour": results.colours.get(cell["method"], 0),
        "count": sets_and_networks(
            len(sets),
            int(rows.groupby(["seed", "measure"]).size().max()),
            int(rows.groupby("measure").size().max()),
        ),
    }
    line |= dict.fromkeys(
        ("lrs", "over_random", "over_whole", "ars", "over_augmented", "over_plain"), ""
    )
    for kind, name in (("label", "lrs"), ("augmentation", "ars")):
        of_sets, of_networks = _robust_scores(kind, rows, full)
        spread = of_sets if len(of_sets) > 1 else of_networks
        if len(of_sets):
            line[name] = plus_minus(of_sets.mean(), spread.std(ddof=0), len(spread))
    if len(labels):
        line["over_random"] = signed(
            100 * (labels["accuracy_own_labels"] - labels["accuracy_random_same_labels"]).mean()
        )
        if full is not None:
            line["over_whole"] = signed(
                100 * (labels["accuracy_hard_labels"] - full["mean"]).mean()
            )
    if len(augmented):
        line["over_augmented"] = signed(
            100 * (augmented["accuracy_augmented"] - augmented["accuracy_random_augmented"]).mean()
        )
        line["over_plain"] = signed(
            100 * (augmented["accuracy_plain"] - augmented["accuracy_random_plain"]).mean()
        )
    return line


def _robust_notes(results: Results, rows: pd.DataFrame, full: dict | None) -> list[str]:
    """What the scores can tell: for each size and score, which pairs of sets differ significantly,
    network by network."""
    notes = []
    for ipc, part in rows.groupby("ipc"):
        for kind in ("label", "augmentation"):
            cells = {}
            for cell, own in cell_rows(part):
                _, of_networks = _robust_scores(kind, own, full)
                if len(of_networks):
                    cells[cell["method"], cell["init"]] = {
                        (int(seed), int(m)): float(v) for (seed, m), v in of_networks.items()
                    }
            if len(cells) < 2:
                continue
            where = f"At {images_per_class(ipc)} the {kind}-robust scores"
            comparison = Comparison(cells)
            apart = [
                p
                for p in itertools.combinations(cells, 2)
                if comparison.verdict(*p) in ("better", "worse")
            ]
            if not comparison.tested:
                notes.append(
                    f"{where} are of one network each: they have no spread, and nothing tells the "
                    "sets apart."
                )
                continue
            if not apart:
                notes.append(
                    f"{where} cannot tell the sets apart: none of "
                    f"{quantity(comparison.tested, 'pair')} differs significantly "
                    f"({comparison.how()})."
                )
                continue
            best = max(cells, key=lambda cell: np.mean(list(cells[cell].values())))
            near = comparison.verdicts(best)["not significant"]
            names = listed([short_name(results, *cell) for cell in near])
            highest = (
                f"is not significantly above {names}"
                if near
                else "is significantly above all others"
            )
            notes.append(
                f"{where} tell {len(apart)} of {quantity(comparison.tested, 'pair')} apart "
                f"({comparison.how()}); "
                f"the highest, of {short_name(results, *best)}, {highest}."
            )
    return notes
