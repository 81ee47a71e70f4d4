"""Whether distillation pays: the best distilled set against the best of its opponents.

Both are the best of several, and the best of several by its test accuracy looks better than it is.
So each side is chosen by its accuracy on validation images, which no set was made from, and what is
said of the two is their difference on the test images, by which nothing was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from distillery.evaluation import scores

Name = TypeVar("Name")
# Accuracies by (seed, number of the network).
Accuracies = Mapping[tuple[int, int], float]

# What a verdict comes to. ``untested``: one pair of networks has no interval.
PAYS, DOES_NOT_PAY, UNDECIDED, UNTESTED = "pays", "does not pay", "undecided", "untested"


@dataclass(frozen=True)
class Verdict(Generic[Name]):
    """What is known of distillation against real images, for sets of one size.

    Attributes:
        distilled, opponent: the best of each side on the validation images.
        difference: of their test accuracies, distilled − opponent, with its interval.
        among: how many distilled sets and how many opponents there were to choose from.
        answer: ``pays`` where the interval is above 0, ``does not pay`` where it is below,
            ``undecided`` where it holds 0, ``untested`` where there is none.
    """

    distilled: Name
    opponent: Name
    difference: scores.PairedDifference
    among: tuple[int, int]

    @property
    def answer(self) -> str:
        """Return what it comes to."""
        if self.difference.p is None:
            return UNTESTED
        if self.difference.low > 0:
            return PAYS
        return DOES_NOT_PAY if self.difference.high < 0 else UNDECIDED


def judge(
    validation: Mapping[Name, Accuracies],
    test: Mapping[Name, Accuracies],
    distilled: set[Name],
) -> Verdict[Name] | None:
    """Compare the best distilled set with the best opponent.

    Args:
        validation: accuracies on validation images, by cell.
        test: those on test images.
        distilled: which cells are distilled; the others are opponents.

    Returns:
        ``None`` where a side has no set, or the two have no network in common.
    """
    known = [name for name in test if validation.get(name)]
    sides = [[name for name in known if (name in distilled) == ours] for ours in (True, False)]
    if not all(sides):
        return None
    # The first of equals, in the order of the cells.
    ours, theirs = (max(side, key=lambda name: _mean(validation[name])) for side in sides)
    if not test[ours].keys() & test[theirs].keys():
        return None
    difference = scores.paired_difference(test[ours], test[theirs])
    return Verdict(ours, theirs, difference, (len(sides[0]), len(sides[1])))


def _mean(accuracies: Accuracies) -> float:
    return sum(accuracies.values()) / len(accuracies)
