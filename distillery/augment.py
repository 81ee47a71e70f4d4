"""Random changes to a batch of images: drawn once, applied as a pure function, so that they can be shared and replayed.

``draw`` takes every random number from a generator; ``apply`` takes none. The same draws can therefore change real and
synthetic images alike (Siamese augmentation), be vectorised, be differentiated in the images, and be replayed in a
backward pass. Images are in normalised space, and nothing is clamped; what an operation uncovers becomes 0, the data's
mean colour.

Inside a compiled loop keep ``apply`` outside the compiled function: each operation would be another compilation.

Strategies (``STRATEGIES`` is a literal, to be read without importing this module):

``none``
    Nothing.
``dsa``
    Zhao and Bilen, *Dataset Condensation with Differentiable Siamese Augmentation*, ICML 2021, section 3.3: one of six
    operations a batch, with one strength a sample or one a batch. Strengths as in the authors' published settings.
``dc_mnist``
    The evaluation of *Dataset Condensation with Gradient Matching* (Zhao, Mopuri and Bilen, ICLR 2021) on MNIST: crop,
    scale or rotate, drawn for each image. Here on whole batches, with bilinear interpolation, shifts from -4 to 4 and
    real angles.
``dc_bn``
    The same evaluation for networks with batch normalisation: crop or a little noise, drawn for each image.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from distillery.errors import UserError

STRATEGIES = {
    "none": {},
    "dsa": {
        "brightness": 1.0,
        "saturation": 2.0,
        "contrast": 0.5,
        "crop": 0.125,
        "cutout": 0.5,
        "flip": 0.5,
        "scale": 1.2,
        "rotate": 15.0,
    },
    "dc_mnist": {"crop": 4, "scale": 0.2, "rotate": 45.0},
    "dc_bn": {"crop": 4, "noise": 0.001},
}

DSA_OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")


def draw(
    strategy: str,
    count: int,
    generator: torch.Generator,
    *,
    shape: tuple[int, int, int],
    device: torch.device | str = "cpu",
    flip_allowed: bool = False,
    per: str = "sample",
) -> tuple[str, dict[str, Tensor]]:
    """Draw one augmentation of a batch.

    Args:
        strategy: a key of ``STRATEGIES``.
        count: images in the batch, N.
        generator: where every random number comes from. One on the CPU avoids a wait for the device and draws the same
            numbers everywhere.
        shape: (C, H, W) of one image.
        device: where the draws will lie.
        flip_allowed: whether a mirrored image keeps its class; without it ``dsa`` has five operations.
        per: ``sample`` for one strength an image, ``batch`` for one strength for all (Siamese): the draws then have a
            leading length of 1 and fit any number of images.

    Returns:
        ``(operation, draws)``, to be given to ``apply``: a name, and float32, int64 or bool tensors (N or 1, ...).

    Raises:
        UserError: the strategy is unknown.
        ValueError: ``per`` is neither ``sample`` nor ``batch``.
    """
    if strategy not in STRATEGIES:
        raise UserError(f"unknown augmentation {strategy!r}; known are {', '.join(STRATEGIES)}")
    if per not in ("sample", "batch"):
        raise ValueError(f"per must be 'sample' or 'batch', not {per!r}")
    n = count if per == "sample" else 1
    strength = STRATEGIES[strategy]
    if strategy == "none":
        return "none", {}
    if strategy == "dsa":
        operations = [name for name in DSA_OPERATIONS if name != "flip" or flip_allowed]
        operation = operations[_integers(len(operations), (), generator).item()]
        draws = _draw_dsa(operation, n, generator, shape, strength)
    else:
        operation = "mixed"
        draws = _draw_mixed(n, generator, shape, strength)
    return operation, {name: value.to(device, non_blocking=True) for name, value in draws.items()}


def apply(operation: str, images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Change ``images`` (N, C, H, W) as drawn; returns a tensor of the same shape and dtype.

    Pure, differentiable once in the images, and it may be ``vmap``ped over images, draws or both.

    Args:
        operation: the first thing that ``draw`` returned.
        draws: the second. By operation: ``color``: ``brightness`` (added), ``saturation`` and ``contrast`` (factors);
            ``crop``: ``shift`` (n, 2), rows and columns; ``cutout``: ``centre`` (n, 2); ``flip``: ``mirrored`` (n,)
            bool; ``scale``: ``factor`` (n, 2), columns and rows of the source a pixel; ``rotate``: ``angle`` (n,),
            radians. ``mixed`` has any of ``factor``, ``angle``, ``shift`` and ``noise`` (n, C, H, W). n is N or 1.

    Raises:
        KeyError: the operation is unknown, or lacks a draw.
    """
    return _OPERATIONS[operation](images, draws)


def augment(
    strategy: str,
    images: Tensor,
    generator: torch.Generator,
    *,
    flip_allowed: bool = False,
    per: str = "sample",
) -> Tensor:
    """``draw`` for ``images`` (N, C, H, W) and ``apply`` at once."""
    operation, draws = draw(
        strategy,
        len(images),
        generator,
        shape=tuple(images.shape[1:]),
        device=images.device,
        flip_allowed=flip_allowed,
        per=per,
    )
    return apply(operation, images, draws)


def _uniform(low: float, high: float, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(size, generator=generator, device=generator.device) * (high - low) + low


def _integers(stop: int, size: tuple[int, ...], generator: torch.Generator, start: int = 0) -> Tensor:
    return torch.randint(start, stop, size, generator=generator, device=generator.device)


def _draw_dsa(operation: str, n: int, generator: torch.Generator, shape, strength) -> dict[str, Tensor]:
    if operation == "color":
        return {
            "brightness": _uniform(-0.5, 0.5, (n,), generator) * strength["brightness"],
            "saturation": _uniform(0, strength["saturation"], (n,), generator),
            "contrast": _uniform(strength["contrast"], 1 + strength["contrast"], (n,), generator),
        }
    if operation == "crop":
        reach = [int(side * strength["crop"] + 0.5) for side in shape[1:]]
        return {"shift": torch.stack([_integers(r + 1, (n,), generator, start=-r) for r in reach], dim=1)}
    if operation == "cutout":
        # An even square has its centre between two pixels, so that one more place keeps its reach symmetric.
        places = [side + 1 - _square(side) % 2 for side in shape[1:]]
        return {"centre": torch.stack([_integers(p, (n,), generator) for p in places], dim=1)}
    if operation == "flip":
        return {"mirrored": _uniform(0, 1, (n,), generator) < strength["flip"]}
    if operation == "scale":
        return {"factor": _uniform(1 / strength["scale"], strength["scale"], (n, 2), generator)}
    limit = math.radians(strength["rotate"])
    return {"angle": _uniform(-limit, limit, (n,), generator)}


def _draw_mixed(n: int, generator: torch.Generator, shape, strength) -> dict[str, Tensor]:
    """One operation an image: the draws of those not chosen are the identity's, so that all can be applied to all."""
    choice = _integers(len(strength), (n,), generator)
    draws = {}
    for index, (name, size) in enumerate(strength.items()):
        chosen = choice == index
        if name == "crop":
            draws["shift"] = _integers(size + 1, (n, 2), generator, start=-size) * chosen[:, None]
        elif name == "scale":
            draws["factor"] = torch.where(chosen[:, None], 1 / _uniform(1 - size, 1 + size, (n, 2), generator), 1.0)
        elif name == "rotate":
            limit = math.radians(size)
            draws["angle"] = _uniform(-limit, limit, (n,), generator) * chosen
        elif name == "noise":
            noise = torch.randn((n, *shape), generator=generator, device=generator.device)
            draws["noise"] = noise * (size * chosen[:, None, None, None])
    return draws


def _square(side: int) -> int:
    """Pixels a side of the square that cutout clears."""
    return int(side * STRATEGIES["dsa"]["cutout"] + 0.5)


def _column(value: Tensor, images: Tensor) -> Tensor:
    """(n,) -> (n, 1, 1, 1) in the images' dtype."""
    return value.to(images.dtype)[:, None, None, None]


def _none(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return images


def _color(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Brightness added, saturation about the grey image, contrast about the mean of the image, in this order."""
    images = images + _column(draws["brightness"], images)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * _column(draws["saturation"], images) + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * _column(draws["contrast"], images) + mean


def _crop(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Pixel (i, j) becomes pixel (i + shift of rows, j + shift of columns), or 0 where that is outside."""
    n, channels, height, width = images.shape
    shift = draws["shift"].expand(n, 2)
    rows = torch.arange(height, device=images.device) + shift[:, :1]
    columns = torch.arange(width, device=images.device) + shift[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    source = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    source = source.reshape(n, 1, height * width).expand(n, channels, height * width)
    moved = images.reshape(n, channels, height * width).gather(2, source).view(n, channels, height, width)
    return moved * inside[:, None].to(images.dtype)


def _cutout(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """A square of half the image's side becomes 0; a part of it may lie outside."""
    kept = []
    for axis, side in enumerate(images.shape[2:]):
        start = draws["centre"][:, axis, None] - _square(side) // 2
        place = torch.arange(side, device=images.device)
        kept.append((place < start) | (place >= start + _square(side)))
    mask = kept[0][:, :, None] | kept[1][:, None, :]
    return images * mask[:, None].to(images.dtype)


def _flip(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return torch.where(draws["mirrored"][:, None, None, None], images.flip(3), images)


def _scale(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return _affine(images, _matrix(images, factor=draws["factor"]))


def _rotate(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    return _affine(images, _matrix(images, angle=draws["angle"]))


def _mixed(images: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    if "factor" in draws or "angle" in draws:
        factor, angle = draws.get("factor"), draws.get("angle")
        changed = _affine(images, _matrix(images, factor=factor, angle=angle))
        # Interpolating at the pixels themselves returns them up to rounding only: what was not chosen stays as it is.
        chosen = torch.zeros((), dtype=torch.bool, device=images.device)
        chosen = chosen if factor is None else chosen | (factor != 1).any(1)
        chosen = chosen if angle is None else chosen | (angle != 0)
        images = torch.where(chosen[:, None, None, None], changed, images)
    if "shift" in draws:
        images = _crop(images, draws)
    if "noise" in draws:
        images = images + draws["noise"].to(images.dtype)
    return images


def _matrix(images: Tensor, factor: Tensor | None = None, angle: Tensor | None = None) -> Tensor:
    """(n, 2, 2): where each pixel's colour comes from, in (x, y) of -1 to 1 about the centre."""
    matrix = torch.eye(2, dtype=images.dtype, device=images.device)
    if angle is not None:
        angle = angle.to(images.dtype)
        cosine, sine = angle.cos(), angle.sin()
        matrix = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    if factor is not None:
        matrix = matrix * factor.to(images.dtype)[:, None, :]
    return matrix


def _affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Bilinear interpolation at ``matrix`` (n, 2, 2) times each pixel's place, 0 outside.

    ``align_corners=True``: -1 and 1 are the centres of the outermost pixels, as in the trajectory-matching authors'
    code (Cazenavette et al., CVPR 2022). The older gradient-matching code leaves it to the torch version, which changed
    its mind.
    """
    height, width = images.shape[2:]
    x = torch.linspace(-1, 1, width, dtype=images.dtype, device=images.device).expand(height, width)
    y = torch.linspace(-1, 1, height, dtype=images.dtype, device=images.device)[:, None].expand(height, width)
    places = torch.stack([x, y], -1).view(1, height * width, 2)
    grid = (places @ matrix.mT).view(-1, height, width, 2).expand(images.shape[0], height, width, 2)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


_OPERATIONS = {
    "none": _none,
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
    "mixed": _mixed,
}
