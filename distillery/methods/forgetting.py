"""Forgetting: the real images that networks forget most often in training (Toneva et al., *An
Empirical Study of Example Forgetting during Deep Neural Network Learning*, ICLR 2019, arXiv
1812.05159).

An image is forgotten when it was classified rightly and no longer is; ``_coreset.forgetting`` says
how that is counted from what is stored of experts. As with EL2N, the most forgotten are kept as
published, and with few images per class the least forgotten serve better.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from distillery.methods import _coreset, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "Forgetting"
KIND = "coreset"
CITATION = {
    "authors": "Toneva, Mariya and others",
    "title": "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    "venue": "ICLR",
    "year": 2019,
    "arxiv": "1812.05159",
}
ORDER = 16
NEEDS_EXPERTS = True
SETTINGS = {**_coreset.KEEP, **_coreset.TEACHERS}


def select(task: base.Task) -> Tensor:
    """Choose the images of each class that are forgotten most often, or least; errors are those
    of ``_coreset.select_by_score``."""
    return _coreset.select_by_score(task, _coreset.forgetting)


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    return _coreset.expected_work_of_teachers(sizes, sizes.images, sizes.expert_epochs)
