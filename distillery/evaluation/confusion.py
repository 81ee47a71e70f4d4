"""Which classes networks take for which: counts over the images that they were tested on."""

from collections.abc import Iterable

import torch
from torch import Tensor


class Confusion:
    """Counts of images by their class and by the class that a network took them for, added up over
    networks.

    Only pairs that occur are kept: a thousand classes have a million pairs, of which few do.
    """

    def __init__(self) -> None:
        self._pairs = torch.zeros(0, 3, dtype=torch.int64)

    def add(self, pairs: Tensor) -> None:
        """Add counts, (M, 3) int64, as :attr:`pairs` has them."""
        both = torch.cat([self._pairs, pairs])
        kinds, place = torch.unique(both[:, :2], dim=0, return_inverse=True)
        counts = torch.zeros(len(kinds), dtype=torch.int64).index_add_(0, place, both[:, 2])
        self._pairs = torch.cat([kinds, counts[:, None]], dim=1)

    def resumed(self, kept: Iterable[Tensor]) -> None:
        """Add what was counted before an interruption, by calls of :meth:`count`."""
        for pairs in kept:
            self.add(pairs)

    def count(self, labels: Tensor, answers: Tensor) -> Tensor:
        """Add what networks answered, and return it.

        Args:
            labels: (N,) integers, the images' classes.
            answers: (E, N) integers, what each of E networks took them for.

        Returns:
            The counts of these answers, as :attr:`pairs` has them.
        """
        classes = labels.cpu().long().expand(answers.shape)
        both = torch.stack([classes, answers.cpu().long()], dim=-1).reshape(-1, 2)
        kinds, counts = torch.unique(both, dim=0, return_counts=True)
        pairs = torch.cat([kinds, counts[:, None]], dim=1)
        self.add(pairs)
        return pairs

    @property
    def pairs(self) -> Tensor:
        """The counts: (M, 3) int64 on the CPU, sorted. A row is a pair of classes that occurs: the
        class, what it was taken for, how often."""
        return self._pairs
