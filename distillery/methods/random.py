"""Random: as many real images per class as asked for, drawn without replacement. The baseline that
every method must beat."""

from typing import TYPE_CHECKING

from torch import Tensor

from distillery.methods import base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "Random"
KIND = "coreset"
ORDER = 20
COLOUR = 7
NEEDS_NETWORK = False
SETTINGS = {}


def select(task: base.Task) -> Tensor:
    """Choose ``ipc`` random training images of each class, drawn by ``stream("random")``.

    Raises:
        UserError: a class has fewer than ``ipc`` images.
    """
    return base.draw_real(
        base.ClassIndex(task.labels, task.classes), task.ipc, task.stream("random")
    )


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    return []
