"""Images with their labels, as they are learned from and tested on."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images on one device.

    Attributes:
        images: (N, C, H, W) float32, normalised.
        labels: (N,) int64, or soft ones: (N, K) float32 probabilities.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> "Images":
        """Select ``rows``, an index (…,) or a slice: images (…, C, H, W) and their labels."""
        return Images(self.images[rows], self.labels[rows])

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    @property
    def hard(self) -> Tensor:
        """The labels (N,) int64, of soft ones the likeliest class."""
        return self.labels.argmax(dim=1) if self.labels.ndim == 2 else self.labels

    def to(self, device: torch.device | str) -> "Images":
        """Move images and labels to ``device``."""
        return Images(self.images.to(device), self.labels.to(device))
