"""Charts as data: what lines a chart has and how each looks; and image strips.

One description has two renderings: ``charts_vega`` makes the page's charts of it, and ``paper``
draws the figures for papers in the same looks.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, TypeVar

import numpy as np
from PIL import Image

Item = TypeVar("Item")
# More lines than these cannot be told apart, whatever their looks.
MOST_LINES = 24
# Points that a line keeps: a chart is 400 to 700 pixels wide.
POINTS = 160
# Numbers of the page's colours that look alike without green cones (their distance in CIE L*a*b* is
# below 10, in light or dark): lines of two such have other markers.
ALIKE = ((1, 8), (2, 5), (3, 11), (4, 7), (9, 10))
# Lengths of dashes and gaps, in pixels.
DASHES: dict[str, tuple[float, ...]] = {
    "solid": (),
    "dashed": (6, 3),
    "dotted": (1.6, 2.6),
    "dashdot": (8, 3, 1.6, 3),
    "long": (13, 4),
    "dashdotdot": (8, 2.6, 1.6, 2.6, 1.6, 2.6),
}
# Shapes within -1 to 1, as SVG paths, each with its name in matplotlib.
MARKERS = {
    "o": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "s": "M-.85,-.85H.85V.85H-.85Z",
    "^": "M0,-1L1,.8H-1Z",
    "D": "M0,-1.15L1,0L0,1.15L-1,0Z",
    "P": "M-.38,-1H.38V-.38H1V.38H.38V1H-.38V.38H-1V-.38H-.38Z",
    "v": "M0,1L1,-.8H-1Z",
    "X": "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
    "<": "M-1,0L.8,1V-1Z",
    "*": "M0,-1.2L.3,-.4L1.15,-.37L.48,.15L.7,.97L0,.5L-.7,.97L-.48,.15L-1.15,-.37L-.3,-.4Z",
    ">": "M1,0L-.8,1V-1Z",
}


@dataclass(frozen=True)
class Look:
    """How a line is told from others.

    Attributes:
        colour: the number of one of the page's series colours (``--s0`` …).
        marker: a key of ``MARKERS``.
        fill: of its markers: ``full``, ``half`` or ``open``.
        dash: a key of ``DASHES``.
        width: of the line, in pixels.
    """

    colour: int = 0
    marker: str = "o"
    fill: str = "full"
    dash: str = "solid"
    width: float = 2.0


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        label: its name in legends; lines of one label are shown and hidden together.
        x, y: its points; those that are not finite are left out.
        look: how it is drawn.
        low, high: the edges of a band around it.
        count: how many measurements each point is the mean of.
        short: its name at its end; ``label`` where it is empty.
        thin: whether it is a secondary line, without markers and name.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    look: Look = Look()
    low: Sequence[float] | np.ndarray | None = None
    high: Sequence[float] | np.ndarray | None = None
    count: Sequence[float] | np.ndarray | None = None
    short: str = ""
    thin: bool = False


@dataclass(frozen=True)
class Points:
    """The finite points of a series, in the units of the axis."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, series: Series, scale: float = 1.0) -> "Points":
        """Return the points of a series, ``y`` times ``scale``. Where it has no band, its edges
        are the line; where it has no counts, each is 1."""
        x, y = np.asarray(series.x, float), np.asarray(series.y, float)
        low = y if series.low is None else np.asarray(series.low, float)
        high = y if series.high is None else np.asarray(series.high, float)
        count = np.ones(len(x)) if series.count is None else np.asarray(series.count, float)
        keep = np.isfinite(x) & np.isfinite(y) & np.isfinite(low) & np.isfinite(high)
        return cls(x[keep], y[keep] * scale, low[keep] * scale, high[keep] * scale, count[keep])


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        title: of the chart, with the unit of ``y``.
        where: of what it is, for a screen reader and the names of saved files.
        x_label: the name of the x axis.
        series: the lines.
        percent: ``y`` are fractions, shown in percent.
        whole_x: a tick at each x, which are few (stages, sizes), not at round numbers.
        log_x: logarithmic ``x``.
        bounds: horizontal lines: (text, y).
        note: what is said beside its title.
    """

    title: str
    where: str
    x_label: str
    series: tuple[Series, ...]
    percent: bool = False
    whole_x: bool = False
    log_x: bool = False
    bounds: tuple[tuple[str, float], ...] = ()
    note: str = ""

    @property
    def scale(self) -> float:
        """Return what ``y`` is multiplied by."""
        return 100.0 if self.percent else 1.0

    @property
    def points(self) -> list[Points]:
        """Return the points of each line."""
        return [Points.of(one, self.scale) for one in self.series]

    @property
    def log_y(self) -> bool:
        """Return whether ``y`` reaches over more than two decades, all above zero."""
        y = np.concatenate([points.y for points in self.points])
        return bool(len(y) and y.min() > 0 and y.max() > 100 * y.min())


def chart(about: Chart) -> Chart | None:
    """Make a chart fit to be drawn: lines without a point are left out, then those above
    ``MOST_LINES``, and bounds that would press the lines together. Its note says so.

    Of accuracies the lines that end highest are kept, of others the first.

    Returns:
        The chart, or ``None`` where no point is left.
    """
    series = [one for one in about.series if len(Points.of(one).x)]
    if not series:
        return None
    notes = [about.note] if about.note else []
    labels = list(dict.fromkeys(one.label for one in series))
    if len(labels) > MOST_LINES:
        order = "the first"
        if about.percent:
            ends = {one.label: Points.of(one).y[-1] for one in series}
            labels.sort(key=lambda label: -ends[label])
            order = "those that end highest"
        kept = set(labels[:MOST_LINES])
        series = [one for one in series if one.label in kept]
        notes.append(f"{MOST_LINES} of {len(labels):,} lines: {order}.")
    points = [Points.of(one, about.scale) for one in series]
    low = min(part.low.min() for part in points)
    high = max(part.high.max() for part in points)
    bounds = []
    for text, value in about.bounds:
        value *= about.scale
        if not math.isfinite(value):
            continue
        # One alone has no range to be pressed into.
        if high > low and max(high, value) - min(low, value) > 2.5 * (high - low):
            side = "above" if value > high else "below"
            unit = " %" if about.percent else ""
            notes.append(f"{text[:1].upper()}{text[1:]}: {value:.4g}{unit}, {side} this range.")
        else:
            bounds.append((text, value / about.scale))
    return replace(about, series=tuple(series), bounds=tuple(bounds), note=" ".join(notes))


def swatch(look: Look) -> str:
    """Draw the short line with a marker that stands in a legend."""
    colour = f"var(--s{look.colour})"
    dashes = " ".join(f"{length:g}" for length in DASHES[look.dash])
    fill, opacity = ("var(--panel)", 1) if look.fill == "open" else (colour, 1)
    if look.fill == "half":
        opacity = 0.4
    return (
        '<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true">'
        f'<path d="M1 6H33" style="stroke:{colour};stroke-width:{look.width:g}'
        f'{f";stroke-dasharray:{dashes}" if dashes else ""}"/>'
        f'<path d="{escape(MARKERS[look.marker])}" transform="translate(17 6) scale(4)" '
        f'style="fill:{fill};fill-opacity:{opacity};stroke:{colour};stroke-width:.3"/></svg>'
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """List round numbers (1, 2, 2.5 or 5 times a power of ten apart) inside ``[low, high]``, about
    ``count`` of them."""
    if not math.isfinite(low) or not math.isfinite(high) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    marks: list[float] = []
    while (first + len(marks)) * step <= high + step * 1e-9:
        marks.append(round((first + len(marks)) * step, 12))
    return marks


def spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Pick ``most`` items at equal distances, the first and the last among them; all where there
    are no more."""
    picked = np.linspace(0, len(items) - 1, min(most, len(items)))
    return list(dict.fromkeys(items[round(i)] for i in picked))


def shorten(
    x: np.ndarray, *columns: np.ndarray, points: int = POINTS
) -> tuple[int, np.ndarray, list[np.ndarray]]:
    """Take means over equal bins, so that a line of thousands of points stays small.

    Returns:
        (bin size, x, columns); the bin size is 1 where nothing had to be done.
    """
    size = -(-len(x) // points)
    if size <= 1:
        return 1, np.asarray(x, float), [np.asarray(c, float) for c in columns]
    edges = np.arange(0, len(x), size)
    counts = np.diff(edges, append=len(x))
    at, *means = [
        np.add.reduceat(np.asarray(column, float), edges) / counts for column in (x, *columns)
    ]
    return size, at, means


def to_pixels(images: np.ndarray, normalization: dict | None) -> tuple[np.ndarray, bool]:
    """Take normalised images (…, C, H, W) float to pixel space [0, 1], clipped.

    Returns:
        (pixels, exact): ``exact`` is False where the header knows no channel mean and std (whitened
        images, say) and each image's own range was stretched to [0, 1] instead.
    """
    images = np.asarray(images, np.float32)
    known = normalization or {}
    mean, std = known.get("mean"), known.get("std")
    channels = images.shape[-3]
    if (
        mean is not None
        and std is not None
        and np.size(mean) in (1, channels)
        and "zca" not in str(known.get("kind", "")).lower()
    ):
        shape = (-1, 1, 1)
        pixels = images * np.asarray(std, np.float32).reshape(shape) + np.asarray(
            mean, np.float32
        ).reshape(shape)
        return np.clip(pixels, 0, 1), True
    low = images.min(axis=(-3, -2, -1), keepdims=True)
    high = images.max(axis=(-3, -2, -1), keepdims=True)
    return (images - low) / np.maximum(high - low, 1e-8), False


def visible(pixels: np.ndarray) -> np.ndarray:
    """Return images (…, C, H, W), C 1 to 4, with the channels that are shown, 1 or 3: as
    ``pictures.visible``, which needs torch."""
    channels = pixels.shape[-3]
    if channels == 2:
        return np.concatenate([pixels, np.zeros_like(pixels[..., :1, :, :])], axis=-3)
    return pixels if channels == 1 else pixels[..., :3, :, :]


def strip(pixels: np.ndarray) -> dict:
    """Set images (N, C, H, W) in [0, 1], C 1 to 4, side by side with a clear line between, or
    several rows of them (R, N, C, H, W), as a PNG data address.

    Returns:
        ``{"src": "data:image/png;base64,…", "width": …, "height": …, "count": N}``.
    """
    pixels = np.round(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    table = pixels if pixels.ndim == 5 else pixels[None]
    rows, count = table.shape[:2]
    flat = visible(table.reshape(-1, *table.shape[2:]))
    channels, height, width = flat.shape[1:]
    size = rows * height + rows - 1, count * width + count - 1
    sheet, clear = np.zeros((channels, *size), np.uint8), np.ones(size, bool)
    for i, image in enumerate(flat):
        top, left = i // count * (height + 1), i % count * (width + 1)
        sheet[:, top : top + height, left : left + width] = image
        clear[top : top + height, left : left + width] = False
    free = _unused(flat) if clear.any() else None
    how: dict[str, Any] = {}
    if free is not None:
        # A colour that stands for clear takes a sixth fewer bytes than a channel of its own.
        sheet[:, clear] = np.reshape(free, (-1, 1))
        how["transparency"] = free if channels == 3 else free[0]
    bands = [Image.fromarray(band) for band in sheet]
    if clear.any() and free is None:
        bands.append(Image.fromarray(np.where(clear, np.uint8(0), np.uint8(255))))
    picture = Image.merge({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(bands)], bands)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True, **how)
    src = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return {"src": src, "width": size[1], "height": size[0], "count": count}


def _unused(images: np.ndarray) -> tuple[int, ...] | None:
    """Return a colour that no pixel of images (N, C, H, W) uint8 has; ``None`` where there is
    none."""
    channels = images.shape[1]
    used = np.zeros(images[:, 0].shape, np.int64)
    for channel in range(channels):
        used = used << 8 | images[:, channel]
    used = np.unique(used)
    # The first number that the sorted ones do not count up to.
    free = int(np.argmin(np.append(used, -1) == np.arange(len(used) + 1)))
    if free >= 256**channels:
        return None
    return tuple(free >> 8 * (channels - 1 - channel) & 255 for channel in range(channels))
