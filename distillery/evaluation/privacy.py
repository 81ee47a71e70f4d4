"""What a set may give away of the images that it was made from: how near its images lie to them,
and whether networks trained on it tell them from images that they never saw.

Distances are Euclidean, of pixels in [0, 1]. What lies near depends on the images: a smooth one
lies nearer to all others than a sharp one. So a distance is held against those of real images that
nothing was made from, the test images; and a near-copy must be *nearer than they are* in two ways:
its distance to the nearest training image, and that distance over the mean distance to the next
``NEIGHBOURS`` ones (Carlini et al., "Extracting training data from diffusion models", USENIX
Security 2023, arXiv 2301.13188, section 4.2), which is near 1 where an image is merely smooth.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training.stack import Stack
from distillery.training.train import Bench, test, train

NEIGHBOURS = 50
# A near-copy is at or below this share of the test images, in both measures.
SHARE = 0.01
# Training images that distances are taken to at a time, and images that they are taken from.
_TO, _FROM = 4096, 256


class Nearest(NamedTuple):
    """Where images lie among others.

    Attributes:
        rows: (N,) int64: the nearest of the others.
        distances: (N,) float32: to it.
        ratios: (N,) float32: that over the mean distance to the ``NEIGHBOURS`` after it; 1 where
            there is no other or all are equal to it.
    """

    rows: Tensor
    distances: Tensor
    ratios: Tensor

    @property
    def measured(self) -> dict[str, Tensor]:
        """Return distances and ratios by name."""
        return {"distances": self.distances, "ratios": self.ratios}


def nearest(images: Tensor, others: Tensor) -> Nearest:
    """Find for each image the nearest of others.

    Args:
        images: (N, C, H, W) uint8.
        others: (M, C, H, W) uint8, on the same device; at least one.

    Returns:
        On the CPU. Memory is bounded: distances of ``_FROM`` to ``_TO`` images are held at a time.
    """
    parts = [_nearest(images[i : i + _FROM], others) for i in range(0, len(images), _FROM)]
    rows, distances, ratios = (torch.cat(each).cpu() for each in zip(*parts, strict=True))
    return Nearest(rows, distances, ratios)


def _nearest(images: Tensor, others: Tensor) -> Nearest:
    wanted = min(NEIGHBOURS + 1, len(others))
    asked = _floats(images)
    squares = torch.full((len(images), 0), math.inf, device=images.device)
    rows = torch.empty(len(images), 0, dtype=torch.int64, device=images.device)
    norms = asked.square().sum(1, keepdim=True)
    for begin in range(0, len(others), _TO):
        part = _floats(others[begin : begin + _TO])
        found = norms + part.square().sum(1) - 2 * asked @ part.T
        number = torch.arange(begin, begin + len(part), device=rows.device).expand(len(images), -1)
        squares, rows = torch.cat([squares, found], 1), torch.cat([rows, number], 1)
        squares, kept = squares.topk(min(wanted, squares.shape[1]), largest=False)
        rows = rows.gather(1, kept)
    # The sum above rounds off what is small: of an exact copy it is not 0.
    exact = torch.stack(
        [(_floats(others[row]) - image).norm(dim=1) for row, image in zip(rows, asked, strict=True)]
    )
    exact, order = exact.sort(dim=1, stable=True)
    rest = exact[:, 1:].mean(1) if wanted > 1 else exact[:, 0]
    ratios = torch.where(rest > 0, exact[:, 0] / rest, torch.ones_like(rest))
    return Nearest(rows.gather(1, order)[:, 0], exact[:, 0], ratios)


def _floats(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 255


def copies(found: Nearest, reference: Nearest) -> Tensor:
    """Tell which images are near-copies: exact ones, and those that are nearer to their nearest
    training image than all but ``SHARE`` of the reference, in distance and in ratio.

    Args:
        found: of the images that are asked about.
        reference: of images that nothing was made from.

    Returns:
        (N,) bool.
    """
    near = found.distances <= reference.distances.quantile(SHARE)
    apart = found.ratios <= reference.ratios.quantile(SHARE)
    return (found.distances == 0) | (near & apart)


def losses(
    bench: Bench, recipe: Recipe, learned: Images, judged: Sequence[Images], models: int
) -> list[Tensor]:
    """Train networks on a set, and add up their losses on images.

    Args:
        bench: what the networks are trained with.
        recipe: how.
        learned: the set, on the device that computes.
        judged: hard-labelled images, in the space of the set.
        models: how many networks.

    Returns:
        (N,) float32 for each of ``judged``, on the CPU.
    """
    sums = [torch.zeros(len(images)) for images in judged]
    for model in range(models):
        call, part = bench.ledger.call(), range(model, model + 1)
        if call.done:
            bench.progress(recipe.trained_epochs)
        else:
            stack = train(bench, recipe, learned, part, checkpoint=call.training(part, []))
            found = {
                str(number): _losses(stack, bench, images) for number, images in enumerate(judged)
            }
            call.finish(part, [], found)
        for number, total in enumerate(sums):
            total += call.tensors[str(number)]
    return sums


def _losses(stack: Stack, bench: Bench, images: Images) -> Tensor:
    """Return the loss (N,) of one network on images."""
    logits = test(stack, images, bench.compute, keep=True)["logits"][0]
    return functional.cross_entropy(logits, images.labels.cpu(), reduction="none")


class Area(NamedTuple):
    """The area under the ROC curve of an attack, with its 95 % interval."""

    value: float
    low: float
    high: float


def attack(members: Tensor, others: Tensor) -> Area:
    """Judge a membership attack by loss (Yeom et al., CSF 2018, arXiv 1709.01604): an image is
    taken for a member where networks have a low loss on it.

    The area is the probability that a member has a lower loss than another image, ties counted
    half: 0.5 is chance. Its interval is that of DeLong, DeLong and Clarke-Pearson (Biometrics
    1988), cut off at 0 and 1.

    Args:
        members: (M,) losses on images that the set was made from; at least two.
        others: (N,) losses on images that it was not made from; at least two.
    """
    ours, theirs = (each.double().cpu().numpy() for each in (members, others))
    # Of each member the share of others with a higher loss, of each other that of members with a
    # lower one.
    of_members = 1 - _share_below(ours, theirs)
    of_others = _share_below(theirs, ours)
    area = float(of_members.mean())
    variance = of_members.var(ddof=1) / len(ours) + of_others.var(ddof=1) / len(theirs)
    half = 1.959964 * math.sqrt(float(variance))
    return Area(area, max(0.0, area - half), min(1.0, area + half))


def judged(name: str, members: Tensor, others: Tensor) -> Metrics:
    """Record an attack by losses; nothing where a side has fewer than two images."""
    metrics = Metrics()
    if min(len(members), len(others)) > 1:
        for part, value in zip(("", "_low", "_high"), attack(members, others), strict=True):
            metrics.add(f"membership_auc{part}", value, selection=name)
    return metrics


def _share_below(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return of each value the share of the reference that is below it, ties counted half."""
    ordered = np.sort(reference)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ordered))
