"""Random images under a teacher's labels: the baseline of Qin, Deng and Alvarez-Melis, *A Label is
Worth a Thousand Images in Dataset Distillation*, NeurIPS 2024, arXiv 2406.10485.

Real images are drawn at random; their labels are the mean probabilities that experts give them
after an epoch. A teacher that was stopped early says more of an image than one that is sure of it,
and how early is best depends on how many images there are: unless the epoch is named, it is chosen
on validation images. For each of some epochs, evenly spaced, a network is trained on the set under
that epoch's labels; the epoch whose network is best on the validation images is taken, the earlier
of two alike. Test images are never seen.

The protocol is that of the authors' code (``softlabel/nodistill.py`` and ``evaluate_synset`` of
sunnytqin/no-distillation): 3000 epochs under DSA, the rate times 0.3 after each quarter. DEVIATES:
the authors whiten CIFAR-10 (``normalization: zca``), take one expert, and report the best of every
200th epoch on the test images.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from distillery import networks
from distillery.errors import UserError
from distillery.methods import _coreset, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "Random, soft labels"
KIND = "coreset"
CITATION = {
    "authors": "Qin, Tian and Deng, Zhiwei and Alvarez-Melis, David",
    "title": "A Label is Worth a Thousand Images in Dataset Distillation",
    "venue": "NeurIPS",
    "year": 2024,
    "arxiv": "2406.10485",
}
ORDER = 22
NEEDS_EXPERTS = True
NEEDS_VALIDATION = {"teacher_epoch": ["auto"]}
SETTINGS = {
    **_coreset.TEACHERS,
    "teacher_epoch": {
        "anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}],
        "default": "auto",
        "description": "The epoch of the experts; auto: chosen on validation images.",
    },
    "tries": {
        "type": "integer",
        "minimum": 1,
        "default": 6,
        "description": "Epochs that auto tries, evenly spaced, the last among them.",
    },
    "trial_epochs": {
        "type": "integer",
        "minimum": 1,
        "default": 300,
        "description": "Epochs that a network of a trial is trained.",
    },
}

PROTOCOL = {**base.AUGMENTED, "models": 5, "epochs": 3000, "decay": "quarters"}

# The rest of a trial's recipe is that of the gradient-matching authors' evaluation, with the decay
# at half.
_LR, _MOMENTUM, _DECAY = 0.01, 0.9, 0.0005


def select(task: base.Task) -> base.Result:
    """Draw ``ipc`` random images of each class by ``stream("random")``, and label them.

    A trial's network is drawn by ``stream("trial")`` and its batches by ``stream("batches")``: the
    same for every epoch that is tried.

    Raises:
        UserError: a class has fewer than ``ipc`` images, there are no experts of the network, or no
            validation images where the epoch is to be chosen.
    """
    index = base.ClassIndex(task.labels, task.classes)
    images = task.images[base.draw_real(index, task.ipc, task.stream("random"))]
    teacher, count = _coreset.Teacher(task), task.settings["teachers"]

    def labels(epoch: int) -> Tensor:
        return teacher.probabilities(images, count, epoch).mean(0)

    epoch = task.settings["teacher_epoch"]
    if epoch == "auto":
        epoch = _best(task, images, labels, tried(teacher.epochs, task.settings["tries"]))
    return base.Result(images, labels(epoch))


def tried(epochs: int, number: int) -> list[int]:
    """Choose at most ``number`` of ``epochs`` epochs, evenly spaced, the last among them."""
    number = min(number, epochs)
    return sorted({round(epochs * (place + 1) / number) for place in range(number)})


def _best(
    task: base.Task, images: Tensor, labels: Callable[[int], Tensor], epochs: list[int]
) -> int:
    """Return the epoch under whose labels a network is best on the validation images."""
    if task.held is None:
        raise UserError(
            "soft_random: teacher_epoch auto is decided on validation images, and none are held "
            "out; raise data.validation, or name the epoch"
        )
    held, truth = task.held()

    def accuracy(epoch: int) -> Tensor:
        params, apply = _trained(task, images, labels(epoch))
        with torch.no_grad():
            answers = [apply(params, part).argmax(1) for part in held.split(base.BATCH)]
        return (torch.cat(answers) == truth).double().mean()

    accuracies = [
        float(task.kept(f"epoch {epoch}", functools.partial(accuracy, epoch))) for epoch in epochs
    ]
    return epochs[accuracies.index(max(accuracies))]


def _trained(
    task: base.Task, images: Tensor, labels: Tensor
) -> tuple[dict[str, Tensor], Callable[[Mapping[str, Tensor], Tensor], Tensor]]:
    """Train a network on the set under soft labels (N, K); returns its parameters and itself as a
    pure function."""
    module = base.network(task.network, task.device)
    apply, _ = networks.functional(module)
    params = base.fresh_parameters(module, task.stream("trial"))
    params = {name: value.requires_grad_() for name, value in params.items()}
    batches, epochs = task.stream("batches"), task.settings["trial_epochs"]
    optimiser = torch.optim.SGD(params.values(), lr=_LR, momentum=_MOMENTUM, weight_decay=_DECAY)
    for epoch in range(epochs):
        if epoch == epochs // 2 and epoch:
            optimiser.param_groups[0]["lr"] = _LR / 10
        order = torch.randperm(len(images), generator=batches).to(task.device)
        for rows in order.split(base.BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(apply(params, images[rows]), labels[rows]).backward()
            optimiser.step()
    return {name: value.detach() for name, value in params.items()}, apply


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings, count = sizes.settings, sizes.classes * sizes.ipc
    if settings["teacher_epoch"] != "auto":
        return _coreset.expected_work_of_teachers(sizes, count)
    trials = min(settings["tries"], sizes.expert_epochs)
    batch = min(base.BATCH, count)
    return [
        *_coreset.expected_work_of_teachers(sizes, count, trials),
        ("gradient", trials * settings["trial_epochs"] * -(-count // batch), batch, False, True),
        ("forward", trials * sizes.held / base.BATCH, base.BATCH, False, True),
    ]
