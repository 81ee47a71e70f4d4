"""Times in words."""

import pytest

from distillery.times import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (9.94, "9.9 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_the_unit_suits_the_time(seconds, text):
    assert duration(seconds) == text
