"""EL2N: the real images that networks find hardest early in their training (Paul, Ganguli and
Dziugaite, *Deep Learning on a Data Diet*, NeurIPS 2021, arXiv 2107.07075).

The score of an image is the mean over experts of ||p(x) - y||₂. The paper keeps the hardest of a
large share of the data. With few images per class those are the odd ones, and the easiest serve
better (Sorscher et al., *Beyond Neural Scaling Laws*, NeurIPS 2022, arXiv 2206.14486): ``keep:
easiest``.
"""

from typing import TYPE_CHECKING

from torch import Tensor

from distillery.methods import _coreset, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "EL2N"
KIND = "coreset"
CITATION = {
    "authors": "Paul, Mansheej and Ganguli, Surya and Dziugaite, Gintare Karolina",
    "title": "Deep Learning on a Data Diet: Finding Important Examples Early in Training",
    "venue": "NeurIPS",
    "year": 2021,
    "arxiv": "2107.07075",
}
ORDER = 14
NEEDS_EXPERTS = True
SETTINGS = {**_coreset.KEEP, **_coreset.TEACHERS, **_coreset.EARLY}


def select(task: base.Task) -> Tensor:
    """Choose the images of each class with the highest EL2N, or the lowest; errors are those of
    ``_coreset.select_by_score``."""
    return _coreset.select_by_score(task, _coreset.el2n)


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    return _coreset.expected_work_of_teachers(sizes, sizes.images)
