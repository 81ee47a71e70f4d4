"""The methods on one axis."""

from types import SimpleNamespace

import pandas as pd
import pytest

from distillery.report.cells import Cell
from distillery.report.results import Results
from distillery.report.sections import ladder, sources


@pytest.mark.parametrize(("batch", "value"), [(1, 60.0), (256, None)])
def test_a_figure_of_another_protocol_has_no_mark_on_the_axis(batch, value):
    row = pd.Series({"dataset": "MNIST", "method": "dc", "init": "real", "ipc": 10, "seed": 0})
    cell = Cell.of(row)
    settings = {"epochs": 20, "batch": batch}
    results = SimpleNamespace(
        headers={cell: {}},
        factor=lambda cell: Results.factor(results, cell),
        jobs_of=lambda *_: [{"network": "ResNet18", "settings": settings}],
        sets_of=lambda _: [],
        classes=lambda _: list("0123456789"),
    )
    row["network"] = "ResNet18"
    _, course = ladder._figures(results, sources.Sources(), row)
    assert (course and course["value"]) == value
