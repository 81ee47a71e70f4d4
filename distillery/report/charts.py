"""Charts and image strips for the report: inline SVG in the page's colours, and PNG data addresses.

Charts are drawn by hand rather than by matplotlib: a chart of 360 units keeps readable type on a
phone, follows the page's light or dark colours (CSS variables), has no ids that could clash with
another chart's, and the same numbers give the same bytes.
"""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 36
DASHES = {"solid": "", "dashed": "6 3.5", "dotted": "1.6 3", "dashdot": "7 3 1.6 3"}


@dataclass
class Series:
    """One line: ``x`` and ``y`` of the same length, an optional band between ``low`` and ``high``.

    ``colour`` is a number of the page's series colours (``--s0`` …), ``dash`` a key of ``DASHES``;
    ``thin`` draws a secondary line.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    colour: int = 0
    dash: str = "solid"
    low: Sequence[float] | np.ndarray | None = None
    high: Sequence[float] | np.ndarray | None = None
    thin: bool = False


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


def number(value: float) -> str:
    """Return a number as short text for an axis: 0.05, 12, 2.5k, 1e-07."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-3:
        return f"{value:.2g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")
    if size >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}".replace("-", "−")


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    x_label: str,
    percent: bool = False,
    integer_x: bool = False,
    bounds: Sequence[tuple[str, float, int]] = (),
    log: bool | None = None,
) -> str:
    """Draw an SVG line chart.

    Args:
        series: the lines.
        label: what a screen reader says.
        x_label: the name of the x axis.
        percent: ``y`` are fractions, shown in percent.
        integer_x: a tick at each whole number (stages), not at round ones.
        bounds: dashed horizontal lines: (text, y, colour).
        log: logarithmic ``y``; ``None`` decides by the range (more than two decades, all positive).

    Returns:
        ``<svg>…</svg>``, or an empty string where no finite point is left.
    """
    scale = 100.0 if percent else 1.0
    lines = [line for one in series if len((line := _Line.of(one, scale)).x)]
    if not lines:
        return ""
    bounds = [
        (text, value * scale, colour) for text, value, colour in bounds if math.isfinite(value)
    ]
    axes = _Axes(lines, [value for _, value, _ in bounds], log, percent, integer_x)
    head = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label, quote=True)}"'
    parts = [
        f'<svg class="chart" {head}>',
        *_grid(axes, x_label),
        *(part for bound in bounds for part in _bound(axes, *bound)),
        *(part for line in lines for part in _band(axes, line)),
        *(part for line in lines for part in _points(axes, line)),
        "</svg>",
    ]
    return "".join(parts)


@dataclass
class _Line:
    """A series without its points that are not finite, in the units of the axis."""

    series: Series
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None

    @classmethod
    def of(cls, series: Series, scale: float) -> "_Line":
        x, y = np.asarray(series.x, float), np.asarray(series.y, float) * scale
        keep = np.isfinite(x) & np.isfinite(y)
        low, high = (
            None if edge is None else (np.asarray(edge, float) * scale)[keep]
            for edge in (series.low, series.high)
        )
        return cls(series, x[keep], y[keep], low, high)


class _Axes:
    """Where numbers lie on a chart."""

    def __init__(
        self,
        lines: Sequence[_Line],
        bounds: Sequence[float],
        log: bool | None,
        percent: bool,
        integer_x: bool,
    ) -> None:
        self.x = np.concatenate([line.x for line in lines])
        parts = [
            part for line in lines for part in (line.y, line.low, line.high) if part is not None
        ]
        y = np.concatenate([*parts, bounds])
        y = y[np.isfinite(y)]
        drawn = np.concatenate([line.y for line in lines])
        if log is None:
            log = bool(drawn.min() > 0 and drawn.max() / drawn.min() > 100)
        self.log, self.integer_x = log, integer_x
        self.least = y[y > 0].min() if log else y.min()
        self.x0, self.x1 = self._reach_x()
        self.y0, self.y1 = self._reach_y(float(y.max()), percent)

    def _reach_x(self) -> tuple[float, float]:
        low, high = float(self.x.min()), float(self.x.max())
        if low == high:
            low, high = low - 1, high + 1
        side = 0.06 * (high - low) if self.integer_x else 0
        return low - side, high + side

    def _reach_y(self, most: float, percent: bool) -> tuple[float, float]:
        low, high = float(self._forward(self.least)), float(self._forward(most))
        margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low - margin, high + margin
        if not self.log and self.least >= 0:
            low = max(low, 0.0)
        if percent:
            high = min(high, 100.0) if high - margin < 100 else high
        return low, high

    def _forward(self, values: ArrayLike) -> np.ndarray:
        if self.log:
            return np.log10(np.maximum(values, self.least))
        return np.asarray(values, float)

    def across(self, values: ArrayLike) -> np.ndarray:
        """Return the places of values of x."""
        share = (np.asarray(values, float) - self.x0) / (self.x1 - self.x0)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, values: ArrayLike) -> np.ndarray:
        """Return the places of values of y."""
        share = (self._forward(values) - self.y0) / (self.y1 - self.y0)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def marks_x(self) -> list[float]:
        """List the numbers that stand below the axis."""
        integers = sorted({round(value) for value in self.x}) if self.integer_x else []
        return integers if integers and len(integers) <= 12 else ticks(self.x0, self.x1, 5)

    def marks_y(self) -> list[float]:
        """List the numbers that stand beside the axis."""
        if not self.log:
            return ticks(self.y0, self.y1)
        return [
            10.0**power * times
            for power in range(math.floor(self.y0), math.ceil(self.y1) + 1)
            for times in ((1,) if self.y1 - self.y0 > 2 else (1, 2, 5))
            if self.y0 <= power + math.log10(times) <= self.y1
        ]


def _grid(axes: _Axes, x_label: str) -> Iterator[str]:
    """Draw grid, ticks and the name of the x axis."""
    for mark in axes.marks_y():
        y = float(axes.down(mark))
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield (
            f'<text class="tick" x="{LEFT - 7}" y="{y + 3.8:.1f}" '
            f'text-anchor="end">{number(mark)}</text>'
        )
    for mark in axes.marks_x():
        x = float(axes.across(mark))
        yield (
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" '
            f'text-anchor="middle">{number(mark)}</text>'
        )
    yield f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield (
        f'<text class="name" x="{middle:.1f}" y="{HEIGHT - 5}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
    )


def _bound(axes: _Axes, text: str, value: float, colour: int) -> Iterator[str]:
    y = float(axes.down(value))
    yield (
        f'<path class="bound" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" style="stroke:var(--s{colour})"/>'
    )
    yield (
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" '
        f'text-anchor="end">{escape(text)}</text>'
    )


def _band(axes: _Axes, line: _Line) -> Iterator[str]:
    low, high = line.low, line.high
    if low is None or high is None or len(line.x) < 2 or line.series.thin:
        return
    if not np.isfinite([low, high]).all():
        return
    x = axes.across(line.x)
    top, bottom = _places(x, axes.down(high)), _places(x[::-1], axes.down(low)[::-1])
    style = f"fill:var(--s{line.series.colour})"
    yield f'<polygon class="band" points="{top} {bottom}" style="{style}"/>'


def _points(axes: _Axes, line: _Line) -> Iterator[str]:
    """Draw a line, and its points where they are few."""
    one, count = line.series, len(line.x)
    x, y = axes.across(line.x), axes.down(line.y)
    if count > 1:
        kind, style = _stroke(one.colour, one.dash, one.thin)
        yield f'<polyline class="{kind}" points="{_places(x, y)}" style="{style}"/>'
    if count == 1 or (count <= 12 and not one.thin):
        for a, b in zip(x, y):
            yield (
                f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="2.4" '
                f'style="fill:var(--s{one.colour})"/>'
            )


def _places(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y))


def _stroke(colour: int, dash: str, thin: bool) -> tuple[str, str]:
    """Return the class and the style of a line."""
    dashes = f";stroke-dasharray:{DASHES[dash]}" if DASHES[dash] else ""
    return "line thin" if thin else "line", f"stroke:var(--s{colour}){dashes}"


def swatch(colour: int, dash: str = "solid", thin: bool = False) -> str:
    """Draw the short line that stands in a legend."""
    kind, style = _stroke(colour, dash, thin)
    path = f'<path class="{kind}" d="M1 4H25" style="{style}"/>'
    return f'<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true">{path}</svg>'


def shorten(
    x: np.ndarray, *columns: np.ndarray, points: int = 160
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
    sheet = np.zeros((*size, channels + 1), np.uint8)
    for i, image in enumerate(flat):
        top, left = i // count * (height + 1), i % count * (width + 1)
        sheet[top : top + height, left : left + width, :channels] = image.transpose(1, 2, 0)
        sheet[top : top + height, left : left + width, channels] = 255
    if rows * count == 1:
        picture = (
            Image.fromarray(sheet[..., 0]) if channels == 1 else Image.fromarray(sheet[..., :3])
        )
    else:
        # Bands are merged because Pillow reads no grey-with-alpha array by itself.
        picture = Image.merge(
            "LA" if channels == 1 else "RGBA",
            [Image.fromarray(sheet[..., i]) for i in range(channels + 1)],
        )
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    src = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return {"src": src, "width": size[1], "height": size[0], "count": count}
