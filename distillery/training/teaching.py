"""Distillation from a teacher: networks learn its answers in the place of the images' labels.

The loss of an image x is T² KL(p ‖ q) with p the teacher's probabilities and q the network's, both
of logits that are divided by the temperature T (Hinton, Vinyals and Dean, *Distilling the Knowledge
in a Neural Network*, 2015, arXiv 1503.02531). T² keeps the gradient's size. x is the image as it is
learned: the teacher answers each batch after augmentation and mixing, as RDED's evaluation does
(arXiv 2312.03526). Labels that the images have, mixed ones too, play no part.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from distillery.training.stack import Stack


@dataclass(frozen=True, eq=False)
class Teacher:
    """Trained networks, whose probabilities are averaged.

    Attributes:
        stack: the networks.
        temperature: T, what logits are divided by.
    """

    stack: Stack
    temperature: float = 1.0

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Answer images (E, B, C, H, W) with probabilities (E, B, K)."""
        flat = images.flatten(0, 1)
        logits = self.stack.logits(flat.expand(self.stack.count, *flat.shape))
        answers = (logits / self.temperature).softmax(-1).mean(0)
        return answers.unflatten(0, images.shape[:2])

    def entropy(self, answers: Tensor) -> Tensor:
        """Return T² times the entropy (E, B) of answers (E, B, K): what the cross-entropy is above
        the divergence, of which no gradient comes."""
        return self.temperature**2 * torch.special.entr(answers).sum(-1)
