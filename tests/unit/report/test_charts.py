"""Charts and image strips."""

import re

import numpy as np
import pytest

from distillery.report import charts as figures
from tests.unit.report.made import STATISTICS


def test_strip_keeps_pixels_and_parts_images():
    import base64
    import io

    from PIL import Image

    images = np.random.default_rng(0).random((3, 3, 4, 5)).astype(np.float32)
    strip = figures.strip(images)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(strip["src"].split(",")[1]))))
    assert sheet.shape == (4, 17, 4) and (strip["width"], strip["height"]) == (17, 4)
    np.testing.assert_array_equal(
        sheet[:, 6:11, :3], np.round(images[1] * 255).astype(np.uint8).transpose(1, 2, 0)
    )
    assert (sheet[:, 5, 3] == 0).all() and (sheet[:, :5, 3] == 255).all()


def test_pixels_undo_the_normalisation():
    pixels = np.random.default_rng(0).random((2, 3, 4, 4)).astype(np.float32)
    mean, std = STATISTICS["CIFAR10"][:2]
    images = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found, exact = figures.to_pixels(images, {"mean": mean, "std": std})
    np.testing.assert_allclose(found, pixels, atol=1e-6)
    assert exact and figures.to_pixels(images + 99, {"mean": mean, "std": std})[0].max() == 1
    stretched, exact = figures.to_pixels(images, {"kind": "zca"})
    assert not exact and stretched.min() == 0 and stretched.max() == pytest.approx(1)


def test_chart_holds_its_points():
    svg = figures.line_chart(
        [figures.Series("a", [0, 1, 2], [0.1, 0.9, float("nan")])],
        label="x",
        x_label="<e>",
        percent=True,
    )
    assert "&lt;e&gt;" in svg and svg.count("<circle") == 2
    assert figures.line_chart([], label="x", x_label="e") == ""
    xs = [float(v) for v in re.findall(r'cx="([\d.]+)"', svg)]
    assert xs == [figures.LEFT, figures.WIDTH - figures.RIGHT]
    assert figures.ticks(0, 100) == [0, 25, 50, 75, 100]


def test_shortened_curve_keeps_the_mean():
    size, x, (y,) = figures.shorten(np.arange(1000), np.arange(1000) * 2.0, points=100)
    assert size == 10 and len(x) == 100 and y[0] == 9 and x[-1] == 994.5
