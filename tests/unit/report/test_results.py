"""A study's results as read."""

import re

import pytest

from tests.unit.report.made import SETS, headline


@pytest.mark.slow
def test_rows_without_a_number_are_left_out(study, tmp_path):
    first, page = headline(study, tmp_path, [*SETS, {**SETS[0], "model": 9, "value": float("nan")}])
    assert "over 1 set, 3 networks" in first and not re.search(r"\bnan\b", page)
