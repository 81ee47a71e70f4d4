"""Charts and image strips."""

import base64
import io
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from distillery import plugins
from distillery.report import charts as figures
from distillery.report import paper
from distillery.report.results import Results
from distillery.report.words import method_rank
from distillery.store.metrics import COLUMNS
from tests.unit.report.made import STATISTICS


def noise(channels, count=3, height=4, width=5):
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (count, channels, height, width)).astype(np.float32) / 255


@pytest.mark.parametrize(
    ("images", "mode"),
    [
        (noise(3), "RGB"),
        (noise(1), "L"),
        (noise(1, 2, 64, 64), "LA"),  # every grey occurs
        (noise(3, 1), "RGB"),
        (noise(3) * 0, "RGB"),
    ],
    ids=["colour", "grey", "all greys", "one", "black"],
)
def test_strip_keeps_pixels_and_parts_images(images, mode):
    """A reader of the file sees each pixel as it was, and nothing between images."""
    strip = figures.strip(images)
    picture = Image.open(io.BytesIO(base64.b64decode(strip["src"].split(",")[1])))
    assert picture.mode == mode and picture.size == (strip["width"], strip["height"])
    count, _, height, width = images.shape
    assert picture.size == (count * (width + 1) - 1, height)
    sheet = np.asarray(picture.convert("RGBA"))
    for at, image in enumerate(images):
        here = sheet[:, at * (width + 1) :][:, :width]
        wanted = np.broadcast_to(np.round(image * 255), (3, height, width)).transpose(1, 2, 0)
        np.testing.assert_array_equal(here[..., :3], wanted)
        assert (here[..., 3] == 255).all()
    assert (sheet[:, width :: width + 1, 3] == 0).all()


def test_pixels_undo_the_normalisation():
    pixels = np.random.default_rng(0).random((2, 3, 4, 4)).astype(np.float32)
    mean, std = STATISTICS["CIFAR10"][:2]
    images = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found, exact = figures.to_pixels(images, {"mean": mean, "std": std})
    np.testing.assert_allclose(found, pixels, atol=1e-6)
    assert exact and figures.to_pixels(images + 99, {"mean": mean, "std": std})[0].max() == 1
    stretched, exact = figures.to_pixels(images, {"kind": "zca"})
    assert not exact and stretched.min() == 0 and stretched.max() == pytest.approx(1)


def test_ticks_are_round():
    assert figures.ticks(0, 100) == [0, 25, 50, 75, 100]


def line(label, y, **more):
    return figures.Series(label, list(range(len(y))), y, **more)


def about(*series, **more):
    return figures.chart(figures.Chart("accuracy", "digits", "epoch", series, **more))


def test_points_that_are_no_numbers_are_left_out():
    one = line("a", [0.1, float("nan"), 0.9], low=[0, 0, 0.8], high=[0.2, 1, float("inf")])
    points = figures.Points.of(one, 100)
    assert points.x.tolist() == [0] and points.y.tolist() == [10] and points.high.tolist() == [20]
    assert about(line("a", [float("nan")])) is None and about() is None


def test_bounds_that_would_press_the_lines_together_are_said_instead():
    lines = line("a", [0.88, 0.91]), line("b", [0.885, 0.9])
    near = about(*lines, percent=True, bounds=(("full", 0.93),))
    assert near.bounds == (("full", 0.93),) and near.note == ""
    far = about(*lines, percent=True, bounds=(("full", 0.994),), note="Thick.")
    assert far.bounds == () and far.note == "Thick. Full: 99.4 %, above this range."
    assert about(*lines, bounds=(("full", float("nan")),)).bounds == ()


def test_the_axis_is_logarithmic_over_more_than_two_decades():
    assert about(line("a", [0.001, 1])).log_y
    assert not about(line("a", [0.02, 1])).log_y
    assert not about(line("a", [0, 1])).log_y


@pytest.mark.parametrize("percent", [True, False])
def test_a_chart_keeps_the_lines_that_can_be_told_apart_and_says_so(percent):
    lines = [line(f"m{i}", [0, i / 100]) for i in range(30)]
    kept = about(*lines, line("m29", [0, 0.1], thin=True), percent=percent)
    order, first = ("those that end highest", 6) if percent else ("the first", 0)
    assert kept.note == f"24 of 30 lines: {order}."
    assert {one.label for one in kept.series} == {f"m{i}" for i in range(first, first + 24)}
    assert sum(one.thin for one in kept.series) == percent


# Linear RGB to the cones' responses, and those of deuteranopia (Viénot, Brettel and Mollon 1999).
CONES = np.array(
    [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.02996, 0.1843, 1.467]]
)
GREEN_BLIND = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour):
    """The CIE L*a*b* of a hexadecimal colour as one sees it who has no green cones."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.linalg.inv(CONES) @ GREEN_BLIND @ CONES @ linear, 0, 1)
    t = XYZ @ seen / np.array([0.9505, 1, 1.089])
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("dark", [False, True])
def test_lines_of_any_study_differ_without_green_cones(dark):
    """By the distance of their colours, 10 at least, or by markers, dashes or fill."""
    style = paper.STYLE.read_text()
    parts = re.split(r"@media \(prefers-color-scheme: dark\)", style, maxsplit=1)
    colours = {int(n): c for n, c in re.findall(r"--s(\d+):\s*(#[0-9a-f]{6})", parts[dark])}
    assert len(colours) == 12
    methods = sorted(plugins.methods(), key=method_rank) + [f"of_mine_{i}" for i in range(8)]
    rows = [{"dataset": "MNIST", "method": name, "measure": "x", "value": 1.0} for name in methods]
    results = Results(pd.DataFrame(rows).reindex(columns=list(COLUMNS)), [], [], [], [], {}, {})
    looks = [(m, i, results.look(m, i)) for m in methods for i in ("real", "noise", "imported")]
    seen = {number: lab(colour) for number, colour in colours.items()}
    for (*_, a), (*_, b) in itertools.combinations(looks, 2):
        cues = (a.marker, a.fill, a.dash) != (b.marker, b.fill, b.dash)
        assert cues or np.linalg.norm(seen[a.colour] - seen[b.colour]) >= 10


def test_shortened_curve_keeps_the_mean():
    size, x, (y,) = figures.shorten(np.arange(1000), np.arange(1000) * 2.0, points=100)
    assert size == 10 and len(x) == 100 and y[0] == 9 and x[-1] == 994.5
