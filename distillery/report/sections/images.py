"""The synthetic images, and how they came to be."""

import numpy as np

from distillery.report import charts as figures
from distillery.report.results import Results
from distillery.report.words import blank, class_name, dataset_title, images_per_class, quantity

SHOWN_CLASSES, SHOWN_IMAGES, EVOLUTION_CLASSES, EVOLUTION_FRAMES = 10, 10, 5, 8


def hard(labels: np.ndarray) -> np.ndarray:
    return labels.argmax(axis=1) if labels.ndim == 2 else labels


def class_strips(results: Results, item: tuple[dict, dict], *, one: bool = False) -> list[dict]:
    """One entry per class: its name and a strip of its images."""
    tensors, header = item
    labels, names = hard(tensors["labels"]), header.get("classes") or []
    found = []
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        rows = tensors["images"][labels == index][: 1 if one else SHOWN_IMAGES]
        pixels, _ = results.pixels(rows, header)
        name = class_name(names, index)
        strip = figures.strip(pixels)
        found.append(
            strip
            | {"name": name, "alt": f"{quantity(strip['count'], 'image')} of the class {name}"}
        )
    return found


def _card(results: Results, item: tuple[dict, dict]) -> dict:
    tensors, header = item
    labels = hard(tensors["labels"])
    classes = len(set(labels.tolist()))
    most = max((int((labels == c).sum()) for c in set(labels.tolist())), default=0)
    _, exact = results.pixels(tensors["images"][:1], header)
    method, init = str(header.get("method", "")), str(header.get("init") or "")
    said = []
    if classes > SHOWN_CLASSES:
        said.append(f"{SHOWN_CLASSES} of {classes} classes")
    if most > SHOWN_IMAGES:
        said.append(f"{SHOWN_IMAGES} of {most} images per class")
    if not blank(header.get("seed")):
        said.append(f"seed {header['seed']}")
    if tensors["labels"].ndim == 2:
        said.append("grouped by the likeliest class of soft labels")
    if (header.get("normalization") or {}).get("kind") == "zca" and exact:
        said.append("whitened (ZCA), shown as pixels")
    if not exact:
        said.append("no channel statistics in the header: each image stretched to its own range")
    rows = class_strips(results, item)
    return {
        "title": results.name(method, init),
        "colour": results.colours.get(method, 0),
        "said": "; ".join(said),
        "rows": rows,
        "few": max(row["count"] for row in rows) <= 2,
        "most": max(row["count"] for row in rows),
    }


def view(results: Results) -> list[dict]:
    blocks = []
    for dataset in results.datasets:
        groups: dict[int | None, list[dict]] = {}
        seen = set()
        for item in results.sets:
            key = results.key(item[1])
            if key[0] != dataset or key in seen:  # the first seed stands for the others
                continue
            seen.add(key)
            groups.setdefault(key[3], []).append(_card(results, item))
        real = (
            _real_card(results, dataset, max((k for k in groups if k), default=SHOWN_IMAGES))
            if groups
            else None
        )
        found = [{"title": images_per_class(ipc), "cards": cards} for ipc, cards in groups.items()]
        if found:
            blocks.append({"dataset": dataset_title(dataset), "groups": found, "real": real})
    return blocks


def _real_card(results: Results, dataset: str, count: int) -> dict | None:
    if dataset not in results.data:
        return None
    data, rows = results.data[dataset], []
    labels = np.asarray(data.labels)
    for index in sorted(set(labels.tolist()))[:SHOWN_CLASSES]:
        first = np.flatnonzero(labels == index)[: min(count, SHOWN_IMAGES)]
        pixels = np.asarray(data.images[first.tolist()], np.float32) / 255
        name = class_name(data.classes, index)
        strip = figures.strip(pixels)
        rows.append(
            strip
            | {"name": name, "alt": f"{quantity(strip['count'], 'real image')} of the class {name}"}
        )
    most = max(row["count"] for row in rows)
    return {
        "title": "For comparison: real training images",
        "colour": 0,
        "said": f"the first of {len(labels):,} in the training set".replace(",", " "),
        "rows": rows,
        "few": most <= 2,
        "most": most,
    }


def evolution(results: Results) -> list[dict]:
    blocks: dict[tuple, dict] = {}
    seen = set()
    for tensors, header in results.evolutions:
        key = results.key(header)
        if key in seen:
            continue
        seen.add(key)
        frames, iterations = tensors["images"], tensors["iterations"].tolist()
        if len(iterations) < 2 or not frames.shape[1]:
            continue
        at = sorted(
            {
                round(i)
                for i in np.linspace(0, len(iterations) - 1, min(EVOLUTION_FRAMES, len(iterations)))
            }
        )
        names = header.get("classes") or []
        count, size = max(len(names), 1), frames.shape[1]
        labels = (
            hard(tensors["labels"][-1])
            if tensors.get("labels") is not None and tensors["labels"].ndim == 3
            else None
        )
        if labels is None:
            labels = np.arange(size) * count // size  # class-ordered, as many of each
        shown = sorted(set(labels.tolist()))
        picked = [
            shown[round(i)]
            for i in np.linspace(0, len(shown) - 1, min(EVOLUTION_CLASSES, len(shown)))
        ]
        rows = []
        for index in dict.fromkeys(picked):
            first = int(np.flatnonzero(labels == index)[0])
            pixels, _ = results.pixels(frames[at, first], header)
            name = class_name(names, index)
            rows.append(
                figures.strip(pixels)
                | {
                    "name": name,
                    "alt": f"the first image of the class {name} at {len(at)} iterations",
                }
            )
        method, init = str(header.get("method", "")), str(header.get("init") or "")
        card = {
            "title": results.name(method, init),
            "colour": results.colours.get(method, 0),
            "iterations": [iterations[i] for i in at],
            "rows": rows,
        }
        block = blocks.setdefault(
            (key[0], key[3]),
            {"title": f"{dataset_title(key[0])}, {images_per_class(key[3])}", "cards": []},
        )
        block["cards"].append(card)
    return list(blocks.values())
