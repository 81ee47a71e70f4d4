"""Tell a user what a file of others is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from distillery import limits, plugins
from distillery.errors import UserError
from distillery.sets import synthetic
from distillery.sets.released.arrange import in_order
from distillery.sets.released.files import load
from distillery.sets.released.numbers import FLOATING, INTEGER, ndim, numbers
from distillery.sets.released.pairs import NEEDED, Part, bare_labels, pairs
from distillery.sets.released.spaces import WORDS, looks_like, spread


def describe(file: str, labels: str | None = None) -> list[tuple[str, str]]:
    """Describe a file of others in a few lines, as (what, text): what it holds, what that looks
    like, and which entry of a config takes it.

    Raises:
        UserError: it cannot be read, or holds no images.
    """
    contents = load(file, "info")
    parts = pairs(contents.value, f"info: {file}")
    if not parts:
        raise UserError(f"info: {file}: holds no set; {NEEDED}")
    part = parts[0]
    if labels is None and (rows := _not_images(part, file)):
        return [("file", contents.form), *rows]
    beside = part.labels if labels is None else bare_labels(load(labels, "info").value)
    images = numbers(part.images, 1 << 28, f"info: {file}: images are", "(N, C, H, W)")
    rows = [("file", contents.form), ("sets", str(len(parts)))]
    rows.append(("images", f"{_shape(images)} {_name(images.dtype)}"))
    keys: dict[str, str] = {}
    if 0 < images.numel() <= 1 << 28 and images.dtype in (*FLOATING, *INTEGER):
        if not images.isfinite().all():
            raise UserError(
                f"info: {file}: images hold NaN or infinite values; finite float32 is needed"
            )
        looks, sure = ("pixels", True) if not images.is_floating_point() else looks_like(images)
        rows.append(("spread", spread(images) + _by_channel(images)))
        rows.append(
            (
                "looks like",
                f"{WORDS[looks]}{'' if sure else ' (by its mean and standard deviation: a guess)'}"
                if looks
                else "nothing that is known",
            )
        )
        if looks in ("pixels", "zca") and images.is_floating_point():
            keys["normalization"] = looks
    if beside is None:
        rows.append(("labels", "none in the file; they stand in another, such as a labels_*.pt"))
    else:
        tensor = numbers(beside, 1 << 28, f"info: {labels or file}: labels are", "(N,) or (N, K)")
        text, logits = _about_labels(tensor)
        rows.append(("labels", text))
        keys |= {"labels_are": "logits"} if logits else {}
    if isinstance(part.step_size, (int, float, Tensor)) and ndim(part.step_size) == 0:
        rows.append(("step size", f"{float(part.step_size):.6g}"))
    fits = [
        name
        for name, known in plugins.datasets().items()
        if len(images) and images.ndim == 4 and _fits(images, known.spec)
    ]
    rows.append(("datasets", ", ".join(fits) or "no built-in one has images of this shape"))
    dataset = fits[0] if fits else "DATASET"
    classes = len(plugins.datasets()[dataset].classes) if fits else 0
    ipc = len(images) // classes if classes and len(images) % classes == 0 else "N"
    given = {
        "name": "released",
        "dataset": dataset,
        "ipc": ipc,
        "file": file,
        **({"labels": labels} if labels else {}),
        **keys,
    }
    rows.append(("entry", "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"))
    return rows


def _not_images(part: Part, file: str) -> list[tuple[str, str]]:
    """Describe a file that holds labels or a step size alone, as released sets have beside their
    images; give no line for any other."""
    value = part.images
    if part.labels is not None or not isinstance(value, Tensor):
        return []
    if value.numel() == 1 and value.dtype in (*FLOATING, *INTEGER):
        number = float(value.detach().reshape(()))
        return [
            ("images", "none in the file"),
            ("labels", "none in the file"),
            ("step size", f"{number:.6g}, if that is what its one number is"),
            ("entry", f"step_size: {file} in that of the images' file"),
        ]
    pixels = {
        known.channels * math.prod(limits.sides(known.size))
        for known in plugins.datasets().values()
    }
    if value.ndim not in (1, 2) or (value.ndim == 2 and value.shape[1] in pixels):
        return []
    text, logits = _about_labels(value) if value.numel() <= 1 << 28 else (_shape(value), False)
    keys = f"labels: {file}" + (", labels_are: logits" if logits else "")
    return [
        ("images", "none in the file"),
        ("labels", text),
        ("entry", f"{keys} in that of the images' file"),
    ]


def _fits(images: Tensor, spec: Mapping[str, Any]) -> bool:
    notes: list[str] = []
    return (
        in_order(images, spec["channels"], spec["size"], notes) is not None
        and len(images) % len(spec["classes"]) == 0
    )


def _about_labels(labels: Tensor) -> tuple[str, bool]:
    """Say what labels are, and whether they look like logits."""
    if labels.ndim == 2 and labels.is_floating_point() and labels.shape[1] > 1 and labels.numel():
        wrong = synthetic.improper(labels)
        if wrong is None:
            return (
                f"{_shape(labels)} {_name(labels.dtype)}: probabilities of {labels.shape[1]} "
                "classes",
                False,
            )
        return (
            f"{_shape(labels)} {_name(labels.dtype)}: no probabilities ({wrong}); they look like "
            "logits",
            True,
        )
    if (
        labels.ndim in (1, 2)
        and labels.numel()
        and labels.layout == torch.strided
        and not labels.dtype.is_complex
    ):
        return (
            f"{_shape(labels)} {_name(labels.dtype)}, {float(labels.min()):g} to "
            f"{float(labels.max()):g}",
            False,
        )
    return f"{_shape(labels)} {_name(labels.dtype)}", False


def _by_channel(images: Tensor) -> str:
    if images.ndim != 4 or images.shape[1] != 3:
        return ""
    values = images.double()
    mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3), correction=0)
    return f"; by channel {_row(mean.tolist())} and {_row(std.tolist())}"


def _row(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(map(str, tensor.shape)) + ")"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
