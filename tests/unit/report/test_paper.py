"""The figures for papers."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from distillery.report import paper
from distillery.report.charts import Look, Series
from distillery.report.results import Results

pytestmark = pytest.mark.slow


def results_of(study, sets):
    """Of a study with so many sets: each figure takes two thirds of a second."""
    metrics, costs, config = (study[name] for name in ("metrics", "costs", "config"))
    return Results(metrics, costs, study["sets"][:sets], study["evolutions"][:sets], [], config, {})


@pytest.fixture(scope="module")
def results(part):
    return results_of(part, sets=2)


@pytest.fixture(scope="module")
def drawn(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return {path.name: path for path in paper.write(results, folder)}


KINDS = {
    *("accuracy_by_ipc", "accuracy_by_bytes", "accuracy_by_seconds", "images", "evolution"),
    *("continual", "forgetting", "cost"),
}


def kinds(names):
    return {name.split("_MNIST")[0] for name in names}


def test_each_figure_is_there_in_every_format(drawn):
    names = {name.rpartition(".")[0] for name in drawn if not name.endswith("gif")}
    assert set(drawn) == {f"{name}.{kind}" for name in names for kind in paper.FORMATS} | {
        f"evolution_MNIST_{cell}_ipc10.gif" for cell in ("dc_real", "dc_noise")
    }
    assert kinds(names) == KINDS
    for name, path in drawn.items():
        start = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG", "gif": b"GIF8"}[name[-3:]]
        assert path.read_bytes().startswith(start), name


def test_the_lines_are_the_means_of_the_summary(results):
    figure = paper._accuracy(results, "MNIST", "ConvNet", "ipc")
    (axes,) = figure.axes
    named = {
        container.get_label(): container.lines[0].get_xydata() for container in axes.containers
    }
    rows = results.summed("MNIST", "ConvNet", "last")
    for method, init, label in (("dc", "real", "DC, real images"), ("random", "real", "Random")):
        row = rows[(rows["method"] == method) & (rows["init"] == init)].iloc[0]
        (label,) = [name for name in named if name.startswith(label)]
        np.testing.assert_allclose(named[label], [[10, 100 * row["mean"]]])
    assert len(named) == 6
    looks = [
        (line.get_marker(), line.get_color(), str(line.get_markerfacecolor()))
        for line in (container.lines[0] for container in axes.containers)
    ]
    assert len(set(looks)) == 6 and len({marker for marker, *_ in looks}) == 4


@pytest.mark.parametrize("places", [(264, 265, 297), (264, 2100), (0.4, 30, 3000), (60, 60)])
def test_the_marks_of_an_axis_stand_beside_each_other(results, monkeypatch, places):
    line = Series("a", list(places), [0.8] * len(places), Look(1), count=[5] * len(places))
    monkeypatch.setattr(paper, "accuracies", lambda *_: [line])
    figure = paper._accuracy(results, "MNIST", "ConvNet", "bytes")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    low, high = axes.bbox.x0 - 1, axes.bbox.x1 + 1
    boxes = [
        one.get_window_extent(canvas.get_renderer())
        for one in axes.get_xticklabels(which="both")
        if one.get_text()
    ]
    inside = sorted((box.x0, box.x1) for box in boxes if low < (box.x0 + box.x1) / 2 < high)
    assert len(inside) > 1
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(inside))


def test_what_is_not_known_is_no_figure(results):
    assert paper._accuracy(results, "MNIST", "LeNet", "ipc") is None
    assert paper._cost(results, "CIFAR10") is None
    assert paper._forgetting(results, "MNIST", []) is None
    assert paper._stages(results, "MNIST", []) is None


def test_text_is_text_and_the_same_results_give_the_same_bytes(part, drawn, tmp_path):
    svg = drawn["accuracy_by_ipc_MNIST_ConvNet.svg"].read_text()
    assert "test accuracy of ConvNet" in svg and "full training set" in svg
    assert not re.search(r"\b20\d\d-\d\d-\d\dT", svg)
    # Each kind once more, from results that are read again.
    metrics = part["metrics"][part["metrics"]["network"] != "ResNet18"]
    written = paper.write(results_of({**part, "metrics": metrics}, sets=2), tmp_path)
    assert kinds(path.name for path in written) == KINDS
    assert [
        path.name for path in written if path.read_bytes() != drawn[path.name].read_bytes()
    ] == []


def test_the_moving_picture_has_every_snapshot(drawn):
    with Image.open(drawn["evolution_MNIST_dc_noise_ipc10.gif"]) as picture:
        assert picture.n_frames == 11
        wide, high = picture.size
        assert wide == 10 * high and high % 28 == 0
        first = np.asarray(picture.convert("L")).copy()
        picture.seek(10)
        assert (np.asarray(picture.convert("L")) != first).any()


def test_the_images_are_the_set_s_own(results):
    item = results.sets[0]
    figure = paper._images(results, item)
    (axes,) = figure.axes
    shown = np.asarray(axes.get_images()[0].get_array())
    pixels = results.pixels(item[0]["images"], item[1])[0][:, 0]
    # Row 3, column 2: ten images per class, 28 pixels a side and a line of one.
    np.testing.assert_allclose(shown[87:115, 58:86, 1], pixels[32], atol=1e-6)
    assert (shown[28] == 1).all() and [tick.get_text() for tick in axes.get_yticklabels()] == [
        str(digit) for digit in range(10)
    ]
