"""What sets may give away of the images that they were made from: near-copies, and members."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from distillery.images import formation
from distillery.report import charts as figures
from distillery.report.cells import Cell, cell_rows
from distillery.report.charts import spaced
from distillery.report.results import Item, Results
from distillery.report.sections.traced import key_of
from distillery.report.words import class_name, images_per_class, quantity
from distillery.store import artefact

SHOWN = 8  # pairs of a set, the nearest first
CARDS = 24  # sets of a dataset whose pairs are shown
RULE = "evaluate_privacy"
ATTACKS = ("members", "nearest")


def view(results: Results, neighbours: Sequence[str | Path]) -> list[dict]:
    """Return the table of each dataset, and the images of each cell's first set beside their
    nearest training images."""
    found: dict[Cell, list[Item]] = {}
    for path in neighbours:
        tensors, header = artefact.load(path, rule=RULE)
        arrays = artefact.Arrays(path, tensors, rule=RULE)
        found.setdefault(Cell.of(header), []).append((arrays, header))
    rows = results.metrics[results.metrics["rule"] == RULE]
    blocks = []
    for dataset in results.datasets:
        lines, shown = [], []
        for cell, part in cell_rows(rows[rows["dataset"] == dataset]):
            known = sorted(found.get(cell, []), key=lambda each: each[1]["seed"])
            if known:
                lines.append(_line(results, cell, part, known))
                shown.append((cell, *known[0]))
        if lines:
            cards = [_card(results, *shown[at]) for at in spaced(range(len(shown)), CARDS)]
            blocks.append(
                {
                    "dataset": results.title(dataset),
                    "rows": lines,
                    "cards": [card for card in cards if card],
                    "left_out": len(shown) - len(cards),
                    "tested": quantity(len(_reference(found, dataset)), "test image"),
                }
            )
    return blocks


def _reference(found: Mapping[Cell, list[Item]], dataset: str) -> np.ndarray:
    """Return the distances of the test images of a dataset, the same for each of its sets."""
    return next(
        known[0][0]["reference"] for cell, known in found.items() if cell.dataset == dataset
    )


def _line(results: Results, cell: Cell, rows: pd.DataFrame, known: Sequence) -> dict:
    """Return what the sets of a cell give away."""
    count = sum(len(arrays["copies"]) for arrays, _ in known)
    copies = int(rows[rows["measure"] == "near_copies"]["value"].sum())
    reference = known[0][0]["reference"]
    distances = np.concatenate([arrays["distances"] for arrays, _ in known])
    line = {
        "cell": key_of(cell),
        "label": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "size": f"{cell.ipc}",
        "copies": f"{copies} of {count}",
        "flagged": copies > 0,
        "distance": f"{np.median(distances):.2f}",
        "reference": f"{np.median(reference):.2f}",
        "nearer": f"{100 * (reference[None] < distances[:, None]).mean():.0f} %",
        "count": f"{len(known)} × {known[0][1]['models']}",
    }
    for attack in ATTACKS:
        line[attack] = _area(rows[rows["selection"] == attack])
    return line


def _area(rows: pd.DataFrame) -> str:
    """Return an area with its interval: the mean over sets, and the widest interval of them."""
    values = {
        part: rows[rows["measure"] == f"membership_auc{part}"]["value"]
        for part in ("", "_low", "_high")
    }
    if not len(values[""]):
        return ""
    low, high = values["_low"].min(), values["_high"].max()
    return f"{values[''].mean():.3f} ({low:.3f} to {high:.3f})"


def _card(results: Results, cell: Cell, arrays: Mapping[str, Any], header: Mapping) -> dict | None:
    """Show the images of a set that lie nearest to a training image, with that beneath; ``None``
    where the images are not there."""
    sets = results.sets_of(cell)
    made = next((item for item in sets if item[1].get("seed") == header["seed"]), None)
    if made is None or cell.dataset not in results.data:
        return None
    data, (tensors, about) = results.data[cell.dataset], made
    # Near-copies first, then by how much nearer the nearest is than the next.
    order = np.lexsort((arrays["ratios"], ~arrays["copies"].astype(bool)))[:SHOWN]
    real = arrays["rows"][order]
    seen = formation.decode(torch.from_numpy(tensors["images"]), about.get("factor", 1)).numpy()
    shown = results.pixels(seen[order], about)[0]
    beside = np.asarray(data.images[real.tolist()], np.float32) / 255
    names = [class_name(data.classes, int(data.labels[row])) for row in real.tolist()]
    return {
        "cell": key_of(cell),
        "title": f"{results.name(cell.method, cell.init)}, {images_per_class(cell.ipc)}",
        "colour": results.colours.get(cell.method, 0),
        "made": figures.strip(shown) | {"alt": f"{quantity(len(order), 'image')} of the set"},
        "real": figures.strip(beside)
        | {"alt": f"their nearest training images, of the classes {', '.join(names)}"},
        "distances": [
            {"text": f"{arrays['distances'][i]:.2f}", "flagged": bool(arrays["copies"][i])}
            for i in order
        ],
    }
