"""Curves."""

import pytest

from tests.unit.report.made import SETS, SETTLED, curve_of, section, text_of


@pytest.mark.slow
def test_curves_say_of_how_many_networks_they_are(study, page, tmp_path):
    rows = SETS + [
        {**row, "epoch": e, "split": split}
        for row in SETS
        for e in (1, 2)
        for split in ("train", "test")
        if split == "train" or row["model"] == 0
    ]
    _, text = section(study, tmp_path, "curves", rows + curve_of(SETTLED, 0.97))
    assert "Thick: test, 1 network per set; thin: training images, 3 networks per set." in text
    assert "Thick: test, 1 network; thin: training images, 1 network." in text
    assert "Thick: test, 2 networks per set; thin: validation, 2 networks per set." in text_of(
        page
    ), "snapshots"
