"""Scores against values worked out by hand, and intervals against a table of Student's t."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.evaluation.scores import (
    augmentation_robust_score,
    convergence,
    holm,
    label_robust_score,
    paired_difference,
)

SCORES = [label_robust_score, augmentation_robust_score]
FRACTION = st.floats(0, 1)


# ---- robust scores -------------------------------------------------------------------------------


def test_the_label_robust_score_is_the_published_formula():
    # IOR 0.2, HLR 0.5, alpha 0.1 - 0.25 = -0.15: (0.860708 - 0.367879) / 2.350402
    assert label_robust_score(0.5, 0.3, 0.9, 0.4) == pytest.approx(0.209678, abs=1e-6)
    # alpha 0.8 x 0.2 - 0.2 x 0.5 = 0.06: (1.061837 - 0.367879) / 2.350402
    assert label_robust_score(0.5, 0.3, 0.9, 0.4, w=0.8) == pytest.approx(0.295251, abs=1e-6)


def test_the_augmentation_robust_score_is_the_published_formula():
    # beta 0.5 x 0.1 - 0.5 x 0.2 = -0.05: (0.951229 - 0.367879) / 2.350402
    assert augmentation_robust_score(0.6, 0.5, 0.4, 0.6) == pytest.approx(0.248192, abs=1e-6)
    # beta 0.9 x 0.1 - 0.1 x 0.2 = 0.07: (1.072508 - 0.367879) / 2.350402
    assert augmentation_robust_score(0.6, 0.5, 0.4, 0.6, gamma=0.9) == pytest.approx(
        0.299791, abs=1e-6
    )


@pytest.mark.parametrize("score", SCORES)
def test_a_score_is_one_above_e_where_all_is_equal_and_ends_at_0_and_1(score):
    assert score(0.37, 0.37, 0.37, 0.37) == pytest.approx(1 / (1 + math.e), rel=1e-12)
    best, worst = (
        ((1, 0, 0, 1), (0, 1, 1, 0))
        if score is label_robust_score
        else ((1, 0, 1, 0), (0, 1, 0, 1))
    )
    assert score(*best) == pytest.approx(1, abs=1e-15) and score(*worst) == pytest.approx(
        0, abs=1e-15
    )


@pytest.mark.slow
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("place", range(4))
@given(values=st.tuples(*[FRACTION] * 4), more=st.floats(1e-3, 1))
def test_a_score_rises_with_the_set_s_accuracies_and_falls_with_what_it_is_compared_with(
    score, place, values, more
):
    raised = list(values)
    raised[place] = min(1.0, values[place] + more)
    rises = place in ((0, 3) if score is label_robust_score else (0, 2))
    step = score(*raised) - score(*values)
    if raised[place] - values[place] < 1e-4:
        assert abs(step) < 1e-3
    else:
        assert step > 0 if rises else step < 0


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("value", [-0.01, 1.01, 56.0, math.nan])
def test_percent_and_what_is_no_accuracy_is_refused(score, value):
    for place in range(5):
        values = [0.5] * 5
        values[place] = value
        with pytest.raises(UserError, match="fractions from 0 to 1"):
            score(*values)


# ---- pairs ---------------------------------------------------------------------------------------


def accuracies(differences, base=0.5):
    """Two methods whose networks differ by ``differences`` {seed: [...]}; a network's own level
    varies much more than that."""
    level = {
        (seed, model): base + 0.3 * math.sin(7 * seed + 3 * model)
        for seed, values in differences.items()
        for model in range(len(values))
    }
    first = {key: level[key] + differences[key[0]][key[1]] for key in level}
    return first, level


def test_with_several_sets_the_interval_is_over_their_means():
    first, second = accuracies({0: [0.02, 0.04], 1: [0.05, 0.05], 2: [0.00, 0.02]})
    found = paired_difference(first, second)
    # Means 0.03, 0.05, 0.01: deviation 0.02; t of 2 degrees of freedom is 4.3027.
    reach = 4.3027 * 0.02 / math.sqrt(3)
    assert (found.difference, found.low, found.high) == pytest.approx(
        (0.03, 0.03 - reach, 0.03 + reach), abs=1e-6
    )
    assert (found.unit, found.sets, found.networks, found.left_out, found.confidence) == (
        "set",
        3,
        6,
        0,
        0.95,
    )
    # t = 0.03 / (0.02 / √3) = 2.598: for 2 degrees of freedom p = 1 − t / √(t² + 2).
    assert found.p == pytest.approx(1 - 2.598076 / math.sqrt(2.598076**2 + 2), abs=1e-6)
    narrower = paired_difference(first, second, confidence=0.9)
    assert narrower.high - narrower.difference == pytest.approx(
        2.9200 * 0.02 / math.sqrt(3), abs=1e-6
    )


def test_networks_of_one_set_are_no_replicates_of_the_method():
    """Ten networks on each of two sets that disagree tell no more than the two sets do."""
    few, many = (
        paired_difference(*accuracies({0: [0.10] * count, 1: [0.02] * count})) for count in (1, 10)
    )
    assert (few.low, few.high) == pytest.approx((many.low, many.high)) and many.p > 0.05
    assert (few.networks, many.networks) == (2, 20) and few.unit == many.unit == "set"


def test_with_one_set_the_interval_is_over_its_networks():
    found = paired_difference(*accuracies({4: [0.01, 0.02, 0.03, 0.04]}))
    # Deviation 0.0129099; t of 3 degrees of freedom is 3.1824.
    reach = 3.1824 * 0.0129099 / 2
    assert (found.difference, found.low, found.high) == pytest.approx(
        (0.025, 0.025 - reach, 0.025 + reach), abs=1e-6
    )
    assert (found.unit, found.sets, found.networks) == ("network", 1, 4) and found.p < 0.05


def test_one_pair_shows_nothing_however_far_apart():
    found = paired_difference({(0, 0): 0.9}, {(0, 0): 0.1})
    assert (
        found.difference == pytest.approx(0.8)
        and (found.low, found.high) == (-math.inf, math.inf)
        and found.p is None
    )


def test_the_order_of_the_rows_is_nothing_and_the_order_of_the_methods_is_the_sign():
    first, second = accuracies({0: [0.02, 0.04], 1: [0.05, 0.06], 2: [0.01, 0.02]})
    found = paired_difference(first, second)
    keys = list(first)
    random.Random(0).shuffle(keys)
    assert paired_difference({key: first[key] for key in keys}, second) == found
    back = paired_difference(second, first)
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-found.difference, -found.high, -found.low)
    )


def test_only_networks_of_the_same_seed_and_number_count_and_the_others_are_reported():
    first, second = accuracies({0: [0.01, 0.02, 0.03], 1: [0.02, 0.03, 0.04]})
    whole = paired_difference(first, second)
    more = {**second, (0, 7): 0.0, (5, 0): 1.0}
    found = paired_difference(first, more)
    assert found.left_out == 2
    assert (found.difference, found.low, found.sets, found.networks) == (
        whole.difference,
        whole.low,
        whole.sets,
        whole.networks,
    )
    # Without its partner a network is gone: the mean of seed 0 is that of the two others.
    del more[0, 2]
    found = paired_difference(first, more)
    assert (found.left_out, found.networks) == (3, 5) and found.difference == pytest.approx(
        (0.015 + 0.03) / 2
    )


def test_pairing_sees_what_the_networks_own_spread_hides():
    first, second = accuracies({0: [0.010, 0.012, 0.011, 0.009, 0.010]})
    assert paired_difference(first, second).p < 0.05
    moved = dict(zip(second, itertools.islice(itertools.cycle(second.values()), 1, 6)))
    assert paired_difference(first, moved).p > 0.05


@pytest.mark.parametrize(
    ("first", "second", "confidence", "told"),
    [
        ({(0, 0): 0.5}, {(0, 1): 0.5}, 0.95, "nothing to compare in pairs"),
        ({}, {}, 0.95, "nothing to compare in pairs"),
        ({(0, 0): 50.0}, {(0, 0): 0.5}, 0.95, "fractions from 0 to 1"),
        ({(0, 0): 0.5}, {(0, 0): 0.5}, 95, "confidence lies between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(first, second, confidence, told):
    with pytest.raises(UserError, match=told):
        paired_difference(first, second, confidence)


def test_equal_differences_are_certain_and_no_difference_is_none():
    assert paired_difference({(0, 0): 0.75, (0, 1): 0.5}, {(0, 0): 0.5, (0, 1): 0.25}).p == 0
    assert paired_difference({(0, 0): 0.75, (0, 1): 0.5}, {(0, 0): 0.75, (0, 1): 0.5}).p == 1


def test_p_and_the_interval_agree_on_where_5_percent_lies():
    first, second = accuracies({seed: [0.01 * seed, 0.02] for seed in range(6)})
    found = paired_difference(first, second)
    edge = paired_difference(first, second, confidence=1 - found.p)
    assert 0 < found.p < 0.05 and edge.low == pytest.approx(0, abs=1e-9)


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    # 0.01 × 4, 0.02 × 3, 0.03 × 2 = 0.06 which is no less than 0.06, 0.5 × 1.
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.04, 0.045]) == pytest.approx([0.08, 0.08]), "the second is not below the first"
    assert holm([0.9, 0.8]) == [1, 1] and holm([0.03]) == [0.03] and holm([]) == []


@pytest.mark.slow
@given(ps=st.lists(FRACTION, max_size=12))
def test_holm_never_calls_more_significant_than_plain_p_nor_less_than_bonferroni(ps):
    found = holm(ps)
    assert all(p <= q <= min(1, len(ps) * p) + 1e-12 for p, q in zip(ps, found, strict=True))
    assert sorted(range(len(ps)), key=lambda i: (found[i], ps[i])) == sorted(
        range(len(ps)), key=lambda i: ps[i]
    )


# ---- convergence ---------------------------------------------------------------------------------

# As measured on the digits, at the rate that falls to a tenth after half of the epochs; ConvNet
# reaches 99.4 %, MLP 97.2 % in 200 epochs.
CONVNET_10 = {
    1: 0.5746,
    2: 0.7859,
    3: 0.8254,
    4: 0.8845,
    5: 0.8986,
    6: 0.9127,
    7: 0.9155,
    8: 0.9155,
    9: 0.9155,
    10: 0.9155,
}
MLP_10 = {
    1: 0.1549,
    2: 0.3465,
    3: 0.6169,
    4: 0.7746,
    5: 0.8225,
    6: 0.8423,
    7: 0.8423,
    8: 0.8423,
    9: 0.8479,
    10: 0.8507,
}
MLP_50 = {
    10: 0.8817,
    15: 0.9155,
    20: 0.9437,
    25: 0.9493,
    30: 0.9549,
    35: 0.9577,
    40: 0.9577,
    45: 0.9577,
    50: 0.9577,
}
MLP_100 = {
    25: 0.9493,
    30: 0.9521,
    40: 0.9606,
    50: 0.9662,
    60: 0.9662,
    75: 0.9662,
    80: 0.9662,
    90: 0.9662,
    100: 0.9662,
}


@pytest.mark.parametrize(
    ("test", "last", "state"),
    [
        (CONVNET_10, 0.9216, "moving"),
        (MLP_10, 0.8405, "moving"),
        (MLP_50, 0.966, "moving"),
        (MLP_100, 0.9854, "converged"),
    ],
)
def test_a_training_that_was_cut_off_is_reported_though_its_last_stretch_stands_still(
    test, last, state
):
    found = convergence(test, {max(test): last})
    assert (found.state, found.epochs, found.half) == (state, max(test), max(test) // 2)
    assert found.before == test[found.half] and found.after <= max(test.values()) + 1e-9


def test_a_network_that_fits_its_training_images_has_converged():
    assert convergence(CONVNET_10, {10: 0.989}).state == "moving"
    assert convergence(CONVNET_10, {10: 0.99}).state == "converged"


def test_a_rise_within_the_noise_is_none():
    noisy = {epoch: 0.8 + 0.02 * (-1) ** epoch for epoch in range(1, 21)}
    assert convergence({**noisy, 10: 0.79}, {20: 0.9}).state == "converged"
    assert convergence({**noisy, 10: 0.70}, {20: 0.9}).state == "moving"


def test_without_a_curve_nothing_is_said():
    assert (
        convergence({}, {}).state == "unknown"
        and convergence({3: 0.9}, {3: 0.9}).state == "unknown"
    )
    assert convergence({3: 0.9}, {3: 0.995}).state == "converged"
    assert convergence({1: 0.5, 2: 0.6}, {2: 0.6}).state == "moving"
    # What was measured before the first epoch is no part of the training.
    assert convergence({0: 0.1, 3: 0.9}, {3: 0.9}).state == "unknown"
