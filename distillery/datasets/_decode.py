"""Turn the bytes of an image into uint8 numbers of one shape, whatever the file holds."""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from distillery.errors import UserError

# More pixels than any photograph has: a small file may unfold into as many.
MOST_PIXELS = 200_000_000
# Pillow's names of what an image of so many channels is.
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_GREY16 = ("I;16", "I;16L", "I;16B", "I;16N")
_RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


class UnreadableError(UserError):
    """An image that cannot be read, and why."""


def decode(
    source: str | bytes, settings: Mapping[str, Any], size: tuple[int, int], channels: int
) -> np.ndarray:
    """Read one image.

    Of several frames or pages the first counts. The EXIF orientation is applied. Grey images become
    colour ones, and the other way round by the luma of ITU-R 601. Where no channel holds alpha,
    transparent pixels show the ``background``. 16 bits become 8 by the whole range of the type, or
    by ``range``.

    Args:
        source: a file's path, or the bytes of one.
        settings: of the dataset: ``fit``, ``resize``, ``background``, ``range``.
        size: height and width of what is returned.
        channels: 1 to 4.

    Returns:
        (channels, height, width) uint8.

    Raises:
        UnreadableError: it is no image, cut short, too large, or of values that ``range`` must
            explain.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise UnreadableError(
                    f"has {width} x {height} pixels, more than the {MOST_PIXELS:,} that are read"
                )
            # A JPEG is decoded at a fraction of its size where that is still twice what is needed.
            image.draft(None, (2 * max(size), 2 * max(size)))
            upright = ImageOps.exif_transpose(image)
            return shaped(_converted(upright, settings, channels), settings, size)
    except UnreadableError:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableError(_no_image(source)) from None
    except Image.DecompressionBombError as error:
        raise UnreadableError(f"is too large: {error}") from error
    # Damaged files make decoders fail in all of these ways.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else str(error)
        raise UnreadableError(" ".join(reason.split()) or type(error).__name__) from error


def _no_image(source: str | bytes) -> str:
    empty = not source if isinstance(source, bytes) else os.path.getsize(source) == 0
    return "is empty" if empty else "is no image of a kind that is read"


def _converted(image: Image.Image, settings: Mapping[str, Any], channels: int) -> Image.Image:
    """Return an image of so many channels of 8 bits."""
    if image.mode in (*_GREY16, "I", "F"):
        image = _eight_bits(image, settings.get("range"))
    alpha = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    if alpha and channels in (1, 3):
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, settings["background"])
        image = Image.alpha_composite(behind, image).convert("RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if alpha else "RGB")
    return image if image.mode == MODES[channels] else image.convert(MODES[channels])


def _eight_bits(image: Image.Image, limits: list[float] | None) -> Image.Image:
    values = np.asarray(image)
    if limits is None and image.mode not in _GREY16:
        # Pillow opens 16 bits so, too, in some formats.
        low, high = float(values.min()), float(values.max())
        if image.mode == "F" or low < 0 or high > 65535:
            raise UnreadableError(
                f"has values of 32 bits, from {low:.6g} to {high:.6g}; say by `range` which are "
                "black and white"
            )
    return Image.fromarray(scaled(values, limits or [0, 65535]))


def scaled(values: np.ndarray, limits: list[float]) -> np.ndarray:
    """Return values as uint8: those from ``limits[0]`` to ``limits[1]`` become 0 to 255, to the
    nearest; what lies beyond is cut."""
    low, high = limits
    bright = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.clip(np.rint(bright), 0, 255).astype(np.uint8)


def shaped(image: Image.Image, settings: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Return an image as (C, H, W) uint8 of a size, fitted as ``settings`` say."""
    height, width = size
    method = _RESAMPLING[settings["resize"]]
    if image.size != (width, height):
        if settings["fit"] == "crop":
            image = ImageOps.fit(image, (width, height), method)
        elif settings["fit"] == "pad":
            image = ImageOps.pad(image, (width, height), method, _padding(image, settings))
        else:
            image = image.resize((width, height), method)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)


def _padding(image: Image.Image, settings: Mapping[str, Any]) -> int | tuple[int, ...]:
    shade = 255 if settings["background"] == "white" else 0
    # What is padded is transparent where there is alpha.
    shades = {"L": shade, "LA": (shade, 0), "RGB": (shade,) * 3, "RGBA": (*(shade,) * 3, 0)}
    return shades[image.mode]
