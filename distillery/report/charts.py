"""Charts and image strips for the report: inline SVG in the page's colours, and PNG data addresses.

Charts are drawn by hand rather than by matplotlib: a chart of 360 units keeps readable type on a
phone, follows the page's light or dark colours (CSS variables), has no ids that could clash with
another chart's, and the same numbers give the same bytes.
"""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
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
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dash: str = "solid"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    thin: bool = False


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten apart) inside ``[low, high]``, about
    ``count`` of them."""
    if not math.isfinite(low) or not math.isfinite(high) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    found = []
    while (first + len(found)) * step <= high + step * 1e-9:
        found.append(round((first + len(found)) * step, 12))
    return found


def number(value: float) -> str:
    """Short text for an axis: 0.05, 12, 2.5k, 1e-07."""
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
    """An SVG line chart.

    Args:
        label: what a screen reader says.
        percent: ``y`` are fractions, shown in percent.
        integer_x: a tick at each whole number (stages), not at round ones.
        bounds: dashed horizontal lines: (text, y, colour).
        log: logarithmic ``y``; ``None`` decides by the range (more than two decades, all positive).

    Returns:
        ``<svg>…</svg>``, or an empty string where no finite point is left.
    """
    scale = 100.0 if percent else 1.0
    lines = []
    for one in series:
        x, y = np.asarray(one.x, float), np.asarray(one.y, float) * scale
        low = None if one.low is None else np.asarray(one.low, float) * scale
        high = None if one.high is None else np.asarray(one.high, float) * scale
        keep = np.isfinite(x) & np.isfinite(y)
        if keep.any():
            lines.append(
                (
                    one,
                    x[keep],
                    y[keep],
                    None if low is None else low[keep],
                    None if high is None else high[keep],
                )
            )
    if not lines:
        return ""
    bounds = [
        (text, value * scale, colour) for text, value, colour in bounds if math.isfinite(value)
    ]
    every_x = np.concatenate([line[1] for line in lines])
    every_y = np.concatenate(
        [part for line in lines for part in line[2:] if part is not None] + [[b[1] for b in bounds]]
    )
    every_y = every_y[np.isfinite(every_y)]
    drawn = np.concatenate([line[2] for line in lines])
    if log is None:
        log = bool(drawn.min() > 0 and drawn.max() / drawn.min() > 100)
    if log:
        every_y = every_y[every_y > 0]

    def forward(v):
        return np.log10(np.maximum(v, every_y.min())) if log else np.asarray(v, float)

    x0, x1 = float(every_x.min()), float(every_x.max())
    if x0 == x1:
        x0, x1 = x0 - 1, x1 + 1
    y0, y1 = float(forward(every_y.min())), float(forward(every_y.max()))
    margin = 0.06 * (y1 - y0) or 0.05 * abs(y1) or 1.0
    y0, y1 = y0 - margin, y1 + margin
    if not log and every_y.min() >= 0:
        y0 = max(y0, 0.0)
    if percent:
        y1 = min(y1, 100.0) if y1 - margin < 100 else y1
    if integer_x:
        side = 0.06 * (x1 - x0)
        x0, x1 = x0 - side, x1 + side

    def px(v):
        return LEFT + (np.asarray(v, float) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def py(v):
        return HEIGHT - BOTTOM - (forward(v) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    head = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label, quote=True)}"'
    parts = [f'<svg class="chart" {head}>']
    if log:
        powers = range(math.floor(y0), math.ceil(y1) + 1)
        marks = [
            10.0**p * m
            for p in powers
            for m in ((1,) if y1 - y0 > 2 else (1, 2, 5))
            if y0 <= p + math.log10(m) <= y1
        ]
    else:
        marks = ticks(y0, y1)
    for mark in marks:
        y = float(py(mark))
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 7}" y="{y + 3.8:.1f}" '
            f'text-anchor="end">{number(mark)}</text>'
        )
    whole = sorted({round(v) for v in every_x}) if integer_x else []
    for mark in whole if whole and len(whole) <= 12 else ticks(x0, x1, 5):
        x = float(px(mark))
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" '
            f'text-anchor="middle">{number(mark)}</text>'
        )
    parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle:.1f}" y="{HEIGHT - 5}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
    )
    for text, value, colour in bounds:
        y = float(py(value))
        parts.append(
            f'<path class="bound" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" '
            f'style="stroke:var(--s{colour})"/>'
        )
        parts.append(
            f'<text class="tick" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" '
            f'text-anchor="end">{escape(text)}</text>'
        )
    for one, x, _, low, high in lines:
        if (
            low is None
            or high is None
            or len(x) < 2
            or one.thin
            or not np.isfinite([low, high]).all()
        ):
            continue
        top = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px(x), py(high)))
        bottom = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px(x)[::-1], py(low)[::-1]))
        parts.append(
            f'<polygon class="band" points="{top} {bottom}" style="fill:var(--s{one.colour})"/>'
        )
    for one, x, y, _, _ in lines:
        across, down = px(x), py(y)
        style = f"stroke:var(--s{one.colour})" + (
            f";stroke-dasharray:{DASHES[one.dash]}" if DASHES[one.dash] else ""
        )
        kind = "line thin" if one.thin else "line"
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down))
        if len(x) > 1:
            parts.append(f'<polyline class="{kind}" points="{points}" style="{style}"/>')
        if len(x) == 1 or (len(x) <= 12 and not one.thin):
            for a, b in zip(across, down):
                parts.append(
                    f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="2.4" '
                    f'style="fill:var(--s{one.colour})"/>'
                )
    parts.append("</svg>")
    return "".join(parts)


def swatch(colour: int, dash: str = "solid", thin: bool = False) -> str:
    """The short line that stands in a legend."""
    style = f"stroke:var(--s{colour})" + (
        f";stroke-dasharray:{DASHES[dash]}" if DASHES[dash] else ""
    )
    kind = "line thin" if thin else "line"
    path = f'<path class="{kind}" d="M1 4H25" style="{style}"/>'
    return f'<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true">{path}</svg>'


def shorten(
    x: np.ndarray, *columns: np.ndarray, points: int = 160
) -> tuple[int, np.ndarray, list[np.ndarray]]:
    """Means over equal bins, so that a line of thousands of points stays small.

    Returns:
        (bin size, x, columns); the bin size is 1 where nothing had to be done.
    """
    size = -(-len(x) // points)
    if size <= 1:
        return 1, np.asarray(x, float), [np.asarray(c, float) for c in columns]
    edges = np.arange(0, len(x), size)
    counts = np.diff([*edges, len(x)])
    x, *columns = [
        np.add.reduceat(np.asarray(column, float), edges) / counts for column in (x, *columns)
    ]
    return size, x, columns


def to_pixels(images: np.ndarray, normalization: dict | None) -> tuple[np.ndarray, bool]:
    """Normalised images (…, C, H, W) float to pixel space [0, 1], clipped.

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


def strip(pixels: np.ndarray) -> dict:
    """Images (N, C, H, W) in [0, 1], C 1 or 3, side by side with a clear line between, as a PNG
    data address.

    Returns:
        ``{"src": "data:image/png;base64,…", "width": …, "height": …, "count": N}``.
    """
    pixels = np.round(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    count, channels, height, width = pixels.shape
    if channels not in (1, 3):  # shown as grey rather than not at all
        pixels, channels = pixels[:, :1], 1
    sheet = np.zeros((height, count * width + count - 1, channels + 1), np.uint8)
    for i, image in enumerate(pixels):
        at = i * (width + 1)
        sheet[:, at : at + width, :channels] = image.transpose(1, 2, 0)
        sheet[:, at : at + width, channels] = 255
    if count == 1:
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
    return {"src": src, "width": sheet.shape[1], "height": height, "count": count}
