"""Pairs of a step's images made into one, and their labels with them.

For a share λ that is uniform in [0, 1], one a step and network, an image x with label y and another
image x' of the step with label y' become

- ``mixup``: λ x + (1 − λ) x' (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018, arXiv 1710.09412);
- ``cutmix``: x, in which a box of the image's proportions and of the share 1 − λ of its area, about
  a random centre and cut at the edges, comes from x' (Yun et al., ICCV 2019, arXiv 1905.04899); λ
  is then the share that is left of x.

The label is λ y + (1 − λ) y'. The partners are a permutation of the images.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def mixed(
    kind: str, x: Tensor, y: Tensor, classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix the images of a step.

    Args:
        kind: ``mixup`` or ``cutmix``.
        x: (B, C, H, W).
        y: (B,) int64, or (B, K) float32 probabilities.
        classes: K.
        generator: on the CPU.

    Returns:
        Images (B, C, H, W) and labels (B, K) float32.
    """
    if y.ndim == 1:
        y = functional.one_hot(y, classes).to(x.dtype)
    share = torch.rand((), generator=generator).item()
    centre = torch.rand(2, generator=generator).tolist()
    partner = torch.randperm(len(x), generator=generator).to(x.device)
    if kind == "mixup":
        return share * x + (1 - share) * x[partner], share * y + (1 - share) * y[partner]
    rows, columns = box(x.shape[2:], share, centre)
    other = x[partner]
    x = x.clone()
    x[:, :, rows, columns] = other[:, :, rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    share = 1 - area / (x.shape[2] * x.shape[3])
    return x, share * y + (1 - share) * y[partner]


def box(sides: Sequence[int], share: float, centre: Sequence[float]) -> tuple[slice, slice]:
    """Return the rows and columns of CutMix's box.

    Args:
        sides: of the image, in pixels.
        share: λ, what shall be left of the image.
        centre: of the box, in [0, 1) of each side.
    """
    slices = []
    for side, at in zip(sides, centre, strict=True):
        length = round(side * math.sqrt(1 - share))
        start = int(side * at) - length // 2
        slices.append(slice(max(start, 0), min(start + length, side)))
    return slices[0], slices[1]
