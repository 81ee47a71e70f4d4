"""Where the figures come from, as the page says it."""

import numpy as np
import pytest

from distillery.report.sections import provenance

HEADER = {"dataset": "digits", "method": "dm", "init": "mine", "ipc": 2, "seed": 0}


class Names:
    """What the section asks of the results to name a set."""

    title = staticmethod(str.title)

    @staticmethod
    def name(method: str, init: str) -> str:
        return f"{method.upper()}, {init}"


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (None, "seed 0"),
        (
            {
                "name": "mine",
                "images": "0123456789abcdef",
                "of": {"method": "dc", "init": "real", "ipc": 10},
            },
            "seed 0; mine is the set 0123456789ab, dc from real, 10 images per class",
        ),
        (
            {"name": "mine", "images": "0123456789abcdef", "of": None},
            "seed 0; mine is the set 0123456789ab",
        ),
    ],
)
def test_a_set_says_what_it_started_from(start, words):
    header = HEADER if start is None else {**HEADER, "start": start}
    row = provenance._set(Names(), {"images": np.zeros((20, 1, 8, 8))}, header)
    assert row["what"].endswith(f", DM, mine, 2 images per class, {words}")
