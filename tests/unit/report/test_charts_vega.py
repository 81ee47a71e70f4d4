"""Charts as Vega draws them: their data, axes and looks, and the pictures of them."""

import base64
import gzip
import re
from pathlib import Path

import matplotlib
import pytest
from PIL import ImageFont

from distillery import plugins
from distillery.report import charts, charts_vega
from distillery.report.charts import Chart, Look, Series
from distillery.report.words import method_title


def chart(**more):
    """Two lines in percent, and a thin one."""
    lines = (
        Series("DC", [1, 10], [0.88, 0.9], Look(1, "^"), [0.87, 0.89], [0.89, 0.91], [6, 3]),
        Series("MTT", [1, 10], [0.885, 0.91], Look(2, "s", "open", "dashed"), short="mtt"),
        Series("MTT", [1, 10], [0.5, 0.6], Look(2, "s"), thin=True),
    )
    about = {"percent": True, "whole_x": True, "log_x": True, "bounds": (("full", 0.93),)}
    return charts.chart(Chart("accuracy, %", "digits", "images", lines, **{**about, **more}))


def data(spec):
    return {one["name"]: one.get("values") for one in spec["data"]}


def scale(spec, name):
    return next(one for one in spec["scales"] if one["name"] == name)


def test_the_data_are_the_chart_s():
    given = data(charts_vega.spec(chart()))
    assert given["all"][:2] == [
        {"s": 0, "x": 1.0, "y": 88.0, "lo": 87.0, "hi": 89.0, "n": 6, "m": 1},
        {"s": 0, "x": 10.0, "y": 90.0, "lo": 89.0, "hi": 91.0, "n": 3, "m": 1},
    ]
    assert [row["s"] for row in given["all"]] == [0, 0, 1, 1, 2, 2]
    assert given["all"][2] == {"s": 1, "x": 1.0, "y": 88.5, "lo": 88.5, "hi": 88.5, "n": 1, "m": 1}
    assert given["bounds"] == [{"text": "full", "y": 93.0}]
    assert not any("m" in row for row in given["all"] if row["s"] == 2)


def test_looks_are_the_page_s_colours_shapes_and_dashes():
    first, second, thin = data(charts_vega.spec(chart()))["lines"]
    assert first["colour"] == first["fill"] == "var(--s1)" and first["dash"] == []
    assert first["shape"] == charts.MARKERS["^"] and first["short"] == "DC"
    assert second["fill"] == "var(--panel)" and second["dash"] == [6, 3]
    assert second["short"] == "mtt" and second["name"] == thin["name"] == "MTT"
    assert thin["thin"] and thin["width"] < first["width"]


def test_axes_follow_the_data_that_are_shown():
    spec = charts_vega.spec(chart())
    x, y = scale(spec, "x"), scale(spec, "y")
    assert (x["type"], y["type"]) == ("log", "linear")
    assert not y["zero"] and {source["data"] for source in y["domain"]["fields"]} == {
        *("shown", "bounds")
    }
    assert next(axis for axis in spec["axes"] if axis["scale"] == "x")["values"] == [1.0, 10.0]
    plain = charts_vega.spec(chart(log_x=False, bounds=()))
    assert scale(plain, "x")["type"] == "linear"
    assert {source["data"] for source in scale(plain, "y")["domain"]["fields"]} == {"shown"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("y", "marks"),
    [
        ([0.005, 0.02], {"0.005", "0.01", "0.015", "0.02"}),
        ([90_000, 150_000], {"100,000", "120,000", "140,000"}),
        ([1e-8, 1e-5], {"1e-8", "1e-7", "0.000001", "0.00001"}),
    ],
)
def test_the_numbers_beside_an_axis_are_short(y, marks):
    picture = charts_vega.still(charts.chart(Chart("a", "b", "c", (Series("m", [0, 1], y),))))
    assert marks <= set(re.findall(r">([^<]*)<", picture))


def test_a_band_below_zero_ends_within_a_logarithmic_axis():
    one = Series("a", [0, 1], [0.001, 1], low=[-1, 0.9], high=[2, 2])
    spec = charts_vega.spec(charts.chart(Chart("loss", "digits", "epoch", (one,))))
    assert scale(spec, "y")["type"] == "log"
    assert [row["lo"] for row in data(spec)["all"]] == [0.0005, 0.9]


def test_a_long_line_has_few_markers_each_line_at_its_own_points():
    xs = list(range(100))
    lines = tuple(Series(name, xs, [float(x) for x in xs]) for name in "ab")
    given = data(charts_vega.spec(charts.chart(Chart("loss", "digits", "epoch", lines))))
    marked = [{row["x"] for row in given["all"] if row["s"] == s and "m" in row} for s in (0, 1)]
    assert all(5 <= len(places) <= 7 for places in marked) and not marked[0] & marked[1]


def test_names_have_room_at_the_ends_of_their_lines():
    short = charts_vega.label_room(chart())
    long = charts.chart(Chart("a", "b", "c", (Series("a name that is long", [0], [0]),)))
    assert short < charts_vega.label_room(long) < 250
    assert charts_vega.spec(long)["padding"]["right"] == charts_vega.label_room(long)


@pytest.mark.parametrize("name", sorted({method_title(name) for name in plugins.methods()}))
def test_a_method_s_name_is_written_out_in_a_wide_font(name):
    """DejaVu, which is the system's font on many Linux machines: Random had been cut."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", 11)
    room = charts_vega.label_room(charts.chart(Chart("a", "b", "c", (Series(name, [0], [0]),))))
    assert font.getlength(name) < room - 14


def test_a_picture_has_every_line_and_name_in_the_page_s_colours_and_no_id():
    picture = charts_vega.still(chart())
    assert picture == charts_vega.still(chart())
    for part in (">DC<", ">mtt<", ">full<", 'stroke="var(--s1)"', "accuracy, %, digits"):
        assert part in picture
    assert not re.search(r"https?:| id=|url\(", picture) and len(picture) < 6000
    assert re.findall(r"#[0-9a-f]{3,6}\b", picture) == []


def tops(picture):
    """How far down each name stands, right of the plot."""
    right = charts_vega.WIDTH + 11
    return [float(y) for y in re.findall(rf"<text[^>]*translate\({right},(-?[\d.]+)\)", picture)]


def test_names_of_ten_lines_that_end_together_do_not_touch():
    lines = tuple(Series(f"m{i}", [0, 1], [0.2, 0.9 + i / 10000], Look(i)) for i in range(10))
    places = tops(charts_vega.still(charts.chart(Chart("a", "b", "c", lines, percent=True))))
    assert len(places) == 10
    gaps = [b - a for a, b in zip(sorted(places), sorted(places)[1:])]
    assert min(gaps) >= 11 and min(places) > -12 and max(places) < charts_vega.HEIGHT + 12


@pytest.mark.slow
def test_the_library_is_one_and_fetches_nothing():
    source = gzip.decompress(base64.b64decode(charts_vega.library())).decode()
    assert "window.vegaEmbed=" in source.replace(" ", "")
    assert len(charts_vega.library()) < 500_000 and charts_vega.library() == charts_vega.library()
    assert "Vega 6" in charts_vega.licence()
