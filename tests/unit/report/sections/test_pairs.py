"""Methods compared in pairs."""

import re

import pandas as pd
import pytest

from distillery.store.metrics import COLUMNS
from tests.unit.report.made import LEVEL, above, built, rows_of, section


@pytest.mark.slow
def test_methods_are_compared_in_pairs_of_networks(study, tmp_path):
    rows = (
        rows_of("dc", "real", above(7, 8, 9))
        + rows_of("dc", "noise", above(1, -3, 2))
        + rows_of("random", "real", LEVEL)
    )
    rows += rows_of("herding", "real", {0: [0.6]}) + rows_of("whole", "", {None: [0.99]})
    lines, text = section(study, tmp_path, "pairs", rows[::-1])
    assert lines[0].startswith("set against points 95 % interval p (Holm) verdict")
    # Herding has one network of one set: with it nothing can be tested, and three pairs are left.
    assert lines[1] == "1 image per class, p by Holm for 3 pairs"
    # Deviation 1 point over 3 sets, t of 2 degrees of freedom 4.3027: 8 ± 2.48. t 13.86, p 1 − t /
    # √(t² + 2) = 0.0052, times 3.
    assert "DC, real images Random +8.00 +5.52 to +10.48 0.016 significantly better 3 × 2" in lines
    # 6, 11, 7: deviation 2.646, reach 4.3027 x 2.646 / 1.732 = 6.57. p 0.0346, times 2: the
    # interval alone would call it shown.
    assert (
        "DC, real images DC, Gaussian noise +8.00 +1.43 to +14.57 0.069 not significant 3 × 2"
        in lines
    )
    # 1, −3, 2: mean 0, the same deviation.
    assert "DC, Gaussian noise Random +0.00 −6.57 to +6.57 1.00 not significant 3 × 2" in lines
    # The others of DC have no partner.
    untested = "– – one pair of networks: not tested 1 × 1 5 without a partner left out"
    assert f"DC, real images Herding −3.00 {untested}" in lines
    assert len(lines) == 2 + 4, "each pair once, and the full training set in none"
    assert "Whole" not in text and not re.search(r"\b(nan|inf)\b", text)


@pytest.mark.slow
def test_one_set_speaks_of_itself_only_and_a_worse_first_is_called_worse(study, tmp_path):
    one = {0: [0.50, 0.52, 0.54]}
    rows = (
        rows_of("dc", "real", {0: [0.42, 0.45, 0.45]})
        + rows_of("mtt", "real", one)
        + rows_of("random", "real", {0: [0.48, 0.50, 0.56]})
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    # Differences 8, 7, 9: deviation 1, t of 2 degrees of freedom 4.3027, reach 2.48.
    assert (
        "MTT, real images DC, real images +8.00 +5.52 to +10.48 0.016 significantly better 1 × 3 "
        "of this one set only" in lines
    )
    # Differences −6, −5, −11: deviation 3.215, reach 7.99: not shown; without the third network −6,
    # −5 would be worse yet.
    assert (
        "DC, real images Random −7.33 −15.32 to +0.65 0.12 not significant 1 × 3 of this one set "
        "only" in lines
    )
    rows = (
        rows_of("dc", "real", {0: [0.42, 0.45, 0.44]})
        + rows_of("mtt", "real", one)
        + rows_of("random", "real", {0: [0.48, 0.50, 0.50]})
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    # −6, −5, −6: deviation 0.577, reach 1.43. t 17, p 0.0034, times 3.
    assert (
        "DC, real images Random −5.67 −7.10 to −4.23 0.010 significantly worse 1 × 3 of this one "
        "set only" in lines
    )


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "said"), [(300, False), (1000, True)])
def test_pairs_that_were_trained_by_different_recipes_are_reported(study, tmp_path, epochs, said):
    rows = rows_of("dc", "real", above(7, 8, 9)) + rows_of("random", "real", LEVEL)
    job = {
        "rule": "evaluate_synthetic",
        "dataset": "MNIST",
        "init": "real",
        "ipc": 1,
        "network": "ConvNet",
        "seconds": 1.0,
    }
    recipe = {"epochs": 300, "lr": 0.01, "batch": 256, "curve": 0}
    other = {**recipe, "epochs": epochs, "curve": 9}
    costs = [
        {**job, "method": method, "seed": 0, "settings": settings}
        for method, settings in (("dc", recipe), ("random", other))
    ]
    lines, _ = section(study, tmp_path, "pairs", rows, costs=costs)
    found = next(line for line in lines if line.startswith("DC, real images Random"))
    assert ("networks trained by different recipes" in found) == said


@pytest.mark.slow
def test_sets_with_different_numbers_of_networks_are_counted_in_words(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5, 0.5], 1: [0.6]}) + rows_of(
        "random", "real", {0: [0.4, 0.4], 1: [0.4]}
    )
    lines, _ = section(study, tmp_path, "pairs", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    lines, _ = section(study, tmp_path, "accuracy", rows)
    assert any("2 sets, 3 networks" in line for line in lines)
    assert "n sets × networks" in lines[0]


@pytest.mark.slow
def test_nothing_in_common_is_compared_nowhere(study, tmp_path):
    rows = rows_of("dc", "real", {0: [0.5]}) + rows_of("random", "real", {1: [0.4]})
    page = built(
        study,
        tmp_path / "r.html",
        metrics=pd.DataFrame(rows).reindex(columns=list(COLUMNS)),
        sets=[],
        evolutions=[],
    )
    assert 'id="pairs"' not in page and 'id="robustness"' not in page
