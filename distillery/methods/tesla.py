"""TESLA: trajectory matching with soft labels (Cui, Wang, Si and Hsieh, ICML 2023, arXiv
2211.10586, section 4.2).

MTT's objective (``mtt``), with labels that a teacher gives the images before the first iteration:

    y_i = softmax(f_theta*(x_i)),

theta* the experts after their last epoch (their logits are averaged). An image that the teacher
takes for another class than its own, as noise is, gets the mean logits of its class's real images
instead: a label must not contradict the class that it stands for.

DEVIATES, twice. The paper's other half, a gradient in constant memory, is not used: it leaves out
how an image's step changes later gradients, and ``unroll`` is exact in the same memory. And the
labels may go on to learn (``lr_labels`` above 0, in the logits so that they stay probabilities), as
Guo et al. (DATM, ICLR 2024, arXiv 2310.05773, section 3.3) do; 0 keeps the teacher's.
"""

import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.methods import _trajectory_matching, base
from distillery.networks import unflatten

TITLE = "TESLA"
KIND = "distilled"
CITATION = {
    "authors": "Cui, Justin and Wang, Ruochen and Si, Si and Hsieh, Cho-Jui",
    "title": "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory",
    "venue": "ICML",
    "year": 2023,
    "arxiv": "2211.10586",
}
ORDER = 50
FACTORED = True
NEEDS_EXPERTS = True
SETTINGS = {
    **_trajectory_matching.SETTINGS,
    "lr_labels": {
        "type": "number",
        "minimum": 0,
        "default": 0,
        "description": "Learning rate of the labels' logits; 0 keeps the teacher's.",
    },
    "teachers": {
        "type": "integer",
        "minimum": 1,
        "default": 5,
        "description": "Experts whose logits are averaged; all, if there are fewer.",
    },
}
PROTOCOL = _trajectory_matching.PROTOCOL

# Real images per class from which its mean logits are taken.
_MOST = 1024


def build(task: base.Task) -> base.Distillation:
    """Match trajectories under a teacher's soft labels; errors are those of
    ``_trajectory_matching`` and of :func:`teach`."""
    return _trajectory_matching.TrajectoryMatching(
        "tesla", task, assign=functools.partial(teach, task)
    )


@torch.no_grad()
def teach(
    task: base.Task,
    apply: Callable[[Mapping[str, Tensor], Tensor], Tensor],
    like: Mapping[str, Tensor],
) -> Tensor:
    """Return the teacher's logits (K·I, K) for the images that the set starts from.

    Of the real images at most 1024 per class stand for the class, drawn by
    ``task.stream("teacher")``.

    Args:
        task: of the distillation.
        apply: the network as a pure function.
        like: its parameters by name.

    Raises:
        UserError: even the mean of a class's real images is another class's: the experts have not
            learned enough to label anything.
    """
    experts, images = task.experts, task.images
    count = min(task.settings["teachers"], experts.number)
    parameters = [
        unflatten(experts.pair(e, experts.epochs, experts.epochs)[0], like) for e in range(count)
    ]

    def logits(x: Tensor) -> Tensor:
        return torch.cat(
            [
                torch.stack([apply(p, part) for p in parameters]).mean(0)
                for part in x.split(base.BATCH)
            ]
        )

    given, targets = logits(task.decode(task.initial)), task.targets
    given = given.view(len(targets), -1, given.shape[1]).mean(1)  # of the images that one holds
    wrong = given.argmax(1) != targets
    if wrong.any():
        index, weights = base.ClassIndex(task.labels, task.classes).draw(
            _MOST, task.stream("teacher")
        )
        for c in targets[wrong].unique().tolist():
            mean = (logits(images[index[c]]) * weights[c][:, None]).sum(0)
            if int(mean.argmax()) != c:
                other = int(mean.argmax())
                raise UserError(
                    f"tesla: the experts take the images of class {c} for class {other}: train "
                    "them longer before they label a set"
                )
            given[wrong & (targets == c)] = mean
    return given


expected_work = _trajectory_matching.expected_work
