"""Which real images a step compares with: random ones, or those that represent their class.

Liu, Gu, Wang, Zhu, Jiang and You, *DREAM: Efficient Dataset Distillation by Representative
Matching*, ICCV 2023, arXiv 2302.14416, section 3: every few iterations the images of each class are
clustered by k-means in the feature space of the network that matches, into as many clusters as a
batch has images, and of each cluster the image nearest to its centre is taken. Such a batch covers
its class evenly, where a random one repeats its middle and now and then holds an outlier.

DEVIATES: the network is that of the first of the iterations, as it is drawn, so that a run which
resumes clusters again to the same images.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distillery.methods import base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

SETTINGS: dict[str, Any] = {
    "real_images": {
        "type": "string",
        "enum": ["random", "representative"],
        "default": "random",
        "description": "Which real images a step compares with: random ones, or of each of "
        "`batch_real` clusters the one nearest to its centre (DREAM).",
    },
    "renew_every": {
        "type": "integer",
        "minimum": 1,
        "default": 10,
        "description": "Iterations after which representative images are chosen again.",
    },
}
NEEDS_EMBEDDING = {"real_images": ["representative"]}

_ROUNDS = 20  # of k-means; a choice is good long before it is converged


class RealBatches:
    """The real images of each iteration, class by class.

    Args:
        task: with the settings ``batch_real`` and those of this module.
        index: where the images of each class are.
        embed: ``embed(params, images (N, C, H, W)) -> features (N, D)``.
        network: ``network(t)`` gives the parameters with which iteration t begins.
    """

    def __init__(
        self,
        task: base.Task,
        index: base.ClassIndex,
        embed: Callable[[Mapping[str, Tensor], Tensor], Tensor],
        network: Callable[[int], Mapping[str, Tensor]],
    ) -> None:
        self._task, self._index, self._embed, self._network = task, index, embed, network
        self._number = task.settings["batch_real"]
        self._random = task.settings["real_images"] == "random"
        self._begun, self._chosen = 0, (torch.empty(0), torch.empty(0))

    def draw(self, t: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return what ``base.ClassIndex.draw`` returns: numbers (K, B) and weights (K, B).

        Args:
            t: the iteration.
            generator: for random ones.
        """
        if self._random:
            return self._index.draw(self._number, generator)
        every = self._task.settings["renew_every"]
        begin = t - (t - 1) % every
        if begin != self._begun:
            self._begun, self._chosen = begin, self._representatives(begin)
        return self._chosen

    def _representatives(self, t: int) -> tuple[Tensor, Tensor]:
        embed, members = partial(self._embed, self._network(t)), self._index.members
        seed = self._task.stream("iteration", t, "clusters")
        seeds = torch.randint(2**31 - 1, (len(members),), generator=seed).tolist()
        chosen = []
        for numbers, state in zip(members, seeds, strict=True):
            if len(numbers) > self._number:
                features = base.features(self._task.images, numbers, [embed])
                numbers = numbers[nearest_to_centres(features, self._number, state)]
            chosen.append(numbers.cpu())
        return self._index.laid_out(chosen)


def nearest_to_centres(features: Tensor, number: int, seed: int) -> Tensor:
    """Return of each of ``number`` clusters the row of ``features`` (n, D) that is nearest to its
    centre: at most (number,) int64, ascending, on the features' device."""
    import numpy
    from sklearn.cluster import KMeans  # a second to import, which only this choice pays

    points = features.float().cpu().numpy()
    once: Any = 1  # where a number may stand, the checker knows of "auto" alone
    found = KMeans(number, n_init=once, max_iter=_ROUNDS, random_state=seed).fit(points)
    centres, clusters = found.cluster_centers_, numpy.asarray(found.labels_)
    distances = ((points - centres[clusters]) ** 2).sum(1)
    order = numpy.lexsort((distances, clusters))
    _, first = numpy.unique(clusters[order], return_index=True)
    return torch.from_numpy(numpy.sort(order[first])).to(features.device)


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that choosing takes; clustering is not counted."""
    if sizes.settings["real_images"] == "random":
        return []
    choices = -(-sizes.settings["iterations"] // sizes.settings["renew_every"])
    return [("forward", choices * sizes.images / base.BATCH, base.BATCH, False, True)]
