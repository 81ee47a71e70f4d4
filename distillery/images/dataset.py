"""Read a dataset as every job does: uint8 tensors in one checked file, all on the job's device."""

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from distillery.errors import UserError
from distillery.images import normalization
from distillery.limits import sides
from distillery.store import artefact
from distillery.streams import generator

RULE = "download or prepare"
TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass
class Arrays:
    """A dataset as it was decoded and checked.

    Attributes:
        spec: the ``SPEC`` of the dataset's module, or what was found in a dataset of a user's own.
        train_images, test_images: (N, C, H, W) uint8.
        train_labels, test_labels: (N,) uint8; int64 where there are more classes than that holds.
        source: what served it, such as ``registry``.
        digests: SHA-256 (hex) of each array's raw bytes, by the names of ``TENSORS``.
    """

    spec: dict[str, Any]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    digests: dict[str, str]


@dataclass
class Dataset:
    """Labelled images on one device.

    Attributes:
        images, test_images: (N, C, H, W) uint8.
        labels, test_labels: (N,) int64.
        held_out: how many of the last images are the validation part, where the dataset has one of
            its own; ``None`` where it has not.
        classes: the names of the classes.
        mean, std: of each channel, of pixels in [0, 1]; the constants that the literature
            normalises with.
        licence, home: the dataset's terms and its page.
        source: what served it.
        horizontal_flip: a mirror image keeps its class, so augmentation may flip.
        digests: SHA-256 of the raw bytes of each array, as it was decoded.
        whitening: the ``whitening.Whitening`` whose space the networks see, or ``None``: channel by
            channel.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    source: str
    horizontal_flip: bool
    home: str = ""
    digests: dict[str, str] | None = None
    held_out: int | None = None
    # Untyped: whoever whitens nothing must not be stale when `whitening` changes.
    whitening: Any = None

    @property
    def normalization(self) -> dict[str, Any]:
        """The space that the networks see, as headers state it."""
        if self.whitening is not None:
            return self.whitening.normalization
        return {"kind": "channel", "mean": list(self.mean), "std": list(self.std)}

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Bring images (N, C, H, W) uint8 to float32 of the same shape: (x / 255 - mean) / std,
        channel by channel, or whitened."""
        return normalization.normalise(images, self.normalization, self.whitening)

    def denormalise(self, images: torch.Tensor) -> torch.Tensor:
        """Bring images (…, C, H, W) float in normalised space back to pixels in [0, 1], clipped."""
        return normalization.pixels(images, self.normalization, self.whitening).clamp(0, 1)


@dataclass
class Split:
    """Rows of a training set, each once.

    Attributes:
        train_index: int64, ascending: what is learned from.
        validation_index: int64, ascending: what selection is made on. May be empty.
    """

    train_index: torch.Tensor
    validation_index: torch.Tensor


def write(arrays: Arrays, path: str | os.PathLike[str]) -> None:
    """Write the one file of a dataset, atomically. The same arrays and source give the same
    bytes."""
    tensors = {
        name: torch.from_numpy(np.require(getattr(arrays, name), requirements=["C", "W"]))
        for name in TENSORS
    }
    artefact.save(
        path, tensors, {"spec": arrays.spec, "source": arrays.source, "digests": arrays.digests}
    )


def load(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", whitening: Any = None
) -> Dataset:
    """Read what :func:`write` wrote, check it, and move it to ``device``.

    Args:
        path: of the file.
        device: where the tensors go.
        whitening: the ``whitening.Whitening`` by which the networks shall see the images; ``None``:
            channel by channel.

    Raises:
        UserError: the file is missing, cut short, changed, or no dataset; it names the rule that
            re-creates the file.
    """
    tensors, header = artefact.load(path, rule=RULE)
    try:
        spec, source, digests = header["spec"], header["source"], header["digests"]
        if tensors.keys() != set(TENSORS):
            raise ValueError(
                f"it holds {', '.join(sorted(tensors)) or 'nothing'}, not {', '.join(TENSORS)}"
            )
        check(spec, {name: tensor.numpy() for name, tensor in tensors.items()})
        return Dataset(
            name=spec["name"],
            images=tensors["train_images"].to(device),
            labels=tensors["train_labels"].to(device, torch.int64),
            test_images=tensors["test_images"].to(device),
            test_labels=tensors["test_labels"].to(device, torch.int64),
            classes=tuple(spec["classes"]),
            mean=tuple(spec["mean"]),
            std=tuple(spec["std"]),
            licence=spec["licence"],
            source=source,
            horizontal_flip=spec["horizontal_flip"],
            home=spec["home"],
            digests=digests,
            held_out=spec.get("validation") or None,
            whitening=whitening,
        )
    except KeyError as error:
        reason = f"its header lacks {error}"
    except (TypeError, ValueError) as error:
        reason = str(error)
    raise UserError(
        f"{path}: is not a dataset ({reason}); delete it and run snakemake again: the rule {RULE} "
        "re-creates it"
    )


def labels_type(classes: int) -> np.dtype:
    """Return the type of labels in a file: uint8 where it holds the number of each class."""
    return np.dtype(np.uint8 if classes <= 256 else np.int64)


def check(spec: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Compare a dataset's four arrays, by the names of ``TENSORS``, with its ``SPEC``.

    Raises:
        ValueError: a shape, dtype, label or class count is not what ``spec`` says.
    """
    image = (spec["channels"], *sides(spec["size"]))
    label = labels_type(len(spec["classes"]))
    for part in ("train", "test"):
        for name, dtype, shape in (
            (f"{part}_images", np.dtype(np.uint8), (spec[part], *image)),
            (f"{part}_labels", label, (spec[part],)),
        ):
            array = arrays[name]
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"{name} are {array.dtype} of shape {array.shape}; {dtype} of shape {shape} is "
                    "needed"
                )
        highest = int(arrays[f"{part}_labels"].max())
        if highest >= len(spec["classes"]):
            raise ValueError(
                f"{part}_labels go up to {highest}; {spec['name']} has classes 0 to "
                f"{len(spec['classes']) - 1}"
            )
    smallest = int(np.bincount(arrays["train_labels"], minlength=len(spec["classes"])).min())
    if smallest != spec["smallest_class"]:
        raise ValueError(
            f"the smallest class has {smallest} training images; {spec['name']} has "
            f"{spec['smallest_class']}"
        )


def limited(labels: torch.Tensor, per_class: int) -> torch.Tensor:
    """Find the rows of the first ``per_class`` images of each class, in their order; all of them
    for 0."""
    if not per_class:
        return torch.arange(len(labels), device=labels.device)
    first = [(labels == c).nonzero(as_tuple=True)[0][:per_class] for c in labels.unique()]
    return torch.cat(first).sort().values


def split(dataset: Dataset | torch.Tensor, fraction: float, seed: int) -> Split:
    """Hold out ``fraction`` of each class, rounded down, for validation. The same arguments give
    the same split. Of a dataset that has a validation part of its own that is held out, whatever
    the fraction above 0.

    Args:
        dataset: a dataset, or its labels, (N,) int64.
        fraction: in [0, 1); 0 holds out nothing.
        seed: of the study.

    Returns:
        Indices on the labels' device.

    Raises:
        UserError: ``fraction`` is outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise UserError(f"data.validation: must be at least 0 and below 1, not {fraction}")
    labels = dataset.labels if isinstance(dataset, Dataset) else dataset
    device, labels = labels.device, labels.cpu()
    held = torch.zeros(len(labels), dtype=torch.bool)
    if fraction and isinstance(dataset, Dataset) and dataset.held_out:
        rows = torch.arange(len(labels), device=device)
        return Split(rows[: -dataset.held_out], rows[-dataset.held_out :])
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator(seed, "validation", label))
        held[rows[order[: int(fraction * len(rows))]]] = True
    return Split((~held).nonzero().flatten().to(device), held.nonzero().flatten().to(device))


def of_classes(
    dataset: Dataset, classes: list[int], per_class: int, fraction: float, seed: int
) -> Dataset:
    """Take some classes out of a dataset: what is seen where no other class is there.

    Args:
        dataset: of all classes.
        classes: which; the new label of each is its place among them.
        per_class: the first so many training images of each; 0: all.
        fraction: as :func:`split` takes it; what that holds out is the validation part of what is
            returned.
        seed: of the study.
    """
    new = torch.full((len(dataset.classes),), -1)
    new[torch.tensor(classes)] = torch.arange(len(classes))
    new = new.to(dataset.labels.device)
    seen = torch.zeros(len(dataset.labels), dtype=torch.bool, device=new.device)
    seen[limited(dataset.labels, per_class)] = True
    seen &= new[dataset.labels] >= 0
    parts = split(dataset, fraction, seed)
    learned, held = (rows[seen[rows]] for rows in (parts.train_index, parts.validation_index))
    rows, tested = torch.cat([learned, held]), new[dataset.test_labels] >= 0
    return replace(
        dataset,
        images=dataset.images[rows],
        labels=new[dataset.labels[rows]],
        test_images=dataset.test_images[tested],
        test_labels=new[dataset.test_labels[tested]],
        classes=tuple(dataset.classes[c] for c in classes),
        held_out=len(held) or None,
    )
