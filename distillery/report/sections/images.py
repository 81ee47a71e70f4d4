"""The synthetic images, and how they came to be."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from distillery.report import charts as figures
from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.words import (
    blank,
    class_name,
    images_per_class,
    quantity,
    thousands,
)

Item = TypeVar("Item")
SHOWN_CLASSES, SHOWN_IMAGES, EVOLUTION_CLASSES, EVOLUTION_FRAMES = 10, 10, 5, 8
THUMBNAIL_CLASSES = 5


def view(results: Results) -> list[dict]:
    """Show each cell's first set, and real images beside."""
    blocks = []
    for dataset in results.datasets:
        groups: dict[int | None, list[dict]] = {}
        seen = set()
        for item in results.sets:
            cell = Cell.of(item[1])
            if cell.dataset != dataset or cell in seen:  # the first seed stands for the others
                continue
            seen.add(cell)
            groups.setdefault(cell.ipc, []).append(_card(results, item))
        if not groups:
            continue
        most = max((ipc for ipc in groups if ipc), default=SHOWN_IMAGES)
        cards = [{"title": images_per_class(ipc), "cards": cards} for ipc, cards in groups.items()]
        real = _real_card(results, dataset, most)
        blocks.append({"dataset": results.title(dataset), "groups": cards, "real": real})
    return blocks


def class_strips(results: Results, item: tuple[dict, dict], *, one: bool = False) -> list[dict]:
    """Show images of each class of a set side by side, under its name; one image or several."""
    tensors, header = item
    labels, names = hard(tensors["labels"]), header.get("classes") or []
    strips = []
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        rows = tensors["images"][labels == index][: 1 if one else SHOWN_IMAGES]
        strips.append(_strip(results.pixels(rows, header)[0], class_name(names, index), "image"))
    return strips


def thumbnail(results: Results, cell: Cell) -> dict | None:
    """Show an image of each of a cell's first classes side by side; ``None`` where it has no
    file."""
    tensors, header = next(iter(results.sets_of(cell)), ({}, {}))
    if not tensors:
        return None
    labels = hard(tensors["labels"])
    classes = sorted(set(labels.tolist()))[:THUMBNAIL_CLASSES]
    first = [int(np.flatnonzero(labels == index)[0]) for index in classes]
    names = [class_name(header.get("classes") or [], index) for index in classes]
    strip = figures.strip(results.pixels(tensors["images"][first], header)[0])
    return strip | {"alt": f"one image each of the classes {', '.join(names)}"}


def _strip(pixels: np.ndarray, name: str, noun: str) -> dict:
    strip = figures.strip(pixels)
    return strip | {"name": name, "alt": f"{quantity(strip['count'], noun)} of the class {name}"}


def hard(labels: np.ndarray) -> np.ndarray:
    """Return the likeliest class of each image; hard labels as they are."""
    return labels.argmax(axis=1) if labels.ndim == 2 else labels


def _card(results: Results, item: tuple[dict, dict]) -> dict:
    tensors, header = item
    cell, rows = Cell.of(header), class_strips(results, item)
    most = max(row["count"] for row in rows)
    return {
        "title": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "note": "; ".join(_card_notes(results, tensors, header)),
        "rows": rows,
        "few": most <= 2,
        "most": most,
    }


def _card_notes(results: Results, tensors: Mapping[str, np.ndarray], header: Mapping) -> list[str]:
    """Say what of a set is not shown, and how the rest is."""
    labels = hard(tensors["labels"])
    counts = np.unique(labels, return_counts=True)[1]
    most = int(counts.max(initial=0))
    _, exact = results.pixels(tensors["images"][:1], header)
    notes = []
    if len(counts) > SHOWN_CLASSES:
        notes.append(f"{SHOWN_CLASSES} of {len(counts)} classes")
    if most > SHOWN_IMAGES:
        notes.append(f"{SHOWN_IMAGES} of {most} images per class")
    if not blank(header.get("seed")):
        notes.append(f"seed {header['seed']}")
    if tensors["labels"].ndim == 2:
        notes.append("grouped by the likeliest class of soft labels")
    if (header.get("normalization") or {}).get("kind") == "zca" and exact:
        notes.append("whitened (ZCA), shown as pixels")
    if not exact:
        notes.append("no channel statistics in the header: each image stretched to its own range")
    return notes


def _real_card(results: Results, dataset: str, count: int) -> dict | None:
    """Show real training images, so many of each class."""
    if dataset not in results.data:
        return None
    data, rows = results.data[dataset], []
    labels = np.asarray(data.labels)
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        first = np.flatnonzero(labels == index)[: min(count, SHOWN_IMAGES)]
        pixels = np.asarray(data.images[first.tolist()], np.float32) / 255
        rows.append(_strip(pixels, class_name(data.classes, index), "real image"))
    most = max(row["count"] for row in rows)
    return {
        "title": "For comparison: real training images",
        "colour": 0,
        "note": f"the first of {thousands(len(labels))} in the training set",
        "rows": rows,
        "few": most <= 2,
        "most": most,
    }


def evolution(results: Results) -> list[dict]:
    """Show an image of some classes at some iterations, of each cell's first set."""
    blocks: dict[tuple, dict] = {}
    seen = set()
    for tensors, header in results.evolutions:
        cell = Cell.of(header)
        if cell in seen:
            continue
        seen.add(cell)
        if len(tensors["iterations"]) < 2 or not tensors["images"].shape[1]:
            continue
        title = f"{results.title(cell.dataset)}, {images_per_class(cell.ipc)}"
        block = blocks.setdefault((cell.dataset, cell.ipc), {"title": title, "cards": []})
        block["cards"].append(_evolution_card(results, tensors, header))
    return list(blocks.values())


def _evolution_card(results: Results, tensors: Mapping[str, np.ndarray], header: Mapping) -> dict:
    cell, iterations = Cell.of(header), tensors["iterations"].tolist()
    at = spaced(range(len(iterations)), EVOLUTION_FRAMES)
    names, labels = header.get("classes") or [], _labels(tensors, header)
    rows = []
    for index in spaced(sorted(set(labels.tolist())), EVOLUTION_CLASSES):
        first = int(np.flatnonzero(labels == index)[0])
        pixels, _ = results.pixels(tensors["images"][at, first], header)
        name = class_name(names, index)
        alt = f"the first image of the class {name} at {len(at)} iterations"
        rows.append(figures.strip(pixels) | {"name": name, "alt": alt})
    return {
        "title": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "iterations": [iterations[i] for i in at],
        "rows": rows,
    }


def _labels(tensors: Mapping[str, np.ndarray], header: Mapping) -> np.ndarray:
    """Return the classes of an evolution's images: by their last soft labels, or as many of each,
    in order."""
    labels = tensors.get("labels")
    if labels is not None and labels.ndim == 3:
        return hard(labels[-1])
    count, size = max(len(header.get("classes") or []), 1), tensors["images"].shape[1]
    return np.arange(size) * count // size


def spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Pick ``most`` items at equal distances, the first and the last among them."""
    picked = np.linspace(0, len(items) - 1, min(most, len(items)))
    return list(dict.fromkeys(items[round(i)] for i in picked))
