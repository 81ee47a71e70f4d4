"""What making a set took, and when that has paid."""

import pytest

from distillery.report import effort
from tests.unit.report.made import UNKNOWN


@pytest.mark.parametrize(
    ("making", "ours", "full", "after"),
    [
        (60, 4, 10, 10),
        (61, 4, 10, 11),
        (0.1, 4, 10, 1),
        (60, 10, 10, "never"),
        (60, 11, 10, "never"),
        *UNKNOWN,
    ],
)
def test_a_set_has_paid_once_the_time_saved_exceeds_its_making(making, ours, full, after):
    assert effort.pays_after(making, ours, full) == after
