"""What coresets choose images by: features, and what trained networks think of them."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from distillery import networks
from distillery.errors import UserError
from distillery.methods import base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

FEATURES = {
    "features": {
        "type": "string",
        "enum": ["random_network", "pixels", "expert"],
        "default": "random_network",
        "description": "What images are compared by: embeddings of random networks, pixels, or "
        "embeddings of experts after their last epoch.",
    },
    "networks": {
        "type": "integer",
        "minimum": 1,
        "default": 2,
        "description": "Networks to embed with; all experts, if there are fewer.",
    },
}
NEEDS_EXPERTS = {"features": ["expert"]}
NEEDS_EMBEDDING = {"features": ["random_network", "expert"]}
TEACHERS = {
    "teachers": {
        "type": "integer",
        "minimum": 1,
        "default": 5,
        "description": "Experts whose answers are averaged; all, if there are fewer.",
    },
}
EARLY = {
    "teacher_epoch": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "The epoch of the experts; auto: a tenth of all.",
    },
}
KEEP = {
    "keep": {
        "type": "string",
        "enum": ["hardest", "easiest"],
        "default": "hardest",
        "description": "Which end of the scores is kept: hardest, as published; easiest, which few "
        "images per class need.",
    },
}


Parameters = Mapping[str, Tensor]


# ---- features ------------------------------------------------------------------------------------


def select_by_features(task: base.Task, order: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Choose ``ipc`` images of each class, in the order chosen. ``stream("network", n)`` draws
    random network n.

    Args:
        task: with the settings ``FEATURES``.
        order: gives ``order(features (n, D), ipc)``, the numbers (ipc,) int64 of those chosen.

    Raises:
        UserError: a class has fewer than ``ipc`` images, or the network has batch normalisation, or
            there are no experts of it where there should be.
    """
    index = base.ClassIndex(task.labels, task.classes)
    base.enough(index, task.ipc)
    embeddings = _embeddings(task)

    def choose(members: Tensor) -> Tensor:
        # One class at a time: the features of a whole dataset would not fit a small machine.
        features = (
            base.features(task.images, members, embeddings)
            if embeddings
            else task.images[members].flatten(1)
        )
        return members[order(features, task.ipc)]

    return torch.cat(
        [
            task.kept(f"class {c}", functools.partial(choose, members))
            for c, members in enumerate(index.members)
        ]
    )


def _embeddings(task: base.Task) -> list[Callable[[Tensor], Tensor]]:
    """Return what makes features (n, D) of images, one for each network; none for pixels."""
    settings = task.settings
    if settings["features"] == "pixels":
        return []
    module = base.network(task.network, task.device)
    embed = networks.functional_embed(module)
    if settings["features"] == "expert":
        known = trained(task, settings["networks"], networks.parameters(module))
    else:
        known = [
            base.fresh_parameters(module, task.stream("network", n))
            for n in range(settings["networks"])
        ]
    return [functools.partial(embed, params) for params in known]


# ---- what trained networks think -----------------------------------------------------------------


def trained(
    task: base.Task, count: int, like: Parameters, epoch: int | None = None
) -> list[dict[str, Tensor]]:
    """Return the parameters of the first ``count`` experts after an epoch, by default their last.

    Raises:
        UserError: there are no experts, they are of another network, or were trained shorter.
    """
    experts: Any = task.experts
    base.fitting("this method", experts, like, task.network)
    epoch = experts.epochs if epoch is None else epoch
    if epoch > experts.epochs:
        raise UserError(
            f"teacher_epoch {epoch} is beyond the {experts.epochs} epochs of the experts; lower it"
        )
    return [
        networks.unflatten(experts.pair(number, epoch, epoch)[0], like)
        for number in range(min(count, experts.number))
    ]


class Teacher:
    """The experts of a task as classifiers of images."""

    def __init__(self, task: base.Task) -> None:
        self._task = task
        self._module = base.network(task.network, task.device)
        self._apply, _ = networks.functional(self._module)
        self._like = networks.parameters(self._module)

    @property
    def epochs(self) -> int:
        """How many epochs the experts were trained.

        Raises:
            UserError: there are none.
        """
        base.fitting("this method", self._task.experts, self._like, self._task.network)
        return self._task.experts.epochs

    @torch.no_grad()
    def probabilities(self, images: Tensor, count: int, epoch: int | None = None) -> Tensor:
        """Return the answers (E, N, K) float32 of the first ``count`` experts after an epoch, by
        default the last."""
        known = trained(self._task, count, self._like, epoch)
        return torch.stack(
            [
                torch.cat(
                    [self._apply(params, part).softmax(1) for part in images.split(base.BATCH)]
                )
                for params in known
            ]
        )


def el2n(task: base.Task) -> Tensor:
    """Return how far experts are from each image's label early in their training, (N,) float32: the
    mean over experts of ||p(x) - y||, the EL2N score of Paul, Ganguli and Dziugaite, *Deep Learning
    on a Data Diet*, NeurIPS 2021, arXiv 2107.07075.

    Of the settings it reads ``teachers`` and ``teacher_epoch``; ``auto`` is a tenth of the experts'
    epochs, as the paper's 20 of 200.
    """
    teacher, epoch = Teacher(task), task.settings["teacher_epoch"]
    if epoch == "auto":
        epoch = -(-teacher.epochs // 10)
    answers = teacher.probabilities(task.images, task.settings["teachers"], epoch)
    targets = torch.nn.functional.one_hot(task.labels, task.classes).to(answers.dtype)
    return (answers - targets).norm(dim=2).mean(0)


def forgetting(task: base.Task) -> Tensor:
    """Count how often experts forget each image, (N,) float32: Toneva et al., *An Empirical Study
    of Example Forgetting during Deep Neural Network Learning*, ICLR 2019, arXiv 1812.05159.

    An image is forgotten when it was classified rightly after an epoch and is not after the next;
    the counts of the experts add up. An image that no epoch of an expert classifies rightly counts
    as forgotten once an epoch, and once more: more than any that was learned. DEVIATES: the paper
    looks at an image whenever it is in a batch, here at the end of each epoch, as experts are
    stored.

    Of the settings it reads ``teachers``.
    """
    teacher, count = Teacher(task), task.settings["teachers"]
    epochs = teacher.epochs

    def are_right(epoch: int) -> Tensor:
        return teacher.probabilities(task.images, count, epoch).argmax(2) == task.labels

    right = torch.stack(
        [
            task.kept(f"epoch {epoch}", functools.partial(are_right, epoch))
            for epoch in range(1, epochs + 1)
        ]
    )  # (T, E, N)
    forgotten = (right[:-1] & ~right[1:]).sum(0).float()
    return torch.where(right.any(0), forgotten, float(epochs + 1)).sum(0)


def ranked(scores: Tensor, members: Tensor, generator: torch.Generator, *, hardest: bool) -> Tensor:
    """Order the images ``members`` by their scores, the hardest first or the easiest; the order of
    equals is drawn.

    Returns:
        (n,) int64.
    """
    shuffled = members[torch.randperm(len(members), generator=generator).to(members.device)]
    return shuffled[scores[shuffled].argsort(descending=hardest, stable=True)]


def select_by_score(task: base.Task, score: Callable[[base.Task], Tensor]) -> Tensor:
    """Choose the ``ipc`` images of each class that are hardest, or easiest, as the setting ``keep``
    says. ``stream("ties")`` orders equals.

    Args:
        task: with the settings ``KEEP``, and those that ``score`` reads.
        score: gives how hard each image of the task is, (N,).

    Raises:
        UserError: a class has fewer than ``ipc`` images, or there are no experts of the network.
    """
    index = base.ClassIndex(task.labels, task.classes)
    base.enough(index, task.ipc)
    scores, ties = score(task), task.stream("ties")
    hardest = task.settings["keep"] == "hardest"
    return torch.cat(
        [ranked(scores, members, ties, hardest=hardest)[: task.ipc] for members in index.members]
    )


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that choosing by features takes."""
    if sizes.settings["features"] == "pixels":
        return []
    return [
        ("forward", sizes.settings["networks"] * sizes.images / base.BATCH, base.BATCH, False, True)
    ]


def expected_work_of_teachers(sizes: "Sizes", images: float, epochs: int = 1) -> list[tuple]:
    """Return the passes that teachers' answers take: on so many images, after so many epochs."""
    teachers = min(sizes.settings["teachers"], sizes.experts)
    return [
        (
            "forward",
            epochs * teachers * max(1, images / base.BATCH),
            min(images, base.BATCH),
            False,
            True,
        )
    ]
