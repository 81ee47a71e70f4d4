"""What a method reads to say what its work will be, and how it says it. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Passes of a network over images: forward; a gradient, forward and backward; the gradient of a
# gradient's product with a vector (a step of an unrolled training, backwards); and the gradient of
# a distance of gradients, of several classes at once.
FORWARD, GRADIENT, ADJOINT, MATCHING = KINDS = ("forward", "gradient", "adjoint", "matching")


class Part(NamedTuple):
    """Calls of one kind.

    Attributes:
        kind: one of ``KINDS``.
        calls: how many.
        images: of each call.
        low: whether it may be in bfloat16 where the device has it.
        eager: whether it is never compiled.
        kept: of an adjoint, how many steps keep results for it where they are compiled for a CPU.
    """

    kind: str
    calls: float
    images: float
    low: bool = False
    eager: bool = False
    kept: int = 0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a method's ``expected_work(sizes)`` reads. It returns tuples as :class:`Part` has them,
    whose network is that of the distillation.

    Attributes:
        settings: a value for each key of the method's ``SETTINGS``.
        classes, ipc: of the set.
        factor: how many images one of the set's holds on a side.
        images: real images that it learns from; largest: of them those of a class.
        held: validation images.
        experts, expert_epochs: what it may learn from; 0 without experts.
    """

    settings: Mapping[str, Any]
    classes: int
    ipc: int
    images: int
    largest: int
    held: int
    experts: int = 0
    expert_epochs: int = 0
    factor: int = 1

    @property
    def seen_ipc(self) -> int:
        """Return the images per class that training sees."""
        return self.ipc * self.factor**2
