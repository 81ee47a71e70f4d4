"""The verdict: does distillation pay, against the best real images and labels of the same size?"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from distillery.evaluation import verdict as verdicts
from distillery.report.cells import Cell
from distillery.report.comparison import pairs_in_words
from distillery.report.effort import making_of, paid_after, pays_text
from distillery.report.labelled import (
    KINDS,
    Place,
    Reached,
    first_kinds,
    own_labels,
    reached,
    recipes_by,
)
from distillery.report.results import Item, Results
from distillery.report.words import (
    byte_count,
    images_per_class,
    listed,
    plus_minus,
    sets_and_networks,
    signed,
)
from distillery.times import duration
from distillery.vocabulary import HARD, IMPORTED, LAST, TEACHER, WHOLE

# One set each has networks that differ, and no more: what is said is of these two sets.
_UNITS = {"set": "over sets", "network": "over the networks of these two sets only"}
ANSWERS = {
    verdicts.PAYS: "pays",
    verdicts.DOES_NOT_PAY: "does not pay",
    verdicts.UNDECIDED: "not significant",
    verdicts.UNTESTED: "one pair of networks: not tested",
}


class Group(NamedTuple):
    """The cells that may be compared: of one size, trained by one network and recipe, under labels
    of one kind. ``words`` has the main settings of the recipe."""

    dataset: str
    network: str
    ipc: int
    labels: str
    recipe: str
    words: str

    @property
    def place(self) -> Place:
        """Return where its accuracies stand."""
        return Place(self.dataset, self.network, self.ipc, self.labels)


def view(results: Results) -> list[dict]:
    """Return one line for each group of cells that may be compared, and what could not be."""
    known = reached(results)
    blocks = []
    every = groups(results)
    for dataset in results.datasets:
        here = {group: cells for group, cells in every.items() if group.dataset == dataset}
        lines = [_line(results, known, group, cells) for group, cells in here.items()]
        lines = [line for line in lines if line]
        notes = _notes(results, known, here)
        if lines or notes:
            blocks.append(
                {
                    "dataset": results.title(dataset),
                    "sentences": [line["sentence"] for line in lines if line["main"]],
                    "rows": lines,
                    "notes": notes,
                }
            )
    return blocks


def groups(results: Results) -> dict[Group, list[Cell]]:
    """Group the cells that may be compared, by dataset in the report's order."""

    def found() -> dict[Group, list[Cell]]:
        known = reached(results)
        recipes = {kind: recipes_by(results, kind) for kind in KINDS}
        grouped: dict[Group, list[Cell]] = {}
        for dataset in results.datasets:
            for network in results.networks(dataset):
                for cell in _cells(results, dataset, network):
                    for kind in _kinds(known, cell, network):
                        trained = recipes[kind].get((network, cell), {})
                        if len(trained) == 1 and cell.ipc is not None:
                            recipe = next(iter(trained.items()))
                            group = Group(dataset, network, cell.ipc, kind, *recipe)
                            grouped.setdefault(group, []).append(cell)
        return grouped

    return results.once("groups", found)


def _cells(results: Results, dataset: str, network: str) -> list[Cell]:
    """List the cells of a dataset that a network was trained on."""
    rows = results.summed(dataset, network, LAST)
    rows = rows[rows["ipc"].notna() & (rows["method"] != WHOLE)]
    return sorted((Cell.of(row) for _, row in rows.iterrows()), key=lambda cell: cell.order)


def _first(results: Results, cell: Cell) -> Item:
    """Return the arrays and the header of the first set of a cell; empty where there is no file."""
    return next(iter(results.sets_of(cell)), ({}, {}))


def _kinds(known: dict[Place, Reached], cell: Cell, network: str) -> list[str]:
    """List the kinds of labels that networks were trained under on a cell's sets."""
    assert cell.ipc is not None  # of a set
    places = {kind: Place(cell.dataset, network, cell.ipc, kind) for kind in KINDS}
    return [
        kind
        for kind, place in places.items()
        if place in known and (cell.method, cell.init) in known[place].test
    ]


def is_distilled(results: Results, cell: Cell) -> bool:
    """Return whether the sets of a cell are on distillation's side: not chosen real images."""
    return cell.init == IMPORTED or not results.is_coreset(cell.method)


def _line(
    results: Results, known: dict[Place, Reached], group: Group, cells: list[Cell]
) -> dict | None:
    """Return the verdict on a group; ``None`` where one side has no set."""
    here = known[group.place]
    keys = {(cell.method, cell.init): cell for cell in cells}
    distilled = {key for key, cell in keys.items() if is_distilled(results, cell)}
    held, test = (
        {key: of[key] for key in keys if key in of} for of in (here.validation, here.test)
    )
    judged = verdicts.judge(held, test, distilled)
    if judged is None:
        return None
    ours, theirs = keys[judged.distilled], keys[judged.opponent]
    sides = [[key for key in test if (key in distilled) == mine] for mine in (True, False)]
    # Of a training under the labels that sets are compared under: its job's time is theirs.
    timed = group.labels == first_kind(results, ours, group.network)
    pays = pays_text(paid_after(results, ours, group.network)) if timed else ""
    line: dict[str, Any] = {
        "network": group.network,
        "main": group.network == results.networks(group.dataset)[0],
        "size": f"{group.ipc}",
        "labels": KINDS[group.labels],
        "recipe": group.words,
        "difference": signed(100 * judged.difference.difference, 1),
        "interval": _interval(judged),
        "answer": ANSWERS[judged.answer],
        "pays": pays,
        "sentence": _sentence(results, group, judged, (ours, theirs), pays),
    }
    above: list[str] = []
    for side, cell, key, among in (
        ("ours", ours, judged.distilled, sides[0]),
        ("theirs", theirs, judged.opponent, sides[1]),
    ):
        making = making_of(results, cell)
        line[side] = {
            "label": results.name(cell.method, cell.init),
            "colour": results.colours.get(cell.method, 0),
            "accuracy": _accuracy(test[key]),
            "count": f"n {_count(test[key])}",
            "bytes": byte_count(bytes_per_class(results, cell, group.labels)),
            "made": "" if making is None else duration(making.together),
            "above": "",
        }
        if (top := _above(test, key, among)) is not None:
            reached = f"{_accuracy(test[top])} %"
            line[side]["above"] = f"{results.name(*top)} {reached}"
            above.append(
                f"{results.short_name(*top)} reaches {reached}, more than "
                f"{results.short_name(cell.method, cell.init)}"
            )
    if above:
        line["sentence"]["above"] = (
            f"On the test images, by which nothing is chosen, {listed(above)}"
        )
    return line


def _above(
    test: Mapping[tuple[str, str], Mapping[Any, float]],
    best: tuple[str, str],
    among: list[tuple[str, str]],
) -> tuple[str, str] | None:
    """Return which of a side's sets is above its best on the test images, by which none is chosen;
    ``None`` where none is, or by less than is shown."""
    means = {key: round(100 * float(np.mean(list(test[key].values()))), 1) for key in among}
    top = max(among, key=lambda key: means[key])
    return top if means[top] > means[best] else None


def _accuracy(accuracies: Mapping[Any, float]) -> str:
    values = np.array(list(accuracies.values()))
    return plus_minus(values.mean(), values.std(), len(values), 1)


def _count(accuracies: Mapping[tuple[int, int], float]) -> str:
    most = max(Counter(seed for seed, _ in accuracies).values())
    return sets_and_networks(len({seed for seed, _ in accuracies}), most, len(accuracies))


def first_kind(results: Results, cell: Cell, network: str) -> str:
    """Return the kind of labels that a cell's sets are compared under."""
    known = results.once("first kinds", lambda: first_kinds(results))
    return known.get((cell, network)) or own_labels(results, cell)


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
        "where": f"at {images_per_class(group.ipc)}, {KINDS[group.labels]}",
        "text": text,
        "price": _price(pays),
        "above": "",
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


def bytes_per_class(results: Results, cell: Cell, labels: str | None = None) -> float | None:
    """Return the bytes that a set takes for each class, as it is stored, to be trained under a kind
    of labels, its own by default: images, labels or the teacher in their place, and the whitening
    that it carries."""
    arrays, header = _first(results, cell)
    if not arrays:
        return None
    stored = sum(array.nbytes for name, array in arrays.items() if name != "labels")
    if labels == TEACHER:
        teacher = _teacher_bytes(results, cell)
        if teacher is None:
            return None
        stored += teacher
    elif labels == HARD:
        stored += 8 * len(arrays["labels"])
    else:
        stored += arrays["labels"].nbytes
    carried = results.whitenings.get((header.get("normalization") or {}).get("whitening", ""))
    if carried is not None:
        stored += sum(tensor.nbytes for tensor in carried.tensors.values())
    return stored / max(1, len(header.get("classes") or [0]))


def _teacher_bytes(results: Results, cell: Cell) -> float | None:
    """Return the bytes of the teacher that labels a cell's sets, in single precision; ``None``
    where the size of its network is not known."""
    numbers = {
        (cost.get("settings") or {}).get(TEACHER, {}).get("number")
        for cost in results.jobs_of("evaluate_synthetic", cell)
    } - {None}
    network = results.config.get("network", "ConvNet")
    rows = results.measured("parameters", dataset=cell.dataset, network=network)
    if len(numbers) != 1 or rows.empty:
        return None
    return 4 * numbers.pop() * float(rows.iloc[0]["value"])


def _notes(
    results: Results, known: dict[Place, Reached], groups: dict[Group, list[Cell]]
) -> list[str]:
    """Name the distilled sets that have no opponent under their recipe and labels, and say where
    nothing could be chosen because no image was held out."""
    alone, chosen = [], True
    for group, cells in groups.items():
        ours = [cell for cell in cells if is_distilled(results, cell)]
        theirs = [cell for cell in cells if cell not in ours]
        if ours and not theirs:
            names = listed([results.short_name(cell.method, cell.init) for cell in ours])
            alone.append(
                f"{names} ({images_per_class(group.ipc)}, {group.network}, {KINDS[group.labels]}; "
                f"{group.words})"
            )
        elif ours and theirs and not known[group.place].validation:
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
