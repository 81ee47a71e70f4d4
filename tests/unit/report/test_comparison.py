"""All pairs at once, as one by one."""

import itertools

import numpy as np
import pytest

from distillery.evaluation import scores
from distillery.report.comparison import Comparison


@pytest.mark.parametrize("seeds", [1, 3])
def test_all_pairs_together_have_the_p_of_each_alone(seeds):
    draw = np.random.default_rng(0)
    keys = [(seed, model) for seed in range(seeds) for model in range(4)]
    cells = {
        (f"m{i}", "real"): dict(zip(keys, draw.uniform(0.2, 0.9, len(keys)))) for i in range(5)
    }
    # One that was measured by fewer networks, one by none of them, one like another.
    cells["few", "real"] = {key: 0.5 + 0.01 * i for i, key in enumerate(keys[:-1])}
    cells["apart", "real"] = {(9, 9): 0.5}
    cells["same", "real"] = dict(cells["m0", "real"])
    compared = Comparison(cells)
    pairs, ps = [], []
    for pair in itertools.combinations(cells, 2):
        first, second = (cells[cell] for cell in pair)
        if first.keys() & second.keys():
            p = scores.paired_difference(first, second).p
            if p is not None:
                pairs.append(pair)
                ps.append(p)
    assert compared.tested == len(pairs)
    for (first, second), p in zip(pairs, scores.holm(ps)):
        assert compared.p(first, second) == pytest.approx(p, rel=1e-9)
        assert compared.p(second, first) == compared.p(first, second)
    assert compared.p(("apart", "real"), ("m0", "real")) is None
    assert compared.p(("same", "real"), ("m0", "real")) == 1
    assert compared.units == {"set" if seeds > 1 else "network"}


def test_one_pair_of_networks_tests_nothing():
    compared = Comparison({("dc", "real"): {(0, 0): 0.5}, ("dm", "real"): {(0, 0): 0.6}})
    assert compared.tested == 0 and compared.units == set()
    assert compared.verdict(("dc", "real"), ("dm", "real")) == "untested"
