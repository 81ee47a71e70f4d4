"""What the label- and augmentation-robust scores are made of: the set and random real images, under
each other's conditions."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.evaluation import evaluate
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training.train import Bench
from distillery.vocabulary import LAST


def random_images(
    images: Tensor, labels: Tensor, wanted: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw for each label of a set one random real image of that class, without replacement.

    Args:
        images: (N, …), what is drawn from.
        labels: (N,) int64, the classes of ``images``.
        wanted: (M,) int64, the classes of the set's images, in their order.
        generator: on the CPU. A class's draws do not depend on how many are wanted of it or of
            others.

    Returns:
        (M, …), on the device of ``images``.

    Raises:
        UserError: a class has fewer images than are wanted.
    """
    home, labels, wanted = images.device, labels.cpu(), wanted.cpu()
    chosen = torch.empty(len(wanted), dtype=torch.int64)
    for label in range(int(max(labels.max(), wanted.max())) + 1):
        rows, places = (labels == label).nonzero().flatten(), (wanted == label).nonzero().flatten()
        order = torch.randperm(len(rows), generator=generator)
        if len(places) > len(rows):
            raise UserError(
                f"the set has {len(places)} images of class {label}, of which there are only "
                f"{len(rows)} real images to draw"
            )
        chosen[places] = rows[order[: len(places)]]
    return images[chosen.to(home)]


def trainings(recipe: Recipe, augment: str, soft: bool) -> dict[str, tuple[str, str, str]]:
    """List what each measure trains on: images (``set`` or ``random``), labels (``own`` or
    ``hard``) and augmentation. Equal ones are one training.

    Args:
        recipe: of the set's evaluation.
        augment: the augmentation whose share is to be taken out.
        soft: the set has soft labels; hard ones are its own.
    """
    return {
        "accuracy_own_labels": ("set", "own", recipe.augment),
        "accuracy_hard_labels": ("set", "hard" if soft else "own", recipe.augment),
        "accuracy_random_same_labels": ("random", "own", recipe.augment),
        "accuracy_augmented": ("set", "own", augment),
        "accuracy_plain": ("set", "own", "none"),
        "accuracy_random_augmented": ("random", "own", augment),
        "accuracy_random_plain": ("random", "own", "none"),
    }


def measure(
    bench: Bench,
    recipe: Recipe,
    images: Images,
    random: Sequence[Tensor],
    tested: Images,
    augment: str,
) -> Metrics:
    """Measure the test accuracies, after the last epoch, that DD-Ranking's scores (arXiv
    2505.13300) are computed from, network by network.

    All use the set's evaluation recipe, its learning rate included; that paper tunes the rate of
    random images, and labels them by a teacher where here they take the labels of the set itself.
    As there, each network has random images of its own: what one draw is worth varies a lot.
    In each measure network m starts and trains as network m of the set's evaluation.

    Args:
        bench: ``progress`` hears of the draws × the epochs of each training that differs.
        recipe: of the set's evaluation.
        images: the set, on the device that computes.
        random: as many random images, class for class in the set's order, for each network: as many
            networks per measure as there are draws.
        tested: test images and their hard labels.
        augment: the augmentation of the measures with one.
    """
    measured = Metrics()
    known: dict[tuple[str, str, str], list[float]] = {}
    labels, splits = {"own": images.labels, "hard": images.hard}, {"test": tested}

    def train(which: str, labelled: str, augmentation: str) -> list[float]:
        changed = replace(recipe, augment=augmentation)
        if which == "set":
            learned = Images(images.images, labels[labelled])
            return evaluate.accuracies(
                evaluate.measure(bench, changed, learned, splits, len(random))
            )
        accuracies = []
        for model, drawn in enumerate(random):
            alone = replace(bench, stream=functools.partial(_numbered, bench.stream, model))
            learned = Images(drawn, labels[labelled])
            accuracies += evaluate.accuracies(
                evaluate.measure(alone, changed, learned, splits, models=1)
            )
        return accuracies

    for name, training in trainings(recipe, augment, images.labels.ndim == 2).items():
        if training not in known:
            known[training] = train(*training)
        for model, accuracy in enumerate(known[training]):
            measured.add(name, accuracy, model=model, selection=LAST, split="test")
    return measured


def _numbered(
    stream: Callable[..., torch.Generator], model: int, purpose: str, _: int, *more: Any
) -> torch.Generator:
    """Give the streams of network ``model`` to one that is trained alone, as number 0."""
    return stream(purpose, model, *more)
