"""Charts as Vega specifications, and Vega itself.

Vega was chosen by measure: it adds 407 kB to a page (Plotly: 1,870 kB), its SVG follows the page's
colours in light, dark and print, and the same specification gives the picture that stands in a page
without script.
"""

import base64
import gzip
import json
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from html import escape
from typing import Any

import numpy as np
import vl_convert

from distillery.report.charts import DASHES, MARKERS, Chart, Points, Series, spaced

HEIGHT, WIDTH = 230, 330  # of the plot, in pixels; the page sets its own width
LEFT, TOP, BOTTOM = 46, 12, 44
FONT = "system-ui, sans-serif"
SIZE = 11
LETTER = 6.2  # the mean width of a letter of that size
MARKED = 12  # points of a line with that many have a marker each, of others some
STILL_POINTS = 48  # of a line of a picture without script
BANDED = 4  # lines at most whose bands are all shown: more hide one another
DIGITS = 6
LICENCE = "Vega {version}, BSD-3-Clause, © University of Washington Interactive Data Lab"


def library() -> str:
    """Return Vega's source as gzip in base64: the same bytes each time."""
    return _library()


@cache
def _library() -> str:
    # Of Vega itself the bundle binds `null`: vega-embed alone is whole in it.
    return pack(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def licence() -> str:
    """Return the line that says whose the library is."""
    return LICENCE.format(version=vl_convert.get_vega_version())


def pack(text: str) -> str:
    """Return text as gzip in base64; no time stands in it."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def compact(spec: Any) -> str:
    """Return JSON without blanks."""
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def still(chart: Chart) -> str:
    """Draw a chart as SVG in the page's colours, for a page without script."""
    text = _drawn(compact(spec(chart, still=True)))
    label = escape(f"{chart.title}, {chart.where}")
    return text.replace("<svg ", f'<svg class="still" role="img" aria-label="{label}" ', 1)


@lru_cache(maxsize=4096)
def _drawn(text: str) -> str:
    return _slim(vl_convert.vega_to_svg(json.loads(text)))


def _slim(svg: str) -> str:
    """Leave out of an SVG by Vega what no picture shows: a chart of 17 kB then has 5 kB."""
    svg = re.sub(r'<path class="(?:back|fore)ground"[^>]*/>', "", svg)
    return re.sub(r"<[a-z][^>]*>", lambda tag: _slim_tag(tag[0]), svg)


def _slim_tag(tag: str) -> str:
    """Leave out of a tag what holds without being said, and what the page's style says."""
    tag = re.sub(r' (?:class|role|aria-\w+|pointer-events)="[^"]*"', "", tag)
    tag = re.sub(r' (?:xmlns|xmlns:\w+|version|font-family|font-size)="[^"]*"', "", tag)
    tag = re.sub(
        r' (?:\w+-)?opacity="1"| transform="translate\(0,0\)"| text-anchor="start"', "", tag
    )
    return re.sub(r"(\.\d)\d+", r"\1", tag)


def spec(chart: Chart, still: bool = False) -> dict[str, Any]:
    """Return a chart's Vega specification.

    Its data are ``lines`` (how each line looks and what it is called), ``all`` (each point: number
    of its line ``s``, ``x``, ``y``, ``lo``, ``hi`` and the number of measurements ``n``) and
    ``bounds``. Its signals are set by the page: ``hidden`` (numbers of lines), ``hover`` (a point),
    ``xzoom`` and ``yzoom`` (what the axes reach over, else the data), ``drag`` (a rectangle) and
    ``room`` (pixels for the lines' names, right of the plot).

    Args:
        chart: as ``charts.chart`` gives it.
        still: for a picture: fewer points, and nothing that answers to a pointer.
    """
    room = label_room(chart)
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "autosize": "none",
        "padding": {"left": LEFT, "top": TOP, "right": room, "bottom": BOTTOM},
        "signals": [
            {"name": "room", "value": room},
            *[
                {"name": name, "value": [] if name == "hidden" else None}
                for name in ("hidden", "hover", "xzoom", "yzoom", "drag")
            ],
            {"name": "banded", "update": f"length(data('seen')) <= {BANDED}"},
        ],
        "data": [*_given(chart, still), *_derived()],
        "scales": _scales(chart),
        "axes": _axes(chart),
        "marks": _marks(still),
    }


def label_room(chart: Chart) -> float:
    """Return how many pixels the names at the lines' ends take."""
    names = [one.short or one.label for one in chart.series if not one.thin]
    # A short name has to have its whole width, however wide its letters are.
    return 30 + round(LETTER * min(30, max(map(len, names), default=0)))


# ---- data ----------------------------------------------------------------------------------------


def _given(chart: Chart, still: bool) -> list[dict[str, Any]]:
    lines, rows, floor = [], [], _floor(chart)
    for number, (one, points) in enumerate(zip(chart.series, chart.points)):
        lines.append({"s": number, **_looks(one)})
        rows += _rows(number, one, points, floor, still)
    bounds = [{"text": text, "y": _short(value * chart.scale)} for text, value in chart.bounds]
    return [
        {"name": "lines", "values": lines},
        {"name": "all", "values": rows},
        {"name": "bounds", "values": bounds},
    ]


def _floor(chart: Chart) -> float | None:
    """Return what no band of a logarithmic axis may go below."""
    return min(points.y.min() for points in chart.points) / 2 if chart.log_y else None


def _looks(one: Series) -> dict[str, Any]:
    look, colour = one.look, f"var(--s{one.look.colour})"
    return {
        "name": one.label,
        "short": one.short or one.label,
        "colour": colour,
        "fill": "var(--panel)" if look.fill == "open" else colour,
        "fillOpacity": 0.4 if look.fill == "half" else 1,
        "shape": MARKERS[look.marker],
        "dash": list(DASHES[look.dash]),
        "width": 1 if one.thin else look.width,
        "opacity": 0.7 if one.thin else 1,
        "thin": one.thin,
    }


def _rows(
    number: int, one: Series, points: Points, floor: float | None, still: bool
) -> list[dict[str, Any]]:
    length = len(points.x)
    chosen: Sequence[int] = range(length)
    if still and length > STILL_POINTS:
        chosen = spaced(chosen, STILL_POINTS)
    # Lines that run side by side have their markers at different points.
    every = 1 if len(chosen) <= MARKED else -(-len(chosen) // (3 if still else 6))
    low = points.low if floor is None else np.maximum(points.low, floor)
    rows = []
    for place, i in enumerate(chosen):
        row = {"s": number, "x": _short(points.x[i]), "y": _short(points.y[i])}
        row |= {"lo": _short(low[i]), "hi": _short(points.high[i]), "n": int(points.count[i])}
        if not one.thin and place % every == number % every:
            row["m"] = 1
        rows.append(row)
    return rows


def _short(value: float) -> float:
    """Return a number with as many digits as anyone is shown."""
    return float(f"{value:.{DIGITS}g}")


def _derived() -> list[dict[str, Any]]:
    shown = {"type": "filter", "expr": "indexof(hidden, datum.s) < 0"}
    looks = {"type": "lookup", "from": "lines", "key": "s", "fields": ["s"], "as": ["look"]}
    return [
        {"name": "shown", "source": "all", "transform": [shown, looks]},
        {
            "name": "seen",
            "source": "lines",
            "transform": [shown, {"type": "filter", "expr": "!datum.thin"}],
        },
        {"name": "marked", "source": "shown", "transform": [_filter("datum.m")]},
        {"name": "banding", "source": "shown", "transform": [_filter("!datum.look.thin")]},
        {"name": "ends", "source": "banding", "transform": _names_at_ends()},
    ]


def _filter(expression: str) -> dict[str, Any]:
    return {"type": "filter", "expr": expression}


def _names_at_ends() -> list[dict[str, Any]]:
    """Place each line's name beside its end, or where it leaves a plot that is zoomed; ``at``
    pixels down, none over another.

    Sorted from the top, the names are moved down from one another, and up: either way each is a
    gap or more from the next, and so is the mean of both, which leaves a crowd where it was. None
    leaves the plot's height while there is room.
    """
    gap = SIZE + 1.5
    window = {"type": "window", "sort": {"field": "py"}, "ignorePeers": True}
    line = {"type": "window", "groupby": ["s"], "sort": {"field": "x"}}
    slope = "(datum.ny - datum.by) / (datum.nx - datum.bx)"
    return [
        {"type": "formula", "as": "bx", "expr": "scale('x', datum.x)"},
        {"type": "formula", "as": "by", "expr": "scale('y', datum.y)"},
        {**line, "ops": ["lead", "lead"], "fields": ["bx", "by"], "as": ["nx", "ny"]},
        # One point of each line: its last, or the last before the plot's edge.
        {"type": "formula", "as": "on", "expr": "isValid(datum.nx)"},
        _filter("datum.bx < width + 1 && (datum.on ? datum.nx > width + 1 : datum.bx > -1)"),
        {"type": "formula", "as": "px", "expr": "datum.on ? width : datum.bx"},
        {
            "type": "formula",
            "as": "py",
            "expr": f"datum.on ? datum.by + (width - datum.bx) * {slope} : datum.by",
        },
        _filter("datum.py > -1 && datum.py < height + 1"),
        {"type": "window", "sort": {"field": "py"}, "ops": ["row_number"], "as": ["place"]},
        {"type": "formula", "as": "stacked", "expr": f"datum.py - {gap} * datum.place"},
        {**window, "frame": [None, 0], "ops": ["max"], "fields": ["stacked"], "as": ["down"]},
        {**window, "frame": [0, None], "ops": ["min"], "fields": ["stacked"], "as": ["up"]},
        {
            "type": "formula",
            "as": "free",
            "expr": f"(datum.down + datum.up) / 2 + {gap} * datum.place",
        },
        {"type": "joinaggregate", "as": ["count"]},
        {
            "type": "formula",
            "as": "at",
            "expr": f"max({gap} * (datum.place - 1) - 4, "
            f"min(datum.free, height + 4 - {gap} * (datum.count - datum.place)))",
        },
    ]


# ---- axes ----------------------------------------------------------------------------------------


def _scales(chart: Chart) -> list[dict[str, Any]]:
    y = [{"data": "shown", "field": "lo"}, {"data": "shown", "field": "hi"}]
    y += [{"data": "bounds", "field": "y"}] if chart.bounds else []
    few = chart.whole_x or max(len(points.x) for points in chart.points) <= MARKED
    common = {"zero": False, "nice": False}
    return [
        {
            "name": "x",
            "type": "log" if chart.log_x else "linear",
            "domain": {"data": "shown", "field": "x"},
            "domainRaw": {"signal": "xzoom"},
            "range": [0, {"signal": "width"}],
            "padding": 14 if few else 6,
            **common,
        },
        {
            "name": "y",
            "type": "log" if chart.log_y else "linear",
            "domain": {"fields": y},
            "domainRaw": {"signal": "yzoom"},
            "range": [{"signal": "height"}, 0],
            "padding": 10,
            **common,
        },
    ]


def _axes(chart: Chart) -> list[dict[str, Any]]:
    words = {
        "labelFont": FONT,
        "labelFontSize": SIZE,
        "labelColor": "var(--muted)",
        "titleFont": FONT,
        "titleFontSize": SIZE,
        "titleFontWeight": "normal",
        "titleColor": "var(--muted)",
        "labelOverlap": True,
        "ticks": False,
        "labelPadding": 6,
        "aria": False,
        # An expression in its place would take as long as all else of a picture.
        "format": ",.7~g",
    }
    x: dict[str, Any] = {"scale": "x", "orient": "bottom", "title": chart.x_label}
    x["domainColor"] = "var(--muted)"
    places = sorted({float(value) for points in chart.points for value in points.x})
    if chart.whole_x and len(places) <= MARKED:
        x["values"] = places
    y = {"scale": "y", "orient": "left", "grid": True, "domain": False, "gridColor": "var(--hair)"}
    return [{**y, "tickCount": 5, **words}, {**x, "tickCount": 5, **words}]


# ---- marks ---------------------------------------------------------------------------------------


def _marks(still: bool) -> list[dict[str, Any]]:
    marks = [_bounds(), *_lines(still), _markers(still), *_names()]
    if not still:
        marks += [_pointed_at(), _dragged()]
    return [{**mark, "aria": False, "interactive": False} for mark in marks]


def _field(name: str) -> dict[str, Any]:
    return {"field": name}


X, Y = {"scale": "x", "field": "x"}, {"scale": "y", "field": "y"}
# What a pointer is at stands out from the others.
FAINT = "hover && hover.s !== datum.s ? 0.25 : "


def _lines(still: bool) -> list[dict[str, Any]]:
    whole = {"x": {"value": 0}, "width": {"signal": "width"}, "height": {"signal": "height"}}
    band = {
        "x": X,
        "y": {"scale": "y", "field": "lo"},
        "y2": {"scale": "y", "field": "hi"},
        "fill": _field("look.colour"),
        "fillOpacity": {"signal": "hover && hover.s === datum.s ? 0.2 : banded ? 0.13 : 0"},
    }
    line = {
        "x": X,
        "y": Y,
        "stroke": _field("look.colour"),
        "strokeDash": _field("look.dash"),
        "strokeWidth": _field("look.width"),
        "strokeOpacity": {"signal": f"{FAINT}datum.look.opacity"},
    }
    drawn = [("all", "shown", "line", line)]
    if not still:
        drawn.insert(0, ("bands", "banding", "area", band))
    return [
        {
            "type": "group",
            "clip": not still,  # an id each, which other pictures would have too
            "from": {"facet": {"name": name, "data": data, "groupby": "s"}},
            "encode": {"update": whole},
            "marks": [
                {
                    "type": kind,
                    "from": {"data": name},
                    "sort": {"field": "x"},
                    "encode": {"update": encoding},
                    "aria": False,
                    "interactive": False,
                }
            ],
        }
        for name, data, kind, encoding in drawn
    ]


def _markers(still: bool) -> dict[str, Any]:
    return {
        "type": "symbol",
        "clip": not still,
        "from": {"data": "marked"},
        "encode": {
            "update": {
                "x": X,
                "y": Y,
                "shape": _field("look.shape"),
                "size": {"value": 46},
                "fill": _field("look.fill"),
                "stroke": _field("look.colour"),
                "strokeWidth": {"value": 1.2},
                "fillOpacity": {"signal": f"{FAINT}datum.look.fillOpacity"},
                "strokeOpacity": {"signal": f"{FAINT}1"},
            }
        },
    }


def _bounds() -> dict[str, Any]:
    return {
        "type": "group",
        "from": {"data": "bounds"},
        "encode": {"update": {"y": Y, "width": {"signal": "width"}}},
        "marks": [
            {
                "type": "rule",
                "aria": False,
                "encode": {
                    "update": {
                        "x2": {"signal": "width"},
                        "stroke": {"value": "var(--s0)"},
                        "strokeDash": {"value": [2, 3]},
                        "strokeWidth": {"value": 1.4},
                    }
                },
            },
            {
                "type": "text",
                "aria": False,
                "encode": {
                    "update": {
                        "x": {"value": 4},
                        "y": {"value": -4},
                        "text": {"signal": "parent.text"},
                        "fill": {"value": "var(--muted)"},
                        "font": {"value": FONT},
                        "fontSize": {"value": SIZE},
                    }
                },
            },
        ],
    }


def _names() -> list[dict[str, Any]]:
    """Draw the names at the lines' ends, and what leads to them."""
    colour = {"signal": "datum.look.colour"}
    faint = {"signal": f"{FAINT}1"}
    leader = {
        "x": {"field": "px"},
        "y": {"field": "py"},
        "x2": {"signal": "width + 8"},
        "y2": {"field": "at"},
        "stroke": colour,
        "strokeWidth": {"value": 0.8},
        "strokeOpacity": {"signal": f"{FAINT}0.6"},
    }
    name = {
        "x": {"signal": "width + 11"},
        "y": {"field": "at"},
        "baseline": {"value": "middle"},
        "text": {"signal": "datum.look.short"},
        "limit": {"signal": "room - 14"},
        "fill": {"value": "var(--ink)"},
        "fillOpacity": faint,
        "font": {"value": FONT},
        "fontSize": {"value": SIZE},
    }
    return [
        {"type": kind, "from": {"data": "ends"}, "encode": {"update": encoding}}
        for kind, encoding in (("rule", leader), ("text", name))
    ]


def _pointed_at() -> dict[str, Any]:
    return {
        "type": "symbol",
        "encode": {
            "update": {
                "x": {"signal": "hover ? scale('x', hover.x) : 0"},
                "y": {"signal": "hover ? scale('y', hover.y) : 0"},
                "size": {"value": 130},
                "stroke": {"signal": "hover ? hover.look.colour : null"},
                "strokeWidth": {"value": 2},
                "opacity": {"signal": "hover ? 1 : 0"},
            }
        },
    }


def _dragged() -> dict[str, Any]:
    return {
        "type": "rect",
        "encode": {
            "update": {
                "x": {"signal": "drag ? drag[0] : 0"},
                "y": {"signal": "drag ? drag[1] : 0"},
                "x2": {"signal": "drag ? drag[2] : 0"},
                "y2": {"signal": "drag ? drag[3] : 0"},
                "fill": {"value": "var(--accent)"},
                "fillOpacity": {"signal": "drag ? 0.15 : 0"},
            }
        },
    }
