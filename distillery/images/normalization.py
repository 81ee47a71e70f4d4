"""Convert between pixels and the space that networks see, as a header's ``normalization`` says.

``{"kind": "channel", "mean": [...], "std": [...]}``: each channel of pixels in [0, 1] less its
mean, over its standard deviation. ``{"kind": "zca", "eps": ..., "whitening": ...}``: whitened by
the ``whitening.Whitening`` of that digest, which is handed over with it.
"""

from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError

KINDS = ("channel", "zca")


def normalise(images: Tensor, normalization: dict[str, Any], whitening: Any = None) -> Tensor:
    """Bring images (N, C, H, W) uint8 to float32 of the same shape in normalised space, on the
    images' device; the images are not changed.

    Raises:
        UserError: the kind of ``normalization`` is unknown, or it is ``zca`` and there is no
            whitening.
    """
    if _kind(normalization, whitening) == "zca":
        return whitening.apply(images)
    mean, std = _channels(normalization, images)
    return images.float().div_(255).sub_(mean).div_(std)


def pixels(images: Tensor, normalization: dict[str, Any], whitening: Any = None) -> Tensor:
    """Bring images (..., C, H, W) float in normalised space back to pixels of the same shape, where
    [0, 1] is what can be shown; not clipped.

    Raises:
        UserError: as :func:`normalise`.
    """
    if _kind(normalization, whitening) == "zca":
        return whitening.invert(images.reshape(-1, *images.shape[-3:])).reshape(images.shape)
    mean, std = _channels(normalization, images)
    return images * std + mean


def to_bytes(values: Tensor) -> Tensor:
    """Turn pixels as floats into uint8 of the same shape: clipped to [0, 1] and rounded."""
    return values.clamp(0, 1).mul(255).round().to(torch.uint8)


def _kind(normalization: dict[str, Any], whitening: Any) -> str:
    kind = normalization.get("kind")
    if kind not in KINDS:
        raise UserError(f"normalization: unknown kind {kind!r}; known are {', '.join(KINDS)}")
    if kind == "zca" and whitening is None:
        raise UserError(
            "normalization: these images are whitened (zca) and the whitening is not there; take "
            "it from the synthetic set's own file"
        )
    return kind


def _channels(normalization: dict[str, Any], like: Tensor) -> list[Tensor]:
    dtype = like.dtype if like.is_floating_point() else torch.float32
    return [
        torch.tensor(normalization[name], dtype=dtype, device=like.device).view(-1, 1, 1)
        for name in ("mean", "std")
    ]
