"""ZCA whitening: images whose pixels are decorrelated and that still look like images (Bell and
Sejnowski, Vision Research 1997).

The trajectory-matching authors distil CIFAR-10 at 1 and 10 images per class in this space, by
kornia's ``ZCAWhitening(eps=0.1)`` fitted on the training images. With pixels x in [0, 1] flattened
to D numbers, their mean μ and covariance S = U diag(s) Uᵀ (unbiased, over n − 1), an image becomes
(x − μ) W with W = U diag(1 / √(s + eps)) Uᵀ, and comes back by U diag(√(s + eps)) Uᵀ. Whitened
images have the covariance U diag(s / (s + eps)) Uᵀ. W does not depend on the signs of the
eigenvectors, nor on a basis within equal eigenvalues.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.store import artefact

RULE = "whiten"
EPS = 0.1  # the trajectory-matching authors'
TENSORS = ("mean", "vectors", "values")
# What the names of these begin with in the file of a set, which carries its whitening.
CARRIED = "whitening."
_BLOCK = 2048  # images at a time


@dataclass(frozen=True, eq=False)
class Whitening:
    """Takes pixels into whitened space and back.

    Attributes:
        mean: (C, H, W) float32, of pixels in [0, 1].
        vectors: (D, D) float32 with D = C·H·W: the eigenvectors of the covariance, one per column.
        values: (D,) float32, ascending, none below 0: its eigenvalues.
        eps: added to each eigenvalue.
    """

    mean: Tensor
    vectors: Tensor
    values: Tensor
    eps: float = EPS

    def __post_init__(self) -> None:
        size = self.mean.numel()
        for name, shape in {
            "mean": self.mean.shape,
            "vectors": (size, size),
            "values": (size,),
        }.items():
            tensor = getattr(self, name)
            if self.mean.ndim != 3 or tensor.shape != shape or tensor.dtype != torch.float32:
                raise UserError(
                    f"whitening: {name} are {tensor.dtype} of shape {tuple(tensor.shape)}; float32 "
                    "(C, H, W) and its square are needed"
                )

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that make the whitening, by name."""
        return {name: getattr(self, name) for name in TENSORS}

    @property
    def carried(self) -> dict[str, Tensor]:
        """The tensors as the file of a set holds them."""
        return {CARRIED + name: tensor for name, tensor in self.tensors.items()}

    @functools.cached_property
    def normalization(self) -> dict[str, Any]:
        """The space of whitened images, as headers state it: ``whitening`` is the content digest,
        that of the whitening's own file too."""
        return {"kind": "zca", "eps": self.eps, "whitening": artefact.digest(self.tensors)}

    @functools.cached_property
    def _matrix(self) -> Tensor:
        """W, (D, D) float32."""
        vectors = self.vectors.double()
        return ((vectors * (self.values.double() + self.eps).rsqrt()) @ vectors.T).float()

    def apply(self, images: Tensor) -> Tensor:
        """Whiten images.

        Args:
            images: (N, C, H, W) uint8, or float pixels in [0, 1].

        Returns:
            (N, C, H, W) float32 on the images' device.

        Raises:
            UserError: the images have another shape than those that the whitening was fitted on.
        """
        self._check(images)
        matrix, mean = self._matrix.to(images.device), self.mean.flatten().to(images.device)
        whitened = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        for block, out in zip(images.split(_BLOCK), whitened.split(_BLOCK), strict=True):
            rows = block.flatten(1).float()
            torch.mm(
                (rows if images.is_floating_point() else rows / 255) - mean,
                matrix,
                out=out.flatten(1),  # a view; of no images, too
            )
        return whitened

    def invert(self, images: Tensor) -> Tensor:
        """Bring whitened images back.

        Args:
            images: (N, C, H, W) float.

        Returns:
            (N, C, H, W) float32 on the images' device: pixels, where [0, 1] is what can be shown;
            not clipped.

        Raises:
            UserError: as :meth:`apply`.
        """
        self._check(images)
        vectors, mean = self.vectors.to(images.device), self.mean.to(images.device)
        scales = (self.values + self.eps).sqrt().to(images.device)
        # By the factors: the few images of a set do not earn the inverse matrix back.
        blocks = [
            ((block.flatten(1).float() @ vectors) * scales) @ vectors.T
            for block in images.split(_BLOCK)
        ]
        return torch.cat(blocks).view(images.shape).add_(mean)

    def save(self, path: str | os.PathLike[str], header: dict[str, Any]) -> None:
        """Write the whitening as safetensors, atomically; the same whitening and header give the
        same bytes."""
        artefact.save(path, self.tensors, {**header, "eps": self.eps})

    def _check(self, images: Tensor) -> None:
        if images.shape[1:] != self.mean.shape:
            raise UserError(
                f"whitening: was fitted on images of shape {tuple(self.mean.shape)}, and these are "
                f"{tuple(images.shape)}"
            )


def fit(images: Tensor, eps: float = EPS) -> Whitening:
    """Fit the whitening of a set of images.

    Sums of products of whole numbers are exact in float64 (up to 370,000 images), so the covariance
    does not depend on the order of the images, on blocks or on threads; its eigendecomposition, in
    float64 on the images' device, is all that rounds before the result becomes float32.

    Args:
        images: (N, C, H, W) uint8.
        eps: added to each eigenvalue, above 0.

    Raises:
        UserError: the images are none that can be whitened.
    """
    if images.ndim != 4 or images.dtype != torch.uint8 or len(images) < 2:
        raise UserError(
            f"whitening: images are {images.dtype} of shape {tuple(images.shape)}; uint8 (N, C, H, "
            "W) with N > 1 is needed"
        )
    if not eps > 0:
        raise UserError(
            f"whitening: eps must be above 0, not {eps}: pixels that never vary would be divided "
            "by nothing"
        )
    count, size = len(images), images[0].numel()
    sums = torch.zeros(size, dtype=torch.float64, device=images.device)
    products = torch.zeros(size, size, dtype=torch.float64, device=images.device)
    for block in images.split(_BLOCK):
        rows = block.flatten(1).double()
        sums += rows.sum(0)
        products.addmm_(rows.T, rows)
    covariance = (
        products.mul_(count).sub_(torch.outer(sums, sums)).div_(count * (count - 1) * 255**2)
    )
    values, vectors = torch.linalg.eigh(covariance)
    mean = (sums / (count * 255)).view(images.shape[1:])
    # Rounding may leave an eigenvalue of zero a little below it.
    return Whitening(
        mean.float(), vectors.float().contiguous(), values.clamp(min=0).float(), float(eps)
    )


def load(path: str | os.PathLike[str]) -> Whitening:
    """Read what :meth:`Whitening.save` wrote.

    Raises:
        UserError: the file is missing, damaged, or no whitening.
    """
    tensors, header = artefact.load(path, rule=RULE)
    if tensors.keys() != set(TENSORS) or "eps" not in header:
        raise UserError(
            f"{path}: is not a whitening; delete it and run snakemake again: the rule {RULE} "
            "re-creates it"
        )
    return Whitening(**tensors, eps=header["eps"])


def carried(tensors: dict[str, Tensor], header: dict[str, Any]) -> Whitening | None:
    """Take the whitening that the file of a set carries from its tensors and header; ``None`` where
    it carries none."""
    parts = {name: tensors[CARRIED + name] for name in TENSORS if CARRIED + name in tensors}
    return (
        Whitening(**parts, eps=header["normalization"]["eps"])
        if len(parts) == len(TENSORS)
        else None
    )


def given(paths: Sequence[str | os.PathLike[str]]) -> Whitening | None:
    """Read the whitening of a job that may be given one: that of the only path, or ``None`` where
    there is none."""
    return load(*paths) if paths else None
