"""The figures for papers."""

import copy
import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from distillery.report import paper
from distillery.report.charts import Look, Series
from distillery.report.results import Results

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
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
    *("continual", "forgetting", "cost", "sets"),
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


def test_the_moving_picture_has_every_snapshot(results, drawn):
    with Image.open(drawn["evolution_MNIST_dc_noise_ipc10.gif"]) as picture:
        assert picture.n_frames == 11
        wide, high = picture.size
        assert wide == 10 * high and high % 28 == 0
        first = np.asarray(picture.convert("L")).copy()
        picture.seek(10)
        last = np.asarray(picture.convert("L"))
        assert (last != first).any()
    assert len(np.unique(last)) <= paper.SHADES
    tensors, header = results.evolutions[1]
    pixels = results.pixels(tensors["images"][10][::10], header)[0][:, 0]
    assert header["init"] == "noise"
    scale = high // 28
    shown = last[::scale, ::scale].reshape(28, 10, 28).swapaxes(0, 1) / 255
    assert np.abs(shown - pixels).max() < 0.51 / (paper.SHADES - 1) + 0.5 / 255


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


def test_the_sets_of_a_size_stand_under_each_other_with_what_they_reach(results):
    figure = paper._sets(results, "MNIST", 10)
    assert figure is not None
    (axes,) = figure.axes
    shown = np.asarray(axes.get_images()[0].get_array())
    for row, item in enumerate(results.sets):
        pixels = results.pixels(item[0]["images"], item[1])[0][:, 0]
        # Column 3 is the first of class 3: ten images per class, in the order of classes.
        part = shown[29 * row : 29 * row + 28, 87:115, 1]
        np.testing.assert_allclose(part, pixels[30], atol=1e-6)
    (reached,) = results.summed("MNIST", "ConvNet", "last").query(
        "method == 'dc' and init == 'real'"
    )["mean"]
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names[0].startswith(f"DC\nfrom real images\n{100 * reached:.1f} ±")
    assert names[1].startswith("DC\nfrom Gaussian noise\n")
    heads = [tick.get_text() for tick in axes.get_xticklabels()]
    assert heads == [str(digit) for digit in range(10)]


def test_one_set_alone_is_no_comparison_and_a_class_without_an_image_leaves_white(part, results):
    assert paper._sets(results_of(part, sets=1), "MNIST", 10) is None
    assert paper._sets(results, "MNIST", 1) is None
    lacking = [
        ({name: tensor[10:] for name, tensor in tensors.items()}, header)
        for tensors, header in results.sets
    ]
    found = copy.copy(results)
    found.sets = lacking
    figure = paper._sets(found, "MNIST", 10)
    assert figure is not None
    shown = np.asarray(figure.axes[0].get_images()[0].get_array())
    pixels = results.pixels(results.sets[0][0]["images"], results.sets[0][1])[0][:, 0]
    assert (shown[:28, :28] == 1).all()
    np.testing.assert_allclose(shown[:28, 29:57, 1], pixels[10], atol=1e-6)


@pytest.mark.parametrize("names", [range(10), CIFAR10, ["aquarium_fish"] * 10])
def test_the_names_of_classes_stand_beside_each_other(names):
    rows = [(f"a{row}", np.zeros((10, 3, 32, 32))) for row in range(2)]
    figure = paper._grid(rows, [str(name) for name in names])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [
        label.get_window_extent(canvas.get_renderer()) for label in figure.axes[0].get_xticklabels()
    ]
    assert len(boxes) == 10
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
