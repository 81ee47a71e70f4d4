"""How a network is trained: the recipe that a synthetic set is made for, and by which sets are
compared."""

import math
from dataclasses import dataclass, fields
from typing import Any

# What settings may leave out: protocols of the literature have SGD, and no mixing.
_LEFT_OUT = ("optimiser", "mix")
# Decays that leave the momentum as it is.
SMOOTH = ("cosine", "cosine_to_half", "fifths", "quarters")
# How many parts of equal length a decay has, and what the rate is multiplied by after each.
STEPS = {"fifths": (5, 0.5), "quarters": (4, 0.3)}
UNLEARNED = 0.01  # the learning rate where a set's own is asked for and its method learns none


@dataclass(frozen=True)
class Recipe:
    """How a network is trained on the cross-entropy, soft or hard labels alike.

    Attributes:
        epochs: passes over the images, as a protocol counts them; ``trained_epochs`` are made.
        lr: learning rate.
        momentum, weight_decay: of the optimiser; AdamW's averages have rates of their own, 0.9
            and 0.999.
        batch: images a step (the last batch of an epoch is smaller).
        decay: ``none``: a constant rate. ``half``: the rate is multiplied by 0.1 after epoch
            ``epochs // 2 + 1``, and the momentum starts at zero. ``published``: what the
            gradient-matching authors' code does with ``epochs``, which trajectory matching took
            over (``evaluate_synset``): its loop counts from 0 to ``epochs`` inclusive and drops the
            rate at the end of number ``epochs // 2 + 1``. It so trains one epoch more, and ``epochs
            // 2 + 2`` of them at the first rate. ``cosine``: half a cosine from ``lr`` towards 0,
            epoch by epoch (Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983, without restarts).
            ``cosine_to_half``: the first half of that, stretched over all epochs, which ends at
            half of ``lr``. ``fifths``: the rate is halved after each fifth of the epochs.
            ``quarters``: it is multiplied by 0.3 after each quarter. With these four the momentum
            stays.
        augment: name of an augmentation strategy, or ``none``.
        optimiser: ``sgd``, or ``adamw`` (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101).
        mix: what is made of pairs of images and of their labels
            (:mod:`distillery.training.mixing`): ``none``, ``mixup`` or ``cutmix``.
    """

    epochs: int
    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 256
    decay: str = "none"
    augment: str = "none"
    optimiser: str = "sgd"
    mix: str = "none"

    @property
    def trained_epochs(self) -> int:
        """Return how many passes over the images are really made."""
        return self.epochs + (self.decay == "published")

    @property
    def last_full_epoch(self) -> int:
        """Return the last epoch (1-based) before the drop to a tenth; the last of all where there
        is none."""
        if self.decay in ("none", *SMOOTH):
            return self.trained_epochs
        return min(self.trained_epochs, self.epochs // 2 + (2 if self.decay == "published" else 1))

    def rate(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (1-based)."""
        done = (epoch - 1) / self.trained_epochs
        if self.decay == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.decay == "cosine_to_half":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done / 2))
        if self.decay in STEPS:
            parts, factor = STEPS[self.decay]
            return self.lr * factor ** sum(
                epoch > self.epochs * n // parts for n in range(1, parts)
            )
        return self.lr * 0.1 if epoch > self.last_full_epoch else self.lr

    def steps(self, count: int) -> int:
        """Count the optimiser steps on ``count`` images."""
        return self.trained_epochs * -(-count // self.batch)

    @classmethod
    def of(cls, settings: dict[str, Any], step_size: float | None = None) -> "Recipe":
        """Read the recipe from a study's settings, which may hold more.

        Args:
            settings: a value for each attribute, but perhaps for ``optimiser`` and ``mix``, which
                protocols leave out; an ``lr`` of ``learned`` is the set's own step size, or 0.01
                where it has none.
            step_size: the learning rate that a set learned.

        Raises:
            KeyError: ``settings`` lacks an attribute.
        """
        values: dict[str, Any] = {
            attribute.name: settings[attribute.name]
            for attribute in fields(cls)
            if attribute.name in settings or attribute.name not in _LEFT_OUT
        }
        learned = UNLEARNED if step_size is None else step_size
        values["lr"] = learned if values["lr"] == "learned" else values["lr"]
        return cls(**values)
