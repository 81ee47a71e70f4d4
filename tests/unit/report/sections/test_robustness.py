"""Robust scores."""

import pytest

from tests.unit.report.made import ROBUST, robust_cells, robust_rows, rows_of, section


@pytest.mark.slow
def test_robust_scores_are_of_each_set_s_means_and_spread_over_sets(study, tmp_path):
    rows = robust_rows("dc", "real", ROBUST) + rows_of("whole", "", {None: [0.9]})
    cost = {
        "rule": "evaluate_robust",
        "dataset": "MNIST",
        "network": "ConvNet",
        "settings": {"augment": "none", "robust": {"augment": "dsa", "models": 2}},
    }
    lines, text = section(study, tmp_path, "robustness", rows, costs=[cost])
    # Set 0: IOR 0.2, HLR 0.5, α −0.15: 20.968; set 1: IOR 0, HLR 0.5, α −0.25: (0.778801 −
    # 0.367879) / 2.350402 = 17.483. Set 0: β 0.05 − 0.1 = −0.05: 24.819; set 1: β 0.05: (1.051271 −
    # 0.367879) / 2.350402 = 29.076.
    assert (
        lines[1] == "DC, real images 1 19.23 ± 1.74 +10.00 −50.00 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    )
    assert len(lines) == 2 and "Augmentation: dsa." in text


@pytest.mark.slow
def test_without_the_full_training_set_there_is_no_label_robust_score(study, tmp_path):
    lines, text = section(study, tmp_path, "robustness", robust_rows("mtt", "noise", ROBUST))
    assert lines[1] == "MTT, Gaussian noise 1 – +10.00 – 26.95 ± 2.13 +10.00 −10.00 2 × 2"
    assert "there is no label-robust score" in text and "Augmentation:" not in text


@pytest.mark.slow
def test_one_set_s_score_carries_the_spread_of_its_networks(study, tmp_path):
    one = {measure: {0: values[0]} for measure, values in ROBUST.items()}
    lines, text = section(
        study,
        tmp_path,
        "robustness",
        robust_rows("dc", "real", one) + rows_of("whole", "", {None: [0.9]}),
    )
    # Its networks alone: α 0.1 − 0.3 = −0.2: 19.182; α 0.1 − 0.2 = −0.1: 22.845. Of the other score
    # both are equal.
    assert (
        lines[1] == "DC, real images 1 20.97 ± 1.83 +20.00 −50.00 24.82 ± 0.00 +10.00 −20.00 1 × 2"
    )
    assert (
        "with a single set over its networks, and of that set only" in text and "tell" not in text
    ), "one set is told apart from none"
    assert "Full training set: 90.0 % (one network)." in text


@pytest.mark.slow
def test_robust_scores_that_cannot_tell_the_sets_apart_are_said_to(study, tmp_path):
    _, text = section(study, tmp_path, "robustness", robust_cells(0.0001))
    how = "paired t over the networks of one set each, Holm for 3 pairs"
    for kind in ("label", "augmentation"):
        assert (
            f"At 1 image per class the {kind}-robust scores cannot tell the sets apart: none of 3 "
            f"pairs differs significantly ({how})." in text
        )
    _, text = section(study, tmp_path, "robustness", robust_cells(0.05))
    best = "the highest, of MTT from real images, is significantly above all others."
    assert (
        f"At 1 image per class the label-robust scores tell 3 of 3 pairs apart ({how}); {best}"
        in text
    )
    _, text = section(study, tmp_path, "robustness", robust_cells(0.05, networks=1))
    assert (
        "At 1 image per class the label-robust scores are of one network each: they have no "
        "spread, and nothing tells the sets apart." in text
    )
