"""Balanced accuracy and AUROC on the page."""

import pytest

from tests.unit.report.made import rows_of, section


@pytest.mark.slow
def test_each_set_s_mean_and_deviation_stand_beside_its_accuracy(study, tmp_path):
    rows = [
        row
        for measure, low in {"accuracy": 0.9, "balanced_accuracy": 0.5, "auroc": 0.6}.items()
        for row in rows_of("dc", "real", {0: [low, low + 0.02], 1: [low + 0.04] * 2}, measure)
        + rows_of("whole", "", {None: [low + 0.05]}, measure)
    ]
    lines, text = section(study, tmp_path, "imbalance", rows)
    assert lines[1:] == [
        # The population's deviation of 0, 2, 4 and 4 points is the root of 2.75.
        "DC, real images 1 92.50 ± 1.66 52.50 ± 1.66 62.50 ± 1.66 2 × 2",
        "Full training set all 95.00 55.00 65.00 1 × 1",
    ]
    assert "answering with the largest" in text


@pytest.mark.slow
def test_a_network_without_a_curve_leaves_a_dash(study, tmp_path):
    rows = [
        row
        for measure in ("accuracy", "balanced_accuracy")
        for row in rows_of("dc", "real", {0: [0.5]}, measure)
    ]
    lines, _ = section(study, tmp_path, "imbalance", rows)
    assert lines[1] == "DC, real images 1 50.00 50.00 – 1 × 1"


def test_where_accuracy_does_not_mislead_there_is_no_such_section(page):
    assert 'id="imbalance"' not in page
