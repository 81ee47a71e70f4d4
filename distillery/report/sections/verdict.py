"""The verdict: does distillation pay, against the best real images and labels of the same size?"""

import math
from typing import Any, NamedTuple

import numpy as np

from distillery.evaluation import verdict as verdicts
from distillery.report.cells import Cell
from distillery.report.comparison import by_network, pairs_in_words
from distillery.report.effort import making_of, pays_after, pays_text, spent_on
from distillery.report.results import Results
from distillery.report.sections.pairs import recipes_by
from distillery.report.words import byte_count, images_per_class, listed, plus_minus, signed
from distillery.times import duration
from distillery.vocabulary import IMPORTED, LAST, WHOLE

# One set each has networks that differ, and no more: what is said is of these two sets.
_UNITS = {"set": "over sets", "network": "over the networks of these two sets only"}
ANSWERS = {
    verdicts.PAYS: "pays",
    verdicts.DOES_NOT_PAY: "does not pay",
    verdicts.UNDECIDED: "not significant",
    verdicts.UNTESTED: "one pair of networks: not tested",
}

# By dataset, network and size: accuracies by (method, init), and therein by (seed, network).
Validation = dict[tuple, dict[tuple[str, str], dict[tuple[int, int], float]]]


class Group(NamedTuple):
    """The cells that may be compared: of one size, trained by one network and recipe, with labels
    of one kind. ``words`` has the main settings of the recipe."""

    dataset: str
    network: str
    ipc: int
    labels: str
    recipe: str
    words: str


def view(results: Results) -> list[dict]:
    """Return one line for each group of cells that may be compared, and what could not be."""
    blocks = []
    recipes, validation = recipes_by(results), _validation(results)
    for dataset in results.datasets:
        networks = results.networks(dataset)
        groups: dict[Group, list[Cell]] = {}
        for network in networks:
            for cell in _cells(results, dataset, network):
                known = recipes.get((network, cell), {})
                if len(known) == 1 and cell.ipc is not None:
                    kind, recipe = _labels(results, cell), next(iter(known.items()))
                    group = Group(dataset, network, cell.ipc, kind, *recipe)
                    groups.setdefault(group, []).append(cell)
        lines = [_line(results, validation, group, cells) for group, cells in groups.items()]
        lines = [line for line in lines if line]
        notes = _notes(results, validation, groups)
        if lines or notes:
            main = networks[0] if networks else ""
            blocks.append(
                {
                    "dataset": results.title(dataset),
                    "sentences": [line["sentence"] for line in lines if line["network"] == main],
                    "rows": lines,
                    "notes": notes,
                }
            )
    return blocks


def _cells(results: Results, dataset: str, network: str) -> list[Cell]:
    """List the cells of a dataset that a network was trained on."""
    rows = results.summed(dataset, network, LAST)
    rows = rows[rows["ipc"].notna() & (rows["method"] != WHOLE)]
    return sorted((Cell.of(row) for _, row in rows.iterrows()), key=lambda cell: cell.order)


def _first(results: Results, cell: Cell) -> tuple[dict, dict]:
    """Return the arrays and the header of the first set of a cell; empty where there is no file."""
    return next((item for item in results.sets if Cell.of(item[1]) == cell), ({}, {}))


def _labels(results: Results, cell: Cell) -> str:
    arrays, _ = _first(results, cell)
    return "soft" if arrays and arrays["labels"].ndim == 2 else "hard"


def _is_distilled(results: Results, cell: Cell) -> bool:
    return cell.init == IMPORTED or not results.is_coreset(cell.method)


def _line(results: Results, validation: Validation, group: Group, cells: list[Cell]) -> dict | None:
    """Return the verdict on a group; ``None`` where one side has no set."""
    accuracies = (validation.get(group[:3], {}), results.compared(*group[:3]).cells)
    keys = {(cell.method, cell.init): cell for cell in cells}
    distilled = {key for key, cell in keys.items() if _is_distilled(results, cell)}
    held, test = ({key: of[key] for key in keys if key in of} for of in accuracies)
    judged = verdicts.judge(held, test, distilled)
    if judged is None:
        return None
    ours, theirs = keys[judged.distilled], keys[judged.opponent]
    values = {
        key: np.array(list(test[key].values())) for key in (judged.distilled, judged.opponent)
    }
    pays = _break_even(results, ours, group.network)
    line: dict[str, Any] = {
        "network": group.network,
        "size": f"{group.ipc}",
        "labels": group.labels,
        "recipe": group.words,
        "difference": signed(100 * judged.difference.difference, 1),
        "interval": _interval(judged),
        "answer": ANSWERS[judged.answer],
        "pays": pays,
        "sentence": _sentence(results, group, judged, (ours, theirs), pays),
    }
    for side, cell, key in (
        ("ours", ours, judged.distilled),
        ("theirs", theirs, judged.opponent),
    ):
        making = making_of(results, cell)
        line[side] = {
            "label": results.name(cell.method, cell.init),
            "colour": results.colours.get(cell.method, 0),
            "accuracy": plus_minus(values[key].mean(), values[key].std(), len(values[key]), 1),
            "bytes": byte_count(bytes_per_class(results, cell)),
            "made": "" if making is None else duration(making.together),
        }
    return line


def _validation(results: Results) -> Validation:
    """Return what networks trained on the final images reach on the validation images, by dataset,
    network and size."""
    rows = results.measured("accuracy", split="validation", selection=LAST, strategy="")
    rows = rows[rows[["epoch", "stage", "class"]].isna().all(axis=1)]
    found: Validation = {}
    for _, part in rows.groupby(["dataset", "network", "ipc"]):
        cell, network = Cell.of(part.iloc[0]), str(part.iloc[0]["network"])
        found[cell.dataset, network, cell.ipc] = by_network(part)
    return found


def _interval(judged: verdicts.Verdict) -> str:
    difference = judged.difference
    if not math.isfinite(difference.low):
        return ""
    return f"{signed(100 * difference.low, 1)} to {signed(100 * difference.high, 1)}"


def _sentence(
    results: Results,
    group: Group,
    judged: verdicts.Verdict,
    cells: tuple[Cell, Cell],
    pays: str,
) -> dict:
    """Return the verdict as a sentence that can be quoted, in either direction."""
    difference = judged.difference
    ours, theirs = (results.short_name(cell.method, cell.init) for cell in cells)
    points = f"{abs(100 * difference.difference):.1f} points"
    side = "above" if difference.difference > 0 else "below"
    apart = f"{points} {side}" if points != "0.0 points" else "level with"
    interval = (
        f"95 % interval {_interval(judged)}, {pairs_in_words(difference)}, "
        + _UNITS[difference.unit]
    )
    text = {
        verdicts.PAYS: f"the best distilled set, {ours}, is {points} above the best real images, "
        f"{theirs} ({interval})",
        verdicts.DOES_NOT_PAY: f"the best real images, {theirs}, are {points} above the best "
        f"distilled set, {ours} ({interval})",
        verdicts.UNDECIDED: f"the best distilled set, {ours}, is {apart} the best real "
        f"images, {theirs}: not significant ({interval})",
        verdicts.UNTESTED: f"the best distilled set, {ours}, is {apart} the best real "
        f"images, {theirs}, by one pair of networks, which tests nothing",
    }[judged.answer]
    lead = {
        verdicts.PAYS: "Distillation pays",
        verdicts.DOES_NOT_PAY: "Distillation does not pay",
        verdicts.UNDECIDED: "Not decided",
        verdicts.UNTESTED: "Not decided",
    }[judged.answer]
    return {
        "lead": lead,
        "where": f"at {images_per_class(group.ipc)}, {group.labels} labels",
        "text": text,
        "price": _price(pays),
    }


def _price(pays: str) -> str:
    if pays == "never":
        return (
            "Making the distilled set never pays in time: a training on it is no faster than on "
            "the full training set"
        )
    return pays and (
        f"Making the distilled set has paid after {pays} "
        f"training{'' if pays == '1' else 's'} on it instead of on the full training set"
    )


def _break_even(results: Results, cell: Cell, network: str) -> str:
    """Count the trainings after which making a set has paid against the full training set."""
    making = making_of(results, cell)
    if making is None:
        return ""
    times = [spent_on(results, cell.dataset, network, cells).seconds for cells in ([cell], None)]
    return pays_text(pays_after(making.together, *times))


def bytes_per_class(results: Results, cell: Cell) -> float | None:
    """Return the bytes that a set takes for each class, as it is stored: images, labels, and the
    whitening that it carries."""
    arrays, header = _first(results, cell)
    if not arrays:
        return None
    stored = sum(array.nbytes for array in arrays.values())
    carried = results.whitenings.get((header.get("normalization") or {}).get("whitening", ""))
    if carried is not None:
        stored += sum(tensor.nbytes for tensor in carried.tensors.values())
    return stored / max(1, len(header.get("classes") or [0]))


def _notes(results: Results, validation: Validation, groups: dict[Group, list[Cell]]) -> list[str]:
    """Name the distilled sets that have no opponent under their recipe and labels, and say where
    nothing could be chosen because no image was held out."""
    alone, chosen = [], True
    for group, cells in groups.items():
        ours = [cell for cell in cells if _is_distilled(results, cell)]
        theirs = [cell for cell in cells if cell not in ours]
        if ours and not theirs:
            names = listed([results.short_name(cell.method, cell.init) for cell in ours])
            alone.append(
                f"{names} ({images_per_class(group.ipc)}, {group.network}, {group.labels} labels; "
                f"{group.words})"
            )
        elif ours and theirs and not validation.get(group[:3]):
            chosen = False
    notes = []
    if alone:
        notes.append(
            "Without an opponent that was trained by the same recipe under labels of the same "
            "kind, and so without a verdict: " + "; ".join(alone) + "."
        )
    if not chosen:
        notes.append(
            "Where no image is held out (data.validation), the best cannot be chosen without the "
            "test images, and there is no verdict."
        )
    return notes
