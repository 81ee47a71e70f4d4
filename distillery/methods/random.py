"""Random: as many real images per class as asked for, drawn without replacement. The baseline that
every method must beat."""

import torch

from distillery.methods import base

TITLE = "Random"
KIND = "coreset"
ORDER = 20
COLOUR = 7
NEEDS_NETWORK = False
SETTINGS = {}


def distill(task: base.Task) -> base.Result:
    """Choose ``ipc`` random training images of each class; the start is not used.
    ``stream("random")`` draws them, and the recorder gets them once, as iteration 0.

    Raises:
        UserError: a class has fewer than ``ipc`` images.
    """
    chosen = base.initial_images(
        "real", task.images, task.labels, task.classes, task.ipc, task.stream("random")
    )
    task.recorder.iteration(0, loss=torch.tensor(float("nan")), images=chosen)
    return base.Result(chosen, task.targets)
