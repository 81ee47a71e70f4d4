"""The scorecard: what each set is worth, against what, and at what price, a line each."""

import math
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from distillery.evaluation import scores
from distillery.report.cells import Cell, cell_rows, records
from distillery.report.effort import Making, making_of, paid_after, pays_text, recipe_name
from distillery.report.labelled import KINDS, Place, reached
from distillery.report.results import Results
from distillery.report.sections import verdict
from distillery.report.sections.images import thumbnail
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    blank,
    byte_count,
    counts_of,
    percent,
    plus_minus,
    quantity,
    sets_and_networks,
    signed,
)
from distillery.times import duration
from distillery.vocabulary import HARD, IMPORTED, LAST, PER_STEP, REPLAY, WHOLE

PICTURED = 200  # lines with a picture; each takes some kilobytes
ANSWERED = 12  # lines above the scorecard
OWN_LABELS = "its own labels"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Figure:
    """A cell of the scorecard.

    Attributes:
        text: the figure; empty where there is none.
        note: what belongs beside it, such as its count; or why there is none.
        value: to sort by; ``None`` comes last.
        rule: whose jobs it comes from, and ``network``: with which; empty where it has none.
    """

    text: str = ""
    note: str = ""
    value: float | None = None
    rule: str = ""
    network: str = ""


@dataclass(frozen=True)
class Column:
    """A column of the scorecard: its key, its head, and how that is to be read."""

    key: str
    title: str
    meaning: str


COLUMNS = (
    Column(
        "accuracy",
        "test accuracy, %",
        "Of networks trained from scratch on the final images, after the last epoch: mean ± "
        "standard deviation over all networks of all sets; n counts sets × networks per set.",
    ),
    Column(
        "opponent",
        "points above the best opponent",
        "A distilled set against the best real images of its size, real images against the best "
        "distilled set; both trained by one recipe under labels of one kind. The opponent is the "
        "best on validation images, the difference is on test images, in pairs of networks, with "
        "its 95 % interval.",
    ),
    Column(
        "full",
        "points above full training",
        "Difference to the same network trained on the full training set; beneath, the share of "
        "its accuracy.",
    ),
    Column("made", "making it", "Time of making a set, with its share of the experts' training."),
    Column(
        "pays",
        "trainings until paid",
        "After how many trainings on the set, instead of on the full training set, making it has "
        "paid in time.",
    ),
    Column("bytes", "bytes per class", "As stored: images, labels, and whitening if there is one."),
    Column(
        "others",
        "other networks, %",
        "Test accuracy of networks of other architectures, trained on the same images.",
    ),
    Column(
        "hard",
        "hard labels, %",
        "Test accuracy where each image has its class alone for a label.",
    ),
    Column(
        "memory",
        "as memory, %",
        "Accuracy on all classes after they were learned in groups, with the set as the memory "
        "that is replayed.",
    ),
    Column("file", "file", "The set itself, relative to this page."),
)


def view(results: Results, folder: Path) -> dict | None:
    """Return a line for each cell and for each full training set; ``None`` where nothing was
    measured.

    Args:
        results: the study's.
        folder: that the page lies in, from which files are named.
    """
    lines = [
        _line(results, folder, cell, network, row)
        for dataset in results.datasets
        for network in results.networks(dataset)[:1]
        for cell, row in _cells(results, dataset, network)
    ]
    if not lines:
        return None
    for line in lines[:PICTURED]:
        line["picture"] = thumbnail(results, line["cell"])
    _mark_best(lines)
    filled = {key for line in lines for key, figure in line["figures"].items() if figure.text}
    kinds = {line["figures"]["hard"].note for line in lines if not line["whole"]}
    filled -= {"hard"} if kinds == {OWN_LABELS} else set()
    filled |= {"file"} if any(line["files"] for line in lines) else set()
    columns = [column for column in COLUMNS if column.key in filled]
    return {
        "columns": columns,
        "lines": lines,
        "pictures": any(line["picture"] for line in lines),
        "unpictured": max(0, len(results.headers) - PICTURED),
        "empty": [
            column.title
            for column in COLUMNS
            if column.key not in filled and (column.key != "hard" or kinds != {OWN_LABELS})
        ],
        "all_hard": kinds == {OWN_LABELS},
        "networks": {
            results.title(d): results.networks(d)[0]
            for d in results.datasets
            if results.networks(d)
        },
        "caveats": [
            caveat
            for dataset in results.datasets
            for network in results.networks(dataset)[:1]
            if (full := results.full(dataset, network)) is not None
            for caveat in full.caveats
        ],
    }


def _cells(results: Results, dataset: str, network: str) -> list[tuple[Cell, dict[str, Any]]]:
    """List the cells whose final images a network was trained on, with their accuracy."""
    rows = results.summed(dataset, network, LAST)
    cells = [(Cell.of(row), row) for row in records(rows)]
    return sorted(cells, key=lambda item: item[0].order)


def _line(results: Results, folder: Path, cell: Cell, network: str, row: Mapping[str, Any]) -> dict:
    whole = cell.method == WHOLE
    figures = {"accuracy": _accuracy(row, "train_vanilla" if whole else "evaluate_synthetic")}
    figures["others"] = _others(results, cell, network)
    if not whole:
        kind = verdict.first_kind(results, cell, network)
        figures |= {
            "opponent": _opponent(results, cell, network, kind),
            "full": _full(results, cell, network, row),
            "hard": _hard(results, cell, network, kind),
            "memory": _memory(results, cell),
            "bytes": _bytes(results, cell, kind),
        } | _price(results, cell, network)
    return {
        "cell": cell,
        "key": key_of(cell),
        "recipe": recipe_name(results.headers.get(cell, {})) or "",
        "label": results.name(cell.method, cell.init),
        "method": "Full training set" if whole else results.name(cell.method, ""),
        "start": "" if whole else results.start(cell.method, cell.init),
        "dataset": results.title(cell.dataset),
        "size": "all" if cell.ipc is None else str(cell.ipc),
        "colour": results.colours.get(cell.method, 0),
        "mean": float(row["mean"]),
        "best": False,
        "whole": whole,
        "distilled": not whole and verdict.is_distilled(results, cell),
        "picture": None,
        "figures": figures,
        "files": _files(results, folder, cell),
    }


def _accuracy(row: Mapping[str, Any], rule: str) -> Figure:
    text = plus_minus(row["mean"], row["std"], row["count"], 1)
    return Figure(text, f"n {counts_of(row)}", 100 * row["mean"], rule, str(row["network"]))


def _mark_best(lines: list[dict]) -> None:
    """Mark the highest accuracy of each dataset and size, where there are several."""
    groups: dict[tuple, list[dict]] = {}
    for line in lines:
        if not line["whole"]:
            groups.setdefault((line["dataset"], line["size"]), []).append(line)
    for group in groups.values():
        top = max(line["mean"] for line in group)
        for line in group:
            line["best"] = len(group) > 1 and math.isclose(line["mean"], top, abs_tol=1e-9)


def _opponent(results: Results, cell: Cell, network: str, kind: str) -> Figure:
    """Compare a cell with the best of the other side among those that it may be compared with."""
    assert cell.ipc is not None  # of a set
    known = reached(results)
    place = known.get(Place(cell.dataset, network, cell.ipc, kind))
    alike = _comparable(results, network).get((cell, kind))
    if place is None or alike is None:
        return Figure(note="recipe not known")
    ours = verdict.is_distilled(results, cell)
    others = [one for one in alike if verdict.is_distilled(results, one) != ours]
    if not others:
        return Figure(note="no opponent of its recipe")
    held = [one for one in others if place.validation.get((one.method, one.init))]
    if not held:
        return Figure(note="no image held out to choose it by")
    best = max(held, key=lambda one: _mean(place.validation[one.method, one.init]))
    mine, theirs = (place.test.get((one.method, one.init), {}) for one in (cell, best))
    if not mine.keys() & theirs.keys():
        return Figure(note="no network in common")
    between = scores.paired_difference(mine, theirs)
    interval = "one pair of networks"
    if math.isfinite(between.low):
        low, high = (signed(100 * bound, 1) for bound in (between.low, between.high))
        interval = f"{low} to {high}"
    note = f"{interval}, n {_pairs(between)}; {results.name(best.method, best.init)}"
    value = 100 * between.difference
    return Figure(signed(value, 1), note, value, "evaluate_synthetic", network)


def _pairs(between: scores.PairedDifference) -> str:
    most = -(-between.networks // between.sets)
    return sets_and_networks(between.sets, most, between.networks)


def _comparable(results: Results, network: str) -> Mapping[tuple[Cell, str], list[Cell]]:
    """Return, by cell and kind of labels, the cells that it may be compared with."""

    def found() -> dict[tuple[Cell, str], list[Cell]]:
        return {
            (cell, group.labels): cells
            for group, cells in verdict.groups(results).items()
            if group.network == network
            for cell in cells
        }

    return results.once(("comparable", network), found)


def _mean(accuracies: Mapping[Any, float]) -> float:
    return sum(accuracies.values()) / len(accuracies)


def _full(results: Results, cell: Cell, network: str, row: Mapping[str, Any]) -> Figure:
    full = results.full(cell.dataset, network)
    if full is None:
        return Figure(note=NOT_MEASURED)
    value = 100 * (row["mean"] - full.mean)
    share = f"{percent(row['mean'] / full.mean, 1)} % of it" if full.mean > 0 else ""
    many = quantity(full.count, "network")
    note = "; ".join(
        [*([share] if share else []), many, *(["see the note"] if full.caveats else [])]
    )
    return Figure(signed(value, 1), note, value, "train_vanilla", network)


def _others(results: Results, cell: Cell, network: str) -> Figure:
    """Return what networks of other architectures reach: each, and their mean to sort by."""
    of_cell = results.once("accuracies by cell", lambda: _by_cell(results)).get(cell, {})
    known = [other for other in results.networks(cell.dataset) if other != network]
    found = [(other, of_cell[other]) for other in known if other in of_cell]
    if not found:
        return Figure(note=NOT_MEASURED)
    texts = [plus_minus(row["mean"], row["std"], row["count"], 1) for _, row in found]
    value = 100 * float(np.mean([row["mean"] for _, row in found]))
    rule = "train_vanilla" if cell.method == WHOLE else "evaluate_synthetic"
    if len(found) == 1:
        return Figure(
            texts[0], f"{found[0][0]}, n {counts_of(found[0][1])}", value, rule, found[0][0]
        )
    each = ", ".join(
        f"{name} {text}, n {counts_of(row)}" for (name, row), text in zip(found, texts)
    )
    return Figure(f"{value:.1f}", f"mean of {len(found)}: {each}", value, rule)


def _by_cell(results: Results) -> dict[Cell, dict[str, dict[str, Any]]]:
    """Return the accuracies of the final images of each cell, by network."""
    found: dict[Cell, dict[str, dict[str, Any]]] = {}
    for row in records(results.summary[results.summary["selection"] == LAST]):
        found.setdefault(Cell.of(row), {})[str(row["network"])] = row
    return found


def _hard(results: Results, cell: Cell, network: str, kind: str) -> Figure:
    assert cell.ipc is not None  # of a set
    known = reached(results)
    place = known.get(Place(cell.dataset, network, cell.ipc, HARD))
    found = {} if place is None else place.test.get((cell.method, cell.init), {})
    if not found:
        return Figure(note=f"{NOT_MEASURED}: {KINDS.get(kind, kind)}")
    values = np.array(list(found.values()))
    sets = len({seed for seed, _ in found})
    count = sets_and_networks(sets, len({model for _, model in found}), len(values))
    note = OWN_LABELS if kind == HARD else f"n {count}"
    text = plus_minus(values.mean(), values.std(), len(values), 1)
    return Figure(text, note, 100 * values.mean(), "evaluate_synthetic", network)


def _memory(results: Results, cell: Cell) -> Figure:
    """Return what replaying a cell's sets reaches in the end, at the fewest groups measured."""
    rows = _replayed(results).get(cell)
    if rows is None:
        return Figure(note=NOT_MEASURED)
    network = str(rows["network"].iloc[0])
    steps = rows["steps"].min()
    rows = rows[(rows["network"] == network) & (rows["steps"].isna() | (rows["steps"] == steps))]
    rows = rows[rows["stage"].isna() | (rows["stage"] == rows["stage"].max())]
    values = rows["value"].to_numpy()
    groups = "" if blank(steps) else f"{steps:.0f} groups, "
    text = plus_minus(values.mean(), values.std(), len(values), 1)
    note = f"{groups}{network}, n {len(values)}"
    return Figure(text, note, 100 * values.mean(), "continual_memory", network)


def _replayed(results: Results) -> Mapping[Cell, pd.DataFrame]:
    def found() -> dict[Cell, pd.DataFrame]:
        rows = results.measured("overall_accuracy", strategy=REPLAY)
        return dict(cell_rows(rows[rows["memory"] != PER_STEP]))

    return results.once("replayed", found)


def _bytes(results: Results, cell: Cell, kind: str) -> Figure:
    stored = verdict.bytes_per_class(results, cell, kind)
    if stored is None:
        return Figure(note="no file")
    factor = results.factor(cell)
    note = "" if factor == 1 else f"{factor**2} images are seen of each"
    return Figure(byte_count(stored), note, stored)


def _price(results: Results, cell: Cell, network: str) -> dict[str, Figure]:
    """Return what making a set took, and when that has paid."""
    making = making_of(results, cell)
    if making is None:
        note = "imported" if cell.init == IMPORTED else NOT_MEASURED
        return {"made": Figure(note=note), "pays": Figure(note=note)}
    pays = paid_after(results, cell, network)
    return {
        "made": _made(making),
        "pays": Figure(
            pays_text(pays),
            "a time is not known" if pays is None else "",
            math.inf if isinstance(pays, str) else pays,
            "distill",
        ),
    }


def _made(making: Making) -> Figure:
    if making.together is None:
        return Figure(
            duration(making.distilling),
            "without its experts, not known",
            making.distilling,
            "distill",
        )
    note = f"{duration(making.share)} of it its experts" if making.experts else ""
    return Figure(duration(making.together), note, making.together, "distill")


def answers(verdicts: list[dict], card: dict | None) -> dict:
    """Say of each dataset and size what is known, in a line: the verdict; where there is none, the
    best distilled set; beside it what its network reaches on the full training set.

    Args:
        verdicts: as :func:`verdict.view` gives them.
        card: as :func:`view` does.
    """
    lines = [] if card is None else card["lines"]
    judged: dict[tuple[str, str], list[dict]] = {}
    for block in verdicts:
        for row in block["rows"]:
            if row["main"]:
                judged.setdefault((block["dataset"], row["size"]), []).append(row)
    found: list[dict] = []
    places: dict[tuple[str, str], list[dict]] = {}
    for line in lines:
        places.setdefault((line["dataset"], line["size"]), []).append(line)
    wholes = [(line["dataset"], line["figures"]["accuracy"]) for line in lines if line["whole"]]
    full = {(name, one.network): f"{one.text} % ({one.note})" for name, one in wholes}
    for place in places:
        where = {"dataset": place[0], "size": place[1]}
        for row in judged.get(place, []):
            found.append(where | {"network": row["network"], "verdict": row, "best": None})
        ours = [line for line in places[place] if line["distilled"]]
        if place not in judged and ours:
            best = max(ours, key=lambda line: line["mean"])
            about = {"best": best, "among": len(ours), "verdict": None}
            found.append(where | {"network": best["figures"]["accuracy"].network} | about)
    for line in found:
        line["full"] = full.get((line["dataset"], line["network"]), "")
    networks = {line["network"] for line in found}
    return {
        "network": networks.pop() if len(networks) == 1 else "",
        "lines": found[:ANSWERED],
        "above": any(line["verdict"] and line["verdict"]["sentence"]["above"] for line in found),
        "more": max(0, len(found) - ANSWERED),
    }


def _files(results: Results, folder: Path, cell: Cell) -> list[dict]:
    """List a cell's files, from the folder of the page."""
    files = []
    for _, header in results.sets_of(cell):
        seed = header.get("seed")
        path = results.files[cell, seed]
        relative = os.path.relpath(path.resolve(), folder.resolve())
        address = urllib.parse.quote(Path(relative).as_posix())
        files.append({"name": "file" if blank(seed) else f"seed {seed}", "address": address})
    return files
