"""The main figures of a study for a paper, by matplotlib: each as PDF, SVG and PNG.

Vector files hold text as text; one column of a two-column page is 3.3 inches wide. The same results
give the same bytes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from PIL import Image

from distillery.report.cells import Cell, records
from distillery.report.charts import DASHES, Points, Series, spaced, visible
from distillery.report.drawn import accuracies
from distillery.report.effort import making_of
from distillery.report.results import Item, Results
from distillery.report.sections.continual import curve, panels, ways
from distillery.report.sections.images import hard
from distillery.report.sections.verdict import bytes_per_class
from distillery.report.words import class_name, images_per_class, plus_minus
from distillery.vocabulary import IMPORTED, LAST

STYLE = Path(__file__).with_name("templates") / "style.css"  # whose colours are the page's
FORMATS = ("pdf", "svg", "png")
WIDTH, HEIGHT = 3.3, 2.5  # inches
SETTINGS: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # as journals ask: fonts that can be searched, not outlines
    "svg.fonttype": "none",
    "svg.hashsalt": "distillery",
    "savefig.dpi": 300,
}
# Nothing of the moment or the version, for the same bytes.
NAMELESS = {
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
    "png": {"Software": None},
}
CLASSES, IMAGES, FRAMES, SIDE = 10, 10, 8, 96
FRAME_MS, LAST_MS = 250, 1500  # of the moving picture
SHADES = 24  # of each channel there: of noise a third less to load than 256, and looks the same


def write(results: Results, folder: Path) -> list[Path]:
    """Write every figure that the study has something for.

    ``accuracy_by_ipc``, ``accuracy_by_bytes`` and ``accuracy_by_seconds`` of each dataset and
    network; ``cost`` of each dataset; ``sets`` of each dataset and size, under each other;
    ``images`` and ``evolution`` of each cell's first set, the evolution as a GIF as well;
    ``continual`` and ``forgetting`` of each way of continual learning.

    Args:
        results: of the study.
        folder: that the files are written to; it is made where it is missing.

    Returns:
        The files, in their order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with matplotlib.rc_context(SETTINGS):
        for name, draw in _figures(results):
            figure = draw()
            if figure is None:
                continue
            for kind in FORMATS:
                written.append(folder / f"{name}.{kind}")
                figure.savefig(written[-1], bbox_inches="tight", metadata=NAMELESS[kind])
    return written + list(_moving(results, folder))


def _figures(results: Results) -> Iterator[tuple[str, Callable[[], Figure | None]]]:
    """Name each figure of a study, with what draws it: ``None`` where nothing is known."""
    for dataset in results.datasets:
        for network in results.networks(dataset):
            for by in ACROSS:
                yield (
                    f"accuracy_by_{by}_{dataset}_{network}",
                    lambda dataset=dataset, network=network, by=by: _accuracy(
                        results, dataset, network, by
                    ),
                )
        yield f"cost_{dataset}", lambda dataset=dataset: _cost(results, dataset)
        for ipc in sorted(
            {cell.ipc for cell in results.headers if cell.dataset == dataset and cell.ipc}
        ):
            yield (
                f"sets_{dataset}_ipc{ipc}",
                lambda dataset=dataset, ipc=ipc: _sets(results, dataset, ipc),
            )
    for name, item in _firsts(results.sets):
        yield f"images_{name}", lambda item=item: _images(results, item)
    for name, item in _firsts(results.evolutions):
        yield f"evolution_{name}", lambda item=item: _evolution(results, item)
    for name, (dataset, way) in ways(results).items():
        yield f"continual_{name}", lambda dataset=dataset, way=way: _stages(results, dataset, way)
        yield (
            f"forgetting_{name}",
            lambda dataset=dataset, way=way: _forgetting(results, dataset, way),
        )


# ---- accuracy ------------------------------------------------------------------------------------


def _seconds(results: Results, cell: Cell) -> float | None:
    """Return what making a set of a cell took, experts included."""
    making = making_of(results, cell)
    return None if making is None else making.together


# What accuracy is drawn over: how a cell has it, and the axis.
ACROSS: dict[str, tuple[Callable[[Results, Cell], float | None], str]] = {
    "ipc": (lambda results, cell: cell.ipc, "images per class"),
    "bytes": (bytes_per_class, "bytes per class, as stored"),
    "seconds": (_seconds, "seconds to make a set, experts included"),
}


def _accuracy(results: Results, dataset: str, network: str, by: str) -> Figure | None:
    """Draw the test accuracy of the final images, mean and deviation over all networks."""
    place, label = ACROSS[by]
    series = accuracies(results, dataset, network, place)
    if not series:
        return None
    figure, axes = _axes(label, f"test accuracy of {network} (%)")
    for one in series:
        _draw(axes, one)
    full = results.full(dataset, network)
    if full is not None:
        axes.axhline(100 * full.mean, color=_colours()[0], linewidth=0.8, linestyle=":")
        axes.annotate(
            "full training set",
            (1, 100 * full.mean),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=6.5,
        )
    places = sorted({float(x) for one in series for x in one.x})
    # Within less than a decade a logarithmic axis writes one mark over the other.
    if places[-1] > 10 * places[0] or by == "ipc":
        axes.set_xscale("log")
    if by == "ipc":
        axes.set_xticks(places)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
    _legend(axes)
    return figure


def _cost(results: Results, dataset: str) -> Figure | None:
    """Draw what making a set took, and its share of the experts."""
    cells = sorted(
        {Cell.of(header) for _, header in results.sets if header.get("dataset") == dataset},
        key=lambda cell: cell.order,
        reverse=True,
    )
    known = [(cell, making) for cell in cells if (making := making_of(results, cell))]
    if not known:
        return None
    figure, axes = _axes("seconds", "", height=0.6 + 0.18 * len(known))
    names = [f"{results.name(*cell[1:3])}, {images_per_class(cell.ipc)}" for cell, _ in known]
    distilling = [making.distilling for _, making in known]
    experts = [making.share if making.experts else 0.0 for _, making in known]
    axes.barh(names, distilling, color=_colours()[1], label="the set")
    if any(experts):
        shares = {"left": distilling, "label": "its share of the experts"}
        axes.barh(names, experts, color=_colours()[5], **shares)
    axes.tick_params(axis="y", labelsize=6.5)
    _legend(axes)
    return figure


# ---- images --------------------------------------------------------------------------------------


def _firsts(items: Sequence[Item]) -> Iterator[tuple[str, Item]]:
    """Name the first seed of each cell, as a file can be called."""
    seen = set()
    for item in items:
        cell = Cell.of(item[1])
        if cell not in seen:
            seen.add(cell)
            yield f"{cell.dataset}_{cell.method}_{cell.init}_ipc{cell.ipc}", item


def _sets(results: Results, dataset: str, ipc: int) -> Figure | None:
    """Draw the first image of each class of the sets of one size, a row a cell, with what its
    images train the first network to; ``None`` where one set has nothing beside it."""
    names, reached = results.classes(dataset)[:CLASSES], _reached(results, dataset)
    rows = []
    for _, (tensors, header) in _firsts(results.sets):
        cell = Cell.of(header)
        if (cell.dataset, cell.ipc) != (dataset, ipc):
            continue
        classes, first = np.unique(hard(tensors["labels"]), return_index=True)
        known = classes < len(names)
        pixels = results.pixels(tensors["images"][first[known]], header)[0]
        images = np.ones((len(names), *pixels.shape[1:]))  # white where a class has no image
        images[classes[known]] = pixels
        start = results.start(cell.method, cell.init)
        given = cell.init == IMPORTED or results.is_coreset(cell.method)
        lines = [results.method_title(cell.method), start if given else f"from {start}"]
        lines += [reached[cell]] if cell in reached else []
        rows.append(("\n".join(lines), images))
    return _grid(rows, names) if len(rows) > 1 else None


def _reached(results: Results, dataset: str) -> dict[Cell, str]:
    """Return the test accuracy of each cell's final images, by the first network of a dataset."""
    rows = [
        row
        for network in results.networks(dataset)[:1]
        for row in records(results.summed(dataset, network, LAST))
    ]
    return {
        Cell.of(row): f"{plus_minus(row['mean'], row['std'], row['count'], 1)} %" for row in rows
    }


def _images(results: Results, item: Item) -> Figure:
    """Draw a row of images for each class."""
    tensors, header = item
    labels = hard(tensors["labels"])
    rows = [
        (
            class_name(header.get("classes") or [], index),
            tensors["images"][labels == index][:IMAGES],
        )
        for index in sorted(set(labels.tolist()))[:CLASSES]
    ]
    return _grid([(name, results.pixels(images, header)[0]) for name, images in rows])


def _evolution(results: Results, item: Item) -> Figure:
    """Draw a row of snapshots for each class, by its first image."""
    tensors, header = item
    chosen = spaced(range(len(tensors["images"])), FRAMES)
    frames = _frames(results, item)
    names, count = header.get("classes") or [], frames.shape[1]
    ipc = max(1, int(header.get("ipc") or 1))
    rows = [
        (class_name(names, number), frames[chosen, number * ipc])
        for number in range(min(CLASSES, count // ipc))
    ]
    return _grid(rows, [str(int(tensors["iterations"][at])) for at in chosen])


def _frames(results: Results, item: Item) -> np.ndarray:
    """Return the snapshots (S, N, C, H, W) of a set as pixels in [0, 1]."""
    images = item[0]["images"]
    pixels = results.pixels(images.reshape(-1, *images.shape[2:]), item[1])[0]
    return pixels.reshape(images.shape)


def _grid(rows: list[tuple[str, np.ndarray]], heads: Sequence[str] = ()) -> Figure:
    """Draw rows of images (N, C, H, W) under their heads, each row with its name: as one sheet,
    for a hundred axes take a hundred times as long."""
    wide = max(len(images) for _, images in rows)
    high, broad = rows[0][1].shape[2:]
    gap = max(1, broad // 16)
    sheet = np.ones((len(rows) * (high + gap) - gap, wide * (broad + gap) - gap, 3))
    for number, (_, images) in enumerate(rows):
        for column, image in enumerate(images):
            top, left = number * (high + gap), column * (broad + gap)
            sheet[top : top + high, left : left + broad] = np.atleast_3d(_shown(image))
    side = min(WIDTH * 2 / max(wide, 6), 0.5)
    figure = Figure(figsize=(side * wide, side * wide * sheet.shape[0] / sheet.shape[1]))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(sheet, interpolation="none", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.tick_params(
        length=0, labelsize=6.5, top=False, labeltop=True, bottom=False, labelbottom=False
    )
    axes.set_yticks(
        [number * (high + gap) + high / 2 for number in range(len(rows))],
        [name for name, _ in rows],
    )
    # Ten letters are as wide as an image.
    fitting = 6.5 * min(1, 10 / max(map(len, heads), default=1))
    axes.set_xticks(
        [n * (broad + gap) + broad / 2 for n in range(len(heads))], heads, fontsize=fitting
    )
    return figure


def _shown(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) of 1 to 4 channels as matplotlib takes it."""
    image = visible(image)
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def _moving(results: Results, folder: Path) -> Iterator[Path]:
    """Write each evolution as a GIF: the first image of each class, snapshot by snapshot."""
    for name, item in _firsts(results.evolutions):
        frames = _frames(results, item)[:, :: max(1, int(item[1].get("ipc") or 1))][:, :CLASSES]
        scale = max(1, SIDE // frames.shape[-1])
        pictures = []
        for frame in frames:
            sheet = np.concatenate([np.atleast_3d(_shown(image)) for image in frame], axis=1)
            shades = np.round((SHADES - 1) * sheet.clip(0, 1)) / (SHADES - 1)
            pixels = np.round(255 * shades).astype(np.uint8)
            pixels = pixels.repeat(scale, 0).repeat(scale, 1)
            pictures.append(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
        path = folder / f"evolution_{name}.gif"
        times = [FRAME_MS] * (len(pictures) - 1) + [LAST_MS]
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=False
        )
        yield path


# ---- continual learning --------------------------------------------------------------------------


def _stages(results: Results, dataset: str, way: list) -> Figure | None:
    """Draw the average accuracy over the stages: a panel for each strategy."""
    parts = [
        lines
        for panel in panels(way)
        if (
            lines := [
                (run, line)
                for run, rows in panel
                if (line := curve(results, dataset, "average_accuracy", run, rows)) is not None
            ]
        )
    ]
    if not parts:
        return None
    figure = Figure(figsize=(WIDTH * (1 + 0.75 * (len(parts) - 1)), HEIGHT))
    drawn: list[Axes] = list(figure.subplots(1, len(parts), sharey=True, squeeze=False)[0])
    for axes, lines in zip(drawn, parts):
        last = lines[-1][0]
        for _, line in lines:
            _draw(axes, line)
        axes.set_title(last.title() if last.panel else "", fontsize=8)
        axes.set_xlabel("stage")
        axes.set_xticks(sorted({round(x) for _, line in lines for x in line.x}))
    drawn[0].set_ylabel("average accuracy (%)")
    _legend(drawn[-1], drawn)
    return figure


def _forgetting(results: Results, dataset: str, way: list) -> Figure | None:
    """Draw the forgetting of each strategy, mean and deviation."""
    found = [(run, part) for run, rows in way if len(part := rows[rows["measure"] == "forgetting"])]
    if not found:
        return None
    figure, axes = _axes("forgetting (points)", "", height=0.6 + 0.2 * len(found))
    for run, part in reversed(found):
        values: pd.Series = 100 * part["value"]
        spread = values.std(ddof=0) if len(values) > 1 else None
        colour = _colours()[run.look(results, dataset).colour]
        axes.barh(run.label(results), values.mean(), xerr=spread, color=colour, capsize=1.5)
    axes.tick_params(axis="y", labelsize=6.5)
    return figure


# ---- what they share -----------------------------------------------------------------------------


@cache
def _colours() -> dict[int, str]:
    """Return the page's series colours, those of light paper."""
    text = STYLE.read_text(encoding="utf-8")
    light = text[: text.index("--s0", text.index("--s0") + 1)]
    return {int(n): colour for n, colour in re.findall(r"--s(\d+):\s*(#[0-9a-f]{6})", light)}


def _axes(x_label: str, y_label: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure, axes


def _legend(last: Axes, every: Sequence[Axes] = ()) -> None:
    """Set the legend beside the last axes, where it hides no point: each line of all once."""
    named = {}
    for axes in [*every, last]:
        named |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels())}
    last.legend(
        named.values(), named.keys(), loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0
    )


def _draw(axes: Axes, one: Series) -> None:
    """Draw a line of accuracies with its spread, in percent, as it looks on the page."""
    points, look = Points.of(one, 100.0), one.look
    colour = _colours()[look.colour]
    spread = points.high - points.y
    dash = DASHES[look.dash]
    filled = {"full": colour, "half": (colour, 0.4), "open": "white"}[look.fill]
    axes.errorbar(
        points.x,
        points.y,
        spread if spread.any() else None,
        label=one.label,
        color=colour,
        linestyle=(0, dash) if dash else "-",
        linewidth=0.6 * look.width,
        marker=look.marker,
        markerfacecolor=filled,
        markeredgewidth=0.6,
        capsize=1.5,
        elinewidth=0.7,
    )
