"""The verdict on accuracies made by hand, and on data whose answer is known."""

import numpy as np
import pytest

import distillery
from distillery.evaluation import verdict
from distillery.evaluation.verdict import judge


def cell(level, *, seeds=3, models=2, spread=0.01):
    """Accuracies by (seed, model) about a level."""
    return {
        (seed, model): level + spread * (seed - 1) + 0.002 * model
        for seed in range(seeds)
        for model in range(models)
    }


def judged(validation, test, distilled=("dm", "dc")):
    return judge(
        {name: cell(level) for name, level in validation.items()},
        {name: cell(level) for name, level in test.items()},
        set(distilled),
    )


def test_each_side_s_best_is_chosen_on_validation_and_compared_on_test_images():
    found = judged(
        {"dm": 0.60, "dc": 0.61, "random": 0.50, "herding": 0.52},
        {"dm": 0.70, "dc": 0.58, "random": 0.65, "herding": 0.51},
    )
    assert (found.distilled, found.opponent, found.among) == ("dc", "herding", (2, 2))
    assert found.difference.difference == pytest.approx(0.07), "not what tests best on either side"
    assert found.difference.unit == "set" and found.difference.networks == 6


@pytest.mark.parametrize(
    "ours, theirs, answer", [(0.6, 0.5, verdict.PAYS), (0.5, 0.6, verdict.DOES_NOT_PAY)]
)
def test_a_difference_beyond_its_interval_is_an_answer_in_either_direction(ours, theirs, answer):
    values = {"dm": ours, "random": theirs}
    found = judged(values, values)
    assert found.answer == answer


def test_an_interval_that_holds_0_decides_nothing():
    varied = {(0, 0): 0.5, (1, 0): 0.7, (2, 0): 0.6}
    steady = {(0, 0): 0.58, (1, 0): 0.6, (2, 0): 0.56}
    found = judge({"dm": varied, "random": steady}, {"dm": varied, "random": steady}, {"dm"})
    assert found.difference.low < 0 < found.difference.high and found.answer == verdict.UNDECIDED


def test_one_pair_of_networks_is_no_test():
    one = {"dm": {(0, 0): 0.9}, "random": {(0, 0): 0.1}}
    assert judge(one, one, {"dm"}).answer == verdict.UNTESTED


@pytest.mark.parametrize("distilled", [(), ("dm", "random")])
def test_without_two_sides_there_is_no_verdict(distilled):
    assert judged({"dm": 0.5, "random": 0.5}, {"dm": 0.5, "random": 0.5}, distilled) is None


def test_what_was_not_measured_on_validation_images_cannot_be_chosen():
    test = {"dm": cell(0.5), "dc": cell(0.9), "random": cell(0.4)}
    found = judge({"dm": cell(0.5), "random": cell(0.4)}, test, {"dm", "dc"})
    assert found.distilled == "dm" and found.among == (1, 1)
    assert judge({}, test, {"dm", "dc"}) is None


def test_sets_of_different_seeds_are_not_compared():
    first, second = {(0, 0): 0.5}, {(1, 0): 0.5}
    values = {"dm": first, "random": second}
    assert judge(values, values, {"dm"}) is None


# ---- data whose answer is known ------------------------------------------------------------------

CLASSES, SIDE = 3, 8
SMALL = {"ConvNet": {"width": 8, "depth": 1}}
SEEDS = range(3)


def drawn(kind, count, seed):
    """Images (N, 8, 8) in [0, 1] and labels: each class one point, the same with much noise, or
    noise under labels that mean nothing."""
    generator = np.random.default_rng([seed, count])
    labels = np.arange(CLASSES).repeat(count)
    points = np.random.default_rng(7).uniform(0.35, 0.65, (CLASSES, SIDE, SIDE))
    noise = {"points": 0.0, "noisy": 0.25, "meaningless": 0.25}[kind]
    images = points[labels if kind != "meaningless" else labels * 0]
    images = np.clip(images + noise * generator.standard_normal(images.shape), 0, 1)
    return images.astype(np.float32), labels


def by_network(synthetic, kind, count, seed):
    """Accuracies by number of the network of a set on images that it was not made from."""
    table = distillery.evaluate(
        synthetic,
        *drawn(kind, count, seed),
        networks=SMALL,
        models=2,
        epochs=40,
        augment="none",
        progress=False,
    )
    return table["accuracy"].tolist()


def verdict_on(kind):
    real = drawn(kind, 100, 0)
    validation, test = {}, {}
    for method in ("dm", "random", "herding"):
        for seed in SEEDS:
            common = {"ipc": 1, "network": SMALL, "seed": seed, "progress": False}
            synthetic = (
                distillery.distil(
                    *real, method, iterations=40, batch_real=100, lr_images=1.0, **common
                )
                if method == "dm"
                else distillery.baseline(*real, method, **common)
            )
            for values, count in ((validation, 30), (test, 100)):
                accuracies = by_network(synthetic, kind, count, 1 + count)
                values.setdefault(method, {}).update(
                    {(seed, model): value for model, value in enumerate(accuracies)}
                )
    return judge(validation, test, {"dm"})


@pytest.mark.slow
def test_where_each_class_is_one_point_a_real_image_is_as_good():
    found = verdict_on("points")
    assert found.answer in (verdict.UNDECIDED, verdict.DOES_NOT_PAY)
    assert abs(found.difference.difference) < 0.02


@pytest.mark.slow
def test_where_the_mean_of_many_noisy_images_is_best_distillation_pays():
    found = verdict_on("noisy")
    assert found.answer == verdict.PAYS and found.difference.difference > 0.05


@pytest.mark.slow
def test_where_labels_mean_nothing_nobody_wins():
    found = verdict_on("meaningless")
    assert found.answer == verdict.UNDECIDED
