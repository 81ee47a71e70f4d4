"""Random: as many real images a class as asked for, drawn without replacement. The baseline that every method must
beat."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distillery import checkpoint as checkpoints
from distillery.device import Compute
from distillery.methods import base

TITLE = "Random"
KIND = "coreset"
NEEDS_EXPERTS = False
PROTOCOL = base.PROTOCOL
SETTINGS = {}


def distill(
    images: Tensor,
    labels: Tensor,
    initial: Tensor,
    *,
    classes: int,
    ipc: int,
    network: dict[str, Any],
    augment_allowed_flip: bool,
    settings: dict[str, Any],
    stream: Callable[..., torch.Generator],
    recorder,
    compute: Compute,
    experts=None,
    checkpoint=checkpoints.NONE,
) -> base.Result:
    """Choose ``ipc`` random training images of each class; ``initial`` is not used.

    Args:
        images: (N, C, H, W) float32; labels: (N,) int64. The other arguments are those of every method.
        stream: ``stream("random")`` gives the generator (CPU).
        recorder: told of the chosen images once, as iteration 0.

    Raises:
        UserError: a class has fewer than ``ipc`` images.
    """
    chosen = base.initial_images("real", images, labels, classes, ipc, stream("random"))
    recorder.iteration(0, loss=torch.tensor(float("nan")), images=chosen)
    return base.Result(chosen, base.synthetic_labels(classes, ipc, images.device))
