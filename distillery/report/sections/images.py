"""The synthetic images, and how they came to be."""

from collections.abc import Mapping, Sequence

import numpy as np

from distillery.report import charts as figures
from distillery.report.cells import Cell
from distillery.report.charts import spaced
from distillery.report.results import Item, Results
from distillery.report.sections.traced import key_of
from distillery.report.words import (
    blank,
    class_name,
    images_per_class,
    quantity,
    thousands,
)

SHOWN_CLASSES, SHOWN_IMAGES, EVOLUTION_CLASSES, EVOLUTION_FRAMES = 10, 10, 5, 40
THUMBNAIL_CLASSES = 5
# What a page holds at most: sizes of a dataset, sets of a size, and bytes of pixels of all, and as
# many again of their snapshots: of 54 sets with 40 each they were 22 MB.
SIZES, CARDS, PIXELS = 6, 24, 4_000_000


def view(results: Results) -> list[dict]:
    """Show each cell's first set, and real images beside: fewer images of each class where there
    are many sets."""
    shown, left_out = _chosen(results)
    each = _images_each(shown)
    blocks = []
    for dataset in results.datasets:
        groups: dict[int | None, list[dict]] = {}
        for item in shown:
            cell = Cell.of(item[1])
            if cell.dataset == dataset:
                groups.setdefault(cell.ipc, []).append(_card(results, item, each))
        if not groups:
            continue
        most = min(each, max((ipc for ipc in groups if ipc), default=SHOWN_IMAGES))
        cards = [{"title": images_per_class(ipc), "cards": cards} for ipc, cards in groups.items()]
        blocks.append(
            {
                "dataset": results.title(dataset),
                "groups": cards,
                "real": _real_card(results, dataset, most),
                "left_out": left_out.get(dataset, 0),
            }
        )
    return blocks


def _chosen(results: Results) -> tuple[list[Item], dict[str, int]]:
    """Return the first set of each cell, of so many sizes and so many of a size, and how many cells
    of each dataset are left out."""
    places: dict[str, dict[int | None, list[Cell]]] = {}
    for cell in results.headers:
        places.setdefault(cell.dataset, {}).setdefault(cell.ipc, []).append(cell)
    chosen, left_out = [], {}
    for dataset, sizes in places.items():
        cells = [cell for ipc in spaced(list(sizes), SIZES) for cell in sizes[ipc][:CARDS]]
        left_out[dataset] = sum(map(len, sizes.values())) - len(cells)
        chosen += [results.sets_of(cell)[0] for cell in cells]
    return chosen, left_out


def _images_each(items: Sequence[Item]) -> int:
    """Return how many images of each class are shown, so that all are within ``PIXELS``."""
    one = sum(
        min(SHOWN_CLASSES, len(np.unique(hard(tensors["labels"]))))
        * int(np.prod(tensors["images"].shape[1:]))
        for tensors, _ in items
    )
    return min(SHOWN_IMAGES, max(1, PIXELS // max(1, one)))


def class_strips(results: Results, item: Item, most: int = SHOWN_IMAGES) -> list[dict]:
    """Show at most so many images of each class of a set side by side, under its name."""
    tensors, header = item
    labels, names = hard(tensors["labels"]), header.get("classes") or []
    strips = []
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        rows = tensors["images"][labels == index][:most]
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


def _card(results: Results, item: Item, each: int) -> dict:
    tensors, header = item
    cell, rows = Cell.of(header), class_strips(results, item, each)
    most = max(row["count"] for row in rows)
    return {
        "title": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "note": "; ".join(_card_notes(results, tensors, header, each)),
        "rows": rows,
        "few": most <= 2,
        "most": most,
        "cell": key_of(cell),
    }


def _card_notes(
    results: Results, tensors: Mapping[str, np.ndarray], header: Mapping, each: int
) -> list[str]:
    """Say what of a set is not shown, and how the rest is."""
    labels = hard(tensors["labels"])
    counts = np.unique(labels, return_counts=True)[1]
    most = int(counts.max(initial=0))
    _, exact = results.pixels(tensors["images"][:1], header)
    notes = []
    if len(counts) > SHOWN_CLASSES:
        notes.append(f"{SHOWN_CLASSES} of {len(counts)} classes")
    if most > each:
        notes.append(f"{each} of {most} images per class")
    if not blank(header.get("seed")):
        notes.append(f"seed {header['seed']}")
    if held := header.get("factor"):
        notes.append(
            f"shown as stored: each image holds {held} x {held}, which training sees scaled up, "
            f"{held**2 * most} per class"
        )
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
        "cell": "",
    }


def evolution(results: Results) -> list[dict]:
    """Show an image of some classes at every snapshot, of each cell's first set."""
    shown = {Cell.of(header) for _, header in _chosen(results)[0]}
    items: dict[Cell, Item] = {}
    for tensors, header in results.evolutions:
        cell = Cell.of(header)
        if not shown or cell in shown:
            items.setdefault(cell, (tensors, header))
    followed = {
        cell: item
        for cell, item in items.items()
        if len(item[0]["iterations"]) > 1 and item[0]["images"].shape[1]
    }
    frames = _frames(list(followed.values()))
    blocks: dict[tuple, dict] = {}
    for cell, (tensors, header) in followed.items():
        title = f"{results.title(cell.dataset)}, {images_per_class(cell.ipc)}"
        block = blocks.setdefault((cell.dataset, cell.ipc), {"title": title, "cards": []})
        block["cards"].append(_evolution_card(results, tensors, header, frames))
    return list(blocks.values())


def _frames(items: Sequence[Item]) -> int:
    """Return how many snapshots of each set are shown, so that all are within ``PIXELS``: at least
    the first, one between and the last."""
    one = sum(
        len(_followed(_labels(tensors, header))) * int(np.prod(tensors["images"].shape[2:]))
        for tensors, header in items
    )
    return min(EVOLUTION_FRAMES, max(3, PIXELS // max(1, one)))


def _followed(labels: np.ndarray) -> list[int]:
    """Return the classes of which an image is followed."""
    return spaced(sorted(set(labels.tolist())), EVOLUTION_CLASSES)


def _evolution_card(
    results: Results, tensors: Mapping[str, np.ndarray], header: Mapping, frames: int
) -> dict:
    """Return a sheet of images: a row a snapshot, a column a class."""
    cell, iterations = Cell.of(header), tensors["iterations"].tolist()
    at = spaced(range(len(iterations)), frames)
    names, labels = header.get("classes") or [], _labels(tensors, header)
    classes = _followed(labels)
    first = [int(np.flatnonzero(labels == index)[0]) for index in classes]
    images = tensors["images"][at][:, first]  # (S, K, C, H, W)
    pixels, _ = results.pixels(images.reshape(-1, *images.shape[2:]), header)
    shown = [class_name(names, index) for index in classes]
    return {
        "title": results.name(cell.method, cell.init),
        "colour": results.colours.get(cell.method, 0),
        "iterations": [iterations[i] for i in at],
        "classes": shown,
        "left_out": len(iterations) - len(at),
        "sheet": figures.strip(pixels.reshape(len(at), len(first), *pixels.shape[1:]))
        | {"alt": f"an image each of the classes {', '.join(shown)}, a row a snapshot"},
        "height": images.shape[-2],
    }


def _labels(tensors: Mapping[str, np.ndarray], header: Mapping) -> np.ndarray:
    """Return the classes of an evolution's images: by their last soft labels, or as many of each,
    in order."""
    labels = tensors.get("labels")
    if labels is not None and labels.ndim == 3:
        return hard(labels[-1])
    count, size = max(len(header.get("classes") or []), 1), tensors["images"].shape[1]
    return np.arange(size) * count // size
