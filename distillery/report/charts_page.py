"""Charts on the page: their places in its HTML, their data, and the script that draws them."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from distillery.report import charts_vega
from distillery.report.charts import Chart, swatch

FOLDER = Path(__file__).with_name("templates")
TEMPLATE, SCRIPT, STYLE = (FOLDER / f"charts.{kind}" for kind in ("html.jinja", "js", "css"))


class Board:
    """The charts of one page, in the order in which its template places them.

    Args:
        environment: of the page.
        template: of charts that share a legend.
        script: what draws them.
    """

    def __init__(self, environment: jinja2.Environment, template: str, script: str) -> None:
        self._template, self._script = environment.from_string(template), script
        self._specs: list[str] = []  # JSON, a tenth of what it is as dictionaries

    def place(self, charts: Sequence[Chart], note: str = "") -> Markup:
        """Return charts that share a legend, as HTML: pictures where no script runs."""
        lines = {one.label: one.look for chart in charts for one in reversed(chart.series)}
        named = {one.label: "" for chart in charts for one in chart.series}
        items = [{"svg": Markup(swatch(lines[label])), "label": label} for label in named]
        drawn = []
        for chart in charts:
            drawn.append(
                {
                    "number": len(self._specs),
                    "about": chart,
                    "lines": ", ".join(dict.fromkeys(one.label for one in chart.series)),
                    "still": Markup(charts_vega.still(chart)),
                }
            )
            spec = {
                "name": _file_name(f"{chart.where} {chart.title}"),
                "x": chart.x_label,
                "spec": charts_vega.spec(chart),
            }
            self._specs.append(charts_vega.compact(spec))
        return Markup(self._template.render(legend=items, charts=drawn, note=note))

    def script(self) -> Markup:
        """Return what draws the charts placed so far: nothing where there are none."""
        if not self._specs:
            return Markup("")
        data = charts_vega.pack(f"[{','.join(self._specs)}]")
        return Markup(
            f'<script type="text/plain" id="chart-data">{data}</script>\n'
            f"<!-- {charts_vega.licence()} -->\n"
            f'<script type="text/plain" id="chart-library">{charts_vega.library()}</script>\n'
            f"<script>\n{self._script}</script>\n"
        )


def _file_name(text: str) -> str:
    """Return text as the name of a saved file."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in text.lower())
    return "-".join(part for part in kept.split("-") if part)
