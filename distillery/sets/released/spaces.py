"""Tell the spaces that images may be in apart, and bring images into the one that networks see."""

from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.images import normalization

# What the spread of a set says of its space. Real images, normalised, have a standard deviation of
# 1 (1.25 by the constants of CIFAR-10 that the literature uses), whitened ones 0.25 to 0.37 in
# colour and 0.5 in digits; the means of classes have less, so a small spread is a guess only.
_WHITENED, _NORMALISED = (0.15, 0.55), 0.7


def normalised(
    images: Tensor,
    entry: dict[str, Any],
    spec: dict[str, Any],
    header: dict[str, Any] | None,
    notes: list[str],
    at: str,
) -> tuple[dict[str, Any] | None, Tensor]:
    """Bring images into the space that networks see.

    Returns:
        That space where it is not the entry's, else ``None``, and the images.

    Raises:
        UserError: they are surely in another space than the entry says.
    """
    if header is not None:
        space = header["normalization"]
        if images.dtype != torch.uint8:
            return space, images
        if space["kind"] == "zca":
            raise UserError(
                f"{at}: its pictures are of a whitened set, whose whitening the folder has not; "
                "export the set `--as hub` and name that"
            )
        return space, normalization.normalise(images, space)
    stated = entry.get("normalization")
    channel = {"kind": "channel", "mean": list(spec["mean"]), "std": list(spec["std"])}
    if images.dtype == torch.uint8:
        if stated == "zca":
            raise UserError(
                f"{at}: holds pixels, 0 to 255, and no whitened images; drop `normalization`"
            )
        if stated != "pixels":
            notes.append(
                "its pixels, 0 to 255, were normalised by the mean and standard deviation of "
                f"{spec['name']}"
            )
        return None, normalization.normalise(images, channel)
    looks, sure = looks_like(images)
    measured = spread(images)
    if stated == "pixels":
        scale = 255 if float(images.double().mean()) > 2 else 1
        pixels = images / scale
        if (
            looks == "channel" and scale == 1
        ):  # pixels within 0 and 1 have a standard deviation of 0.5 at most
            raise UserError(
                f"{at}: `normalization: pixels`, but {measured}, as of {WORDS[looks]}; "
                "`normalization: channel` goes with them"
            )
        if looks == "zca":
            notes.append(f"{measured}, as of {WORDS[looks]}; it is taken for {WORDS[stated]}")
        mean, std = (torch.tensor(channel[name]).view(-1, 1, 1) for name in ("mean", "std"))
        return None, (pixels - mean) / std
    line = f"{measured}, as of {WORDS[looks]}; " if looks else ""
    if looks == "pixels" and sure and stated != "channel":
        raise UserError(
            f"{at}: {line}`normalization: pixels` normalises them by the mean and standard "
            f"deviation of {spec['name']}"
        )
    if looks not in (None, stated or "channel"):
        notes.append(
            f"{line}it is taken for {WORDS[stated or 'channel']}; if it is not, `normalization: "
            f"{looks}` goes with it"
        )
    return None, images


WORDS = {
    "channel": "normalised images",
    "pixels": "pixels that were not normalised",
    "zca": "whitened images",
}


def looks_like(images: Tensor) -> tuple[str | None, bool]:
    """Tell by the numbers of float images which space they are in: ``channel``, ``pixels``, ``zca``
    or ``None``; and whether that is sure.

    Sure are pixels: a set without one number below 0 has no pixel that is darker than the dataset's
    mean. All else is a guess by mean and standard deviation, since a set is free to have any.
    """
    values = images.double()
    mean, std = float(values.mean()), float(values.std(correction=0))
    if std == 0:
        return None, False
    if float(values.min()) >= 0 and float(values.max()) <= 255:
        return "pixels", True
    if mean > 0 and std < 0.6 and float((values < 0).double().mean()) < 0.05:
        return "pixels", False
    if _WHITENED[0] < std < _WHITENED[1] and abs(mean) < 0.2:
        return "zca", False
    return ("channel" if std > _NORMALISED else None), False


def spread(images: Tensor) -> str:
    """Say the mean, the standard deviation and the range of images."""
    values = images.double()
    mean, std = float(values.mean()), float(values.std(correction=0))
    text = f"its mean is {mean:.2f} and its standard deviation {std:.2f}"
    return f"{text} ({float(values.min()):.3g} to {float(values.max()):.3g})"
