"""An augmentation by its name: drawn, applied, or both at once."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distillery import outside
from distillery.errors import UserError


def draw(
    strategy: str,
    count: int,
    generator: torch.Generator,
    *,
    shape: tuple[int, int, int],
    device: torch.device | str = "cpu",
    flip_allowed: bool = False,
    per: str = "sample",
) -> tuple[Callable, dict[str, Tensor]]:
    """Draw one augmentation of a batch.

    Args:
        strategy: the name of a plug-in, or the reference of one from outside.
        count: images in the batch, N.
        generator: where every random number comes from. One on the CPU avoids a wait for the device
            and draws the same numbers everywhere.
        shape: (C, H, W) of one image.
        device: where the draws will lie.
        flip_allowed: whether a mirrored image keeps its class; without it ``dsa`` has five
            operations.
        per: ``sample`` for one strength per image, ``batch`` for one strength for all (Siamese):
            the draws then have a leading length of 1 and fit any number of images.

    Returns:
        ``(operation, draws)``, to be given to ``apply``: a pure function, and float32, int64 or
        bool tensors (N or 1, ...).

    Raises:
        UserError: the strategy is unknown.
        ValueError: ``per`` is neither ``sample`` nor ``batch``.
    """
    if per not in ("sample", "batch"):
        raise ValueError(f"per must be 'sample' or 'batch', not {per!r}")
    n = count if per == "sample" else 1
    operation, draws = _plugin(strategy).draw(n, generator, shape=shape, flip_allowed=flip_allowed)
    return operation, {name: value.to(device, non_blocking=True) for name, value in draws.items()}


def apply(operation: Callable, images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Change ``images`` (N, C, H, W) as drawn; returns a tensor of the same shape and dtype.

    Pure, differentiable once in the images, and it may be ``vmap``ped over images, draws or both.

    Args:
        operation: the first thing that ``draw`` returned.
        images: (N, C, H, W).
        draws: the second.
    """
    return operation(images, draws)


def augment(
    strategy: str,
    images: Tensor,
    generator: torch.Generator,
    *,
    flip_allowed: bool = False,
    per: str = "sample",
) -> Tensor:
    """Draw for ``images`` (N, C, H, W) and apply at once."""
    channels, height, width = images.shape[1:]
    operation, draws = draw(
        strategy,
        len(images),
        generator,
        shape=(channels, height, width),
        device=images.device,
        flip_allowed=flip_allowed,
        per=per,
    )
    return apply(operation, images, draws)


def _plugin(strategy: str) -> Any:
    if outside.is_reference(strategy):
        return outside.load(strategy)
    known = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    if strategy not in known:
        raise UserError(f"unknown augmentation {strategy!r}; known are {', '.join(known)}")
    return importlib.import_module(f"distillery.augmentations.{strategy}")
