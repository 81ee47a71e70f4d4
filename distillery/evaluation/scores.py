"""Fair judgement: scores that take labels and augmentation out of a comparison, the paired
difference of two methods, and whether a training had converged.

Accuracies are fractions throughout.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from distillery.errors import UserError


def label_robust_score(
    set_own: float, random_same_labels: float, whole_hard: float, set_hard: float, w: float = 0.5
) -> float:
    """Compute DD-Ranking's label-robust score (arXiv 2505.13300): what a set is worth once its
    labels' share is taken out.

    HLR = ``whole_hard`` − ``set_hard`` (hard label recovery), IOR = ``set_own`` −
    ``random_same_labels`` (improvement over random), α = w·IOR − (1 − w)·HLR, and the score is (e^α
    − e^−1)/(e − e^−1).

    Args:
        set_own: accuracy of networks trained on the set with its own labels, hard or soft.
        random_same_labels: the same on random real images under the same labels.
        whole_hard: on the full training set.
        set_hard: on the set with hard labels.
        w: the weight of the improvement over random, in [0, 1].

    Returns:
        0 to 1, higher is better; 0.269 for a set that is neither above random images nor below the
        full training set.

    Raises:
        UserError: an accuracy or ``w`` is outside [0, 1].
    """
    _fractions(set_own, random_same_labels, whole_hard, set_hard, w)
    return _normalised(w * (set_own - random_same_labels) - (1 - w) * (whole_hard - set_hard))


def augmentation_robust_score(
    set_augmented: float,
    random_augmented: float,
    set_plain: float,
    random_plain: float,
    gamma: float = 0.5,
) -> float:
    """Compute DD-Ranking's augmentation-robust score (arXiv 2505.13300; defined in that project's
    introduction, "Augmentation-Robust Score"): how far a set is above random images with
    augmentation and without.

    β = γ·(``set_augmented`` − ``random_augmented``) + (1 − γ)·(``set_plain`` − ``random_plain``),
    and the score is (e^β − e^−1)/(e − e^−1).

    Args:
        set_augmented: accuracy of networks trained on the set with augmentation.
        random_augmented: the same on as many random real images.
        set_plain: on the set without augmentation.
        random_plain: on the random images without augmentation.
        gamma: the weight of the difference with augmentation, in [0, 1].

    Returns:
        0 to 1, higher is better; 0.269 for a set that is worth what random images are.

    Raises:
        UserError: an accuracy or ``gamma`` is outside [0, 1].
    """
    _fractions(set_augmented, random_augmented, set_plain, random_plain, gamma)
    return _normalised(
        gamma * (set_augmented - random_augmented) + (1 - gamma) * (set_plain - random_plain)
    )


def _fractions(*values: float) -> None:
    for value in values:
        if not 0 <= value <= 1:  # nor is NaN
            raise UserError(
                f"scores: accuracies and weights are fractions from 0 to 1, not {value}"
            )


def _normalised(x: float) -> float:
    """Map [−1, 1] to [0, 1]."""
    return (math.exp(x) - math.exp(-1)) / (math.e - math.exp(-1))


@dataclass(frozen=True)
class PairedDifference:
    """How far a first method is above a second one, measured in pairs.

    Attributes:
        difference: mean of first − second, a fraction.
        low, high: the confidence interval; infinite where there is one unit only.
        confidence: of the interval.
        unit: what the interval is over: ``set``, or ``network`` where there is one set: then it
            speaks of this set only.
        sets: how many sets (seeds) both have.
        networks: how many pairs of networks in all.
        left_out: how many accuracies of either have no partner in the other.
        p: two-sided, of Student's t: how probable so large a difference is where there is none;
            ``None`` where there is one unit only, of which nothing can be tested.
    """

    difference: float
    low: float
    high: float
    confidence: float
    unit: str
    sets: int
    networks: int
    left_out: int
    p: float | None


def paired_difference(
    first: Mapping[tuple[int, int], float],
    second: Mapping[tuple[int, int], float],
    confidence: float = 0.95,
) -> PairedDifference:
    """Compute the mean difference of two methods' accuracies on the same dataset, network and set
    size, with Student's t interval.

    Network m of seed s starts from the same parameters and sees the same order whatever the method,
    so accuracies are compared in pairs. The networks of one set are no replicates of the method:
    with two or more sets the interval is over the sets' mean differences.

    Args:
        first: accuracies of the first method by (seed, number of the network).
        second: those of the second. An accuracy that the other lacks does not count.
        confidence: in (0, 1).

    Raises:
        UserError: no network of the same seed and number in both, an accuracy that is no fraction,
            or a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise UserError(f"scores: a confidence lies between 0 and 1, not at {confidence}")
    common = sorted(first.keys() & second.keys())
    if not common:
        raise UserError(
            "scores: nothing to compare in pairs: no network of the same seed and number in both"
        )
    _fractions(*(values[key] for values in (first, second) for key in common))
    by_set: dict[int, list[float]] = {}
    for key in common:
        by_set.setdefault(key[0], []).append(first[key] - second[key])
    over_sets = len(by_set) > 1
    units = np.array(
        [np.mean(values) for values in by_set.values()]
        if over_sets
        else next(iter(by_set.values()))
    )
    mean = float(units.mean())
    reach, p = math.inf, None
    if len(units) > 1:
        error = float(units.std(ddof=1)) / math.sqrt(len(units))
        reach = float(special.stdtrit(len(units) - 1, (1 + confidence) / 2)) * error
        p = (
            2 * float(special.stdtr(len(units) - 1, -abs(mean) / error))
            if error
            else float(mean == 0)
        )
    return PairedDifference(
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        confidence=confidence,
        unit="set" if over_sets else "network",
        sets=len(by_set),
        networks=len(common),
        left_out=len(first) + len(second) - 2 * len(common),
        p=p,
    )


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family of tests for their number, by Holm (1979), in the order
    given.

    The smallest of n is multiplied by n, the next by n − 1, …, none is below one before it, none
    above 1. Calling those at most 0.05 significant, there is a false one among them with a
    probability of at most 0.05, whichever differences exist and however the tests depend on each
    other. So a pair may be picked after looking, as the best set is, where the family holds all
    pairs.
    """
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = min(1.0, max(highest, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


FITTED, RISING = 0.99, 0.005


@dataclass(frozen=True)
class Convergence:
    """Whether a training had converged at its end, by :func:`convergence`.

    Attributes:
        state: ``converged``, ``moving``, or ``unknown``.
        epochs: of the training.
        half: the epoch of the curve that the end is compared with.
        before, after: test accuracy at ``half``, and its mean over the last quarter of the epochs.
    """

    state: str
    epochs: int = 0
    half: int = 0
    before: float = math.nan
    after: float = math.nan


def convergence(test: Mapping[int, float], train: Mapping[int, float]) -> Convergence:
    """Tell by its learning curve whether a training had converged.

    It had where the network fits its training images, 99 % of them in the last epoch (what is left
    to learn is no more than noise), or where its test accuracy rose by no more than 0.5 points over
    the second half of the epochs: from the last point of the curve in the first half to the mean
    over the points of the last quarter; nor by more than twice the standard deviation of these.
    Else it was still moving.

    The second half counts, not the last stretch alone, because the learning rate falls to a tenth
    after half of the epochs: a network whose training is cut off stands still then. So does ConvNet
    on the digits, from epoch 7 of 10 on at 91.5 %, of 99.4 % that it reaches in 100 epochs. Nor
    does a loss tell: it goes on falling by a few percent long after the accuracy has settled.

    Args:
        test: accuracies by epoch, of the test images.
        train: of the training images in that epoch.
    """
    if not test:
        return Convergence("unknown")
    epochs = max(test)
    early = [epoch for epoch in test if 0 < epoch <= epochs / 2]
    if not early:
        return Convergence("converged" if train.get(epochs, 0) >= FITTED else "unknown", epochs)
    half, late = (
        max(early),
        np.array([value for epoch, value in test.items() if epoch > 0.75 * epochs]),
    )
    before, after = float(test[half]), float(late.mean())
    rising = after - before > max(RISING, 2 * float(late.std()))
    moving = rising and train.get(epochs, 0) < FITTED
    return Convergence("moving" if moving else "converged", epochs, half, before, after)
