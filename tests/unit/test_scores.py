"""Scores against values worked out by hand, and intervals against a table of Student's t."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.scores import augmentation_robust_score, label_robust_score, paired_difference

SCORES = [label_robust_score, augmentation_robust_score]
FRACTION = st.floats(0, 1)


# ---- robust scores -----------------------------------------------------------------------------------------------------------------------


def test_the_label_robust_score_is_the_published_formula():
    # IOR 0.2, HLR 0.5, alpha 0.1 - 0.25 = -0.15: (0.860708 - 0.367879) / 2.350402
    assert label_robust_score(0.5, 0.3, 0.9, 0.4) == pytest.approx(0.209678, abs=1e-6)
    # alpha 0.8 x 0.2 - 0.2 x 0.5 = 0.06: (1.061837 - 0.367879) / 2.350402
    assert label_robust_score(0.5, 0.3, 0.9, 0.4, w=0.8) == pytest.approx(0.295251, abs=1e-6)


def test_the_augmentation_robust_score_is_the_published_formula():
    # beta 0.5 x 0.1 - 0.5 x 0.2 = -0.05: (0.951229 - 0.367879) / 2.350402
    assert augmentation_robust_score(0.6, 0.5, 0.4, 0.6) == pytest.approx(0.248192, abs=1e-6)
    # beta 0.9 x 0.1 - 0.1 x 0.2 = 0.07: (1.072508 - 0.367879) / 2.350402
    assert augmentation_robust_score(0.6, 0.5, 0.4, 0.6, gamma=0.9) == pytest.approx(0.299791, abs=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_a_score_is_one_above_e_where_all_is_equal_and_ends_at_0_and_1(score):
    assert score(0.37, 0.37, 0.37, 0.37) == pytest.approx(1 / (1 + math.e), rel=1e-12)
    best, worst = ((1, 0, 0, 1), (0, 1, 1, 0)) if score is label_robust_score else ((1, 0, 1, 0), (0, 1, 0, 1))
    assert score(*best) == pytest.approx(1, abs=1e-15) and score(*worst) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("place", range(4))
@given(values=st.tuples(*[FRACTION] * 4), more=st.floats(1e-3, 1))
def test_a_score_rises_with_the_set_s_accuracies_and_falls_with_what_it_is_compared_with(score, place, values, more):
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


# ---- pairs -------------------------------------------------------------------------------------------------------------------------------


def accuracies(differences, base=0.5):
    """Two methods whose networks differ by ``differences`` {seed: [...]}; a network's own level varies much more than that."""
    level = {(seed, model): base + 0.3 * math.sin(7 * seed + 3 * model) for seed, values in differences.items() for model in range(len(values))}
    first = {key: level[key] + differences[key[0]][key[1]] for key in level}
    return first, level


def test_with_several_sets_the_interval_is_over_their_means():
    first, second = accuracies({0: [0.02, 0.04], 1: [0.05, 0.05], 2: [0.00, 0.02]})
    found = paired_difference(first, second)
    # Means 0.03, 0.05, 0.01: deviation 0.02; t of 2 degrees of freedom is 4.3027.
    reach = 4.3027 * 0.02 / math.sqrt(3)
    assert (found.difference, found.low, found.high) == pytest.approx((0.03, 0.03 - reach, 0.03 + reach), abs=1e-6)
    assert (found.unit, found.sets, found.networks, found.left_out, found.confidence) == ("set", 3, 6, 0, 0.95)
    assert not found.shown
    narrower = paired_difference(first, second, confidence=0.9)
    assert narrower.high - narrower.difference == pytest.approx(2.9200 * 0.02 / math.sqrt(3), abs=1e-6)


def test_networks_of_one_set_are_no_replicates_of_the_method():
    """Ten networks on each of two sets that disagree tell no more than the two sets do."""
    few, many = (paired_difference(*accuracies({0: [0.10] * count, 1: [0.02] * count})) for count in (1, 10))
    assert (few.low, few.high) == pytest.approx((many.low, many.high)) and not many.shown
    assert (few.networks, many.networks) == (2, 20) and few.unit == many.unit == "set"


def test_with_one_set_the_interval_is_over_its_networks():
    found = paired_difference(*accuracies({4: [0.01, 0.02, 0.03, 0.04]}))
    # Deviation 0.0129099; t of 3 degrees of freedom is 3.1824.
    reach = 3.1824 * 0.0129099 / 2
    assert (found.difference, found.low, found.high) == pytest.approx((0.025, 0.025 - reach, 0.025 + reach), abs=1e-6)
    assert (found.unit, found.sets, found.networks) == ("network", 1, 4) and found.shown


def test_one_pair_shows_nothing_however_far_apart():
    found = paired_difference({(0, 0): 0.9}, {(0, 0): 0.1})
    assert found.difference == pytest.approx(0.8) and (found.low, found.high) == (-math.inf, math.inf) and not found.shown


def test_the_order_of_the_rows_is_nothing_and_the_order_of_the_methods_is_the_sign():
    first, second = accuracies({0: [0.02, 0.04], 1: [0.05, 0.06], 2: [0.01, 0.02]})
    found = paired_difference(first, second)
    keys = list(first)
    random.Random(0).shuffle(keys)
    assert paired_difference({key: first[key] for key in keys}, second) == found
    back = paired_difference(second, first)
    assert (back.difference, back.low, back.high) == pytest.approx((-found.difference, -found.high, -found.low))


def test_only_networks_of_the_same_seed_and_number_count_and_the_others_are_told():
    first, second = accuracies({0: [0.01, 0.02, 0.03], 1: [0.02, 0.03, 0.04]})
    whole = paired_difference(first, second)
    more = {**second, (0, 7): 0.0, (5, 0): 1.0}
    found = paired_difference(first, more)
    assert found.left_out == 2
    assert (found.difference, found.low, found.sets, found.networks) == (whole.difference, whole.low, whole.sets, whole.networks)
    # Without its partner a network is gone: the mean of seed 0 is that of the two others.
    del more[0, 2]
    found = paired_difference(first, more)
    assert (found.left_out, found.networks) == (3, 5) and found.difference == pytest.approx((0.015 + 0.03) / 2)


def test_pairing_sees_what_the_networks_own_spread_hides():
    first, second = accuracies({0: [0.010, 0.012, 0.011, 0.009, 0.010]})
    assert paired_difference(first, second).shown
    moved = dict(zip(second, itertools.islice(itertools.cycle(second.values()), 1, 6)))
    assert not paired_difference(first, moved).shown


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
