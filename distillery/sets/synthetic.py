"""The synthetic set: the one format that every method writes and every measurement reads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils.data import Dataset

from distillery import __version__
from distillery.errors import UserError
from distillery.images import formation, normalization
from distillery.images.dataset import Dataset as RealDataset
from distillery.images.whitening import Whitening, carried
from distillery.recipe import Recipe
from distillery.store import artefact

TOLERANCE = 0.01  # of the sum of a row of probabilities: 1000 classes in bfloat16


@dataclass
class SyntheticSet(Dataset):
    """A labelled set of synthetic images; a ``torch.utils.data.Dataset`` of (image, label) pairs.

    Attributes:
        images: (N, C, H, W) float32, in normalised space (see ``header["normalization"]``), not
            clipped: those that training sees.
        labels: (N,) int64 classes, or (N, K) float32 class probabilities.
        step_size: the learning rate that belongs to the set, where the method learns one.
        header: ``dataset``, ``normalization`` (``kind``, and ``mean`` and ``std`` or what
            :class:`Whitening` says), ``classes``, ``method``, ``init``, ``ipc``, ``seed``,
            ``settings``, ``iterations``, ``version``, ``code`` and ``protocol`` (how networks are
            trained on it where its method was published, see :meth:`recipe`; ``None``: not known),
            ``of`` (the method that it is a variant of; ``None``: none), ``experts`` (what it
            learned from, as ``trajectories.about`` says; ``None``: nothing), and ``plugin`` of a
            set whose method came from outside the library: its ``file``, ``kind`` and ``title``,
            and ``start`` of one that started from a set: its ``name``, the digest of the ``images``
            and what it is a set ``of``, where that is known, and ``factor`` of one whose stored
            images hold several each, on a side (:mod:`distillery.images.formation`).
        whitening: of a set in whitened space, whose file carries it: the test images must go the
            same way, and pictures back.
        stored: of a set with a ``factor`` f, its images (N / f², C, H, W) as the file has them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    step_size: float | None = None
    header: dict[str, Any] = field(default_factory=dict)
    whitening: Whitening | None = None
    stored: torch.Tensor | None = None

    def __post_init__(self) -> None:
        check(self.images, self.labels, classes=len(self.header["classes"]), where="synthetic set")
        stated = self.header.get("normalization") or {}
        if stated.get("kind") == "zca" and (
            self.whitening is None or stated != self.whitening.normalization
        ):
            raise UserError(
                f"synthetic set: its header says {stated} and the whitening "
                f"{'is not there' if self.whitening is None else 'is another one'}"
            )
        held = 1 if self.stored is None else len(self.images) / len(self.stored)
        if held != self.factor**2:
            raise UserError(
                f"synthetic set: its header says factor {self.factor}, and a stored image holds "
                f"{held:g}; SyntheticSet.decoded makes a set of stored images"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[index], self.labels[index]

    @property
    def factor(self) -> int:
        """Return how many images a stored one holds on a side; 1: it is one itself."""
        return self.header.get("factor", 1)

    @property
    def hard_labels(self) -> torch.Tensor:
        """Return the labels (N,) int64: those of the set, or the likeliest class of soft labels."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(dim=1)

    def hard(self) -> "SyntheticSet":
        """Return the set with one class per image: the likeliest of soft labels."""
        return replace(self, labels=self.hard_labels)

    def pixels(self) -> torch.Tensor:
        """Bring the images back to pixel space: (N, C, H, W) uint8 on the CPU, clipped and rounded.

        Raises:
            UserError: the header does not say how the images were normalised.
        """
        return normalization.to_bytes(
            normalization.pixels(self.images.detach().cpu(), self._space(), self.whitening)
        )

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Bring other images, such as those to test on, into the space of this set.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            float32 of the same shape, on the same device.

        Raises:
            UserError: wrong dtype or number of channels, or the header does not say how the images
                were normalised.
        """
        space = self._space()
        if (
            images.dtype != torch.uint8
            or images.ndim != 4
            or images.shape[1] != self.images.shape[1]
        ):
            raise UserError(
                f"normalise: images are {images.dtype} of shape {tuple(images.shape)}; uint8 (N, "
                f"{self.images.shape[1]}, H, W) is needed"
            )
        return normalization.normalise(images, space, self.whitening)

    def _space(self) -> dict[str, Any]:
        """Read from the header how the images were normalised."""
        stated = self.header.get("normalization") or {}
        kind = stated.get("kind")
        if kind not in normalization.KINDS or (
            kind == "channel" and not {"mean", "std"} <= stated.keys()
        ):
            raise UserError(
                f"synthetic set: its normalization is {stated or 'not stated'}; `kind: channel` "
                "with `mean` and `std`, or `kind: zca`, is needed"
            )
        return stated

    def recipe(self) -> Recipe:
        """Return the recipe by which a network is trained on this set: the evaluation protocol that
        belongs to it, with the learned step size in its place.

        Raises:
            UserError: the set brings no protocol, as those that others released do not, or half of
                one.
        """
        protocol = self.header.get("protocol")
        if not protocol:
            raise UserError(
                "synthetic set: it brings no protocol; train on it by a recipe of your own "
                "(distillery.recipe.Recipe)"
            )
        try:
            return Recipe.of(protocol, self.step_size)
        except KeyError as error:
            raise UserError(
                f"synthetic set: its protocol lacks {error}; train on it by a recipe of your own "
                "(distillery.recipe.Recipe)"
            ) from error

    def tensors(self) -> dict[str, torch.Tensor]:
        """Collect the tensors that :meth:`save` writes beside the header: of a set with a
        ``factor`` the stored images, and a label for each of these."""
        tensors = {"images": self.images, "labels": self.labels}
        if self.stored is not None:
            tensors = {"images": self.stored, "labels": self.labels[:: self.factor**2]}
        if self.whitening is not None:
            tensors |= self.whitening.carried
        if self.step_size is not None:
            tensors["step_size"] = torch.tensor(self.step_size, dtype=torch.float64)
        return tensors

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the set as safetensors, atomically; the same set gives the same bytes."""
        artefact.save(path, self.tensors(), self.header)

    @classmethod
    def decoded(
        cls,
        images: torch.Tensor,
        labels: torch.Tensor,
        step_size: float | None,
        header: dict[str, Any],
        whitening: Whitening | None = None,
    ) -> "SyntheticSet":
        """Make a set of images as they are stored; the arguments are else those of the class.

        Raises:
            UserError: the header has a ``factor`` that is none of these images.
        """
        factor = header.get("factor", 1)
        if factor == 1:
            return cls(images, labels, step_size, header, whitening)
        sides = images.shape[2:]
        if type(factor) is not int or factor < 1 or any(side % factor for side in sides):
            raise UserError(
                f"synthetic set: its header says factor {factor!r}, which does not divide images "
                f"of shape {tuple(images.shape)}"
            )
        seen, each = formation.decode(images, factor), labels.repeat_interleave(factor**2, 0)
        return cls(seen, each, step_size, header, whitening, images)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, rule: str | None = "distill") -> "SyntheticSet":
        """Read a set that :meth:`save` wrote.

        Args:
            path: the file.
            rule: the rule that made the file, named when the file is damaged; ``None`` where no
                rule of a study made it.

        Raises:
            UserError: the file is missing or damaged, or is no synthetic set.
        """
        tensors, header = artefact.load(path, rule=rule)
        if not {"images", "labels"} <= tensors.keys() or "classes" not in header:
            raise UserError(
                f"{path}: is not a synthetic set: it needs tensors `images` and `labels` and a "
                "header with `classes`"
            )
        step = tensors.get("step_size")
        return cls.decoded(
            tensors["images"],
            tensors["labels"],
            None if step is None else float(step),
            header,
            carried(tensors, header),
        )


def header(
    source: RealDataset,
    cell: Mapping[str, Any],
    *,
    settings: dict[str, Any],
    network: dict[str, Any] | None,
    iterations: int,
    code: str,
    protocol: dict[str, Any] | None = None,
    of: str | None = None,
    experts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Collect what a set says of itself: everything that is needed to use it and to trace it, as
    JSON types.

    Args:
        source: what the set was made from.
        cell: the set's place in the study: ``dataset``, ``method``, ``init``, ``ipc``, ``seed``.
        settings: of the method, all of them.
        network: the arguments of the ``NetworkSpec``; ``None`` where the method runs none.
        iterations: how many were made.
        code: the digest of the code that made it.
        protocol: how networks are trained on such sets in the literature.
        of: the method that its method is a variant of.
        experts: what it learned from: recipe, number, epochs, digests.
    """
    return {
        **{name: cell[name] for name in ("dataset", "method", "init", "ipc", "seed")},
        "classes": list(source.classes),
        "normalization": source.normalization,
        "licence": source.licence,
        "home": source.home,
        "of": of,
        "settings": settings,
        "network": network,
        "iterations": iterations,
        "version": __version__,
        "code": code,
        "protocol": protocol,
        "experts": experts,
    }


def check(images: torch.Tensor, labels: torch.Tensor, *, classes: int, where: str) -> None:
    """Refuse what cannot be a synthetic set of ``classes`` classes.

    Raises:
        UserError: wrong number of dimensions or dtype, lengths that differ, values that are not
            finite, labels out of range, soft labels that are no probabilities.
    """
    if images.ndim != 4 or images.dtype != torch.float32 or len(images) == 0:
        raise UserError(
            f"{where}: images are {images.dtype} of shape {tuple(images.shape)}; float32 (N, C, H, "
            "W) with N > 0 is needed"
        )
    if labels.ndim not in (1, 2) or len(labels) != len(images):
        raise UserError(
            f"{where}: labels of shape {tuple(labels.shape)} do not go with {len(images)} images; "
            "(N,) or (N, K) is needed"
        )
    if not torch.isfinite(images).all():
        raise UserError(f"{where}: images hold NaN or infinite values")
    if labels.ndim == 1:
        if labels.dtype != torch.int64:
            raise UserError(f"{where}: hard labels are {labels.dtype}; int64 is needed")
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise UserError(
                f"{where}: labels run from {int(labels.min())} to {int(labels.max())}; this "
                f"dataset has classes 0 to {classes - 1}"
            )
    elif (
        labels.dtype != torch.float32
        or labels.shape[1] != classes
        or not torch.isfinite(labels).all()
    ):
        raise UserError(
            f"{where}: soft labels are {labels.dtype} of shape {tuple(labels.shape)}; finite "
            f"float32 (N, {classes}) is needed"
        )
    elif wrong := improper(labels):
        raise UserError(
            f"{where}: soft labels are no probabilities ({wrong}); the softmax of logits is needed"
        )


def improper(labels: torch.Tensor) -> str | None:
    """Say why soft labels, (N, K) finite floats, are no probabilities; ``None`` where they are.

    Each row must sum to 1 but for what bfloat16 rounds off, and nothing may be below 0: what
    cross-entropy makes of logits taken for probabilities still trains a network, a bad one.
    """
    values = labels.double()
    lowest, sums = float(values.min()), values.sum(1)
    if lowest >= 0 and float((sums - 1).abs().max()) <= TOLERANCE:
        return None
    return (
        f"lowest {lowest:.3g}, rows that sum to {float(sums.min()):.3g} to {float(sums.max()):.3g}"
    )
