"""What a set is worth: fresh networks trained on it, and tested on images that nothing was selected
by."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.recipe import Recipe
from distillery.store.metrics import Metrics
from distillery.training.train import Stack, in_stacks, stack_size, test, train
from distillery.vocabulary import LAST, SNAPSHOT

log = logging.getLogger("distillery")


def curve_epochs(epochs: int, points: int = 20) -> set[int]:
    """The epochs after which a learning curve is measured: at most ``points``, evenly spaced, the
    last among them."""
    return {round(epochs * (i + 1) / min(points, epochs)) for i in range(min(points, epochs))}


def measure(
    metrics: Metrics,
    network: dict[str, Any],
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    recipe: Recipe,
    *,
    models: int,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    curve: int,
    flip_allowed: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[float]:
    """Train ``models`` networks on a set and record how they do: ``accuracy``, ``loss`` and
    ``class_accuracy`` on the test images after the last epoch (selection ``last``), and learning
    curves (``epoch`` set) of training and test.

    Args:
        images: (N, C, H, W) float32 normalised; labels: (N,) int64 or (N, K) float32: the set.
        test_images, test_labels: what is tested on; hard labels.
        curve: at about how many epochs to record the learning curves (0: none): of training for
            every network, of test for the first alone, because on small sets testing costs more
            than training.
        progress: called with the number of epochs done since the last call.

    A class without test images has no ``class_accuracy``.

    Returns:
        The test accuracy of each network after its last epoch.

    Raises:
        UserError: there is no test image.
    """
    if not len(test_images):
        raise UserError(
            "evaluation: there is no test image; a network cannot be judged without one"
        )
    accuracies: list[float] = []
    size = stack_size(network, models, images.device, min(recipe.batch, len(images)))
    on_the_way = curve_epochs(recipe.trained_epochs, curve) if curve else set()
    # The first network is tested along its way, the others at their end.
    testing = {
        "classes": network["classes"],
        "compute": compute,
        "passes": models + len(on_the_way),
    }

    def run(begin: int, count: int) -> None:
        rows = Metrics()
        last: dict[str, Tensor] = {}

        def note(epoch, stack, summary):
            if epoch and progress is not None:
                progress(stack.count)
            for e in range(stack.count if epoch in on_the_way else 0):
                _note(rows, summary, e, model=begin + e, split="train", epoch=epoch)
            if epoch == recipe.trained_epochs:
                last.update(test(stack, test_images, test_labels, **testing))
            if epoch in on_the_way and begin == 0:
                tested = last or test(stack.first(), test_images, test_labels, **testing)
                _note(rows, tested, 0, model=0, split="test", epoch=epoch)

        train(
            network,
            count,
            images,
            labels,
            recipe,
            stream=stream,
            compute=compute,
            flip_allowed=flip_allowed,
            first=begin,
            after_epoch=note,
            calls=-(-models // size),
            tolerant=True,
        )
        for e in range(count):
            _note(rows, last, e, model=begin + e, split="test")
            if not torch.isfinite(last["loss"][e]):
                log.warning(
                    "network %d diverged on these images: its accuracy is that of what is left of "
                    "it",
                    begin + e,
                )
                rows.add("diverged", 1, model=begin + e, selection=LAST, split="test")
            for c, value in enumerate(last["class_accuracy"][e]):
                if torch.isnan(value):
                    continue  # the class has no test image: there is nothing to record
                rows.add(
                    "class_accuracy",
                    value,
                    model=begin + e,
                    selection=LAST,
                    split="test",
                    class_=c,
                )
            accuracies.append(float(last["accuracy"][e]))
        metrics.extend(rows)

    in_stacks(models, size, run)
    return accuracies


def _note(metrics: Metrics, summary: dict[str, Tensor], e: int, **columns: Any) -> None:
    """The loss and accuracy of network ``e`` of a stack. A network that diverged has no loss to
    speak of."""
    for name in ("loss", "accuracy"):
        if torch.isfinite(summary[name][e]):
            metrics.add(name, summary[name][e], selection=LAST, **columns)


def select(
    metrics: Metrics,
    network: dict[str, Any],
    frames: list[tuple[int, Tensor, Tensor, float | None]],
    validation: tuple[Tensor, Tensor],
    tested: tuple[Tensor, Tensor],
    recipe_of: Callable[[float | None], Recipe],
    *,
    models: int,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    test_all: bool = True,
    flip_allowed: bool = False,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Judge every saved snapshot of a distillation, and name the best by two rules.

    ``best_validation`` is the iteration with the highest mean accuracy on the validation images,
    which were held out of the training images; ``best_test`` picks by the test images themselves,
    as the trajectory-matching papers report, and is therefore optimistic. Both rows hold test
    accuracy. Ties go to the earlier iteration.

    Args:
        frames: (iteration, images, labels, step size) of each snapshot, on the device.
        recipe_of: the evaluation recipe for a snapshot's step size.
        test_all: test every snapshot. Otherwise the test images are seen by no snapshot but the
            best on the validation images, and there is no ``best_test``: what a search among
            settings should look at, at half the time.
    """
    splits = {"validation": validation, "test": tested} if test_all else {"validation": validation}
    scores: dict[str, list[float]] = {split: [] for split in splits}
    finals: list[list[float]] = []
    best_stacks: list[Stack] = []
    size = stack_size(network, models, frames[0][1].device, len(frames[0][1]))
    passes = {"classes": network["classes"], "compute": compute, "passes": len(frames) * models}
    for iteration, images, labels, step_size in frames:
        recipe = recipe_of(step_size)
        per_split: dict[str, list[float]] = {split: [] for split in splits}
        stacks: list[Stack] = []

        def run(
            begin: int,
            count: int,
            images=images,
            labels=labels,
            recipe=recipe,
            per_split=per_split,
            stacks=stacks,
        ) -> None:
            stack = train(
                network,
                count,
                images,
                labels,
                recipe,
                stream=stream,
                compute=compute,
                flip_allowed=flip_allowed,
                first=begin,
                calls=len(frames) * -(-models // size),
                tolerant=True,
            )
            for split, held in splits.items():
                per_split[split] += test(stack, *held, **passes)["accuracy"].tolist()
            if not test_all:
                stacks.append(stack)
            if progress is not None:
                progress(count * recipe.trained_epochs)

        in_stacks(models, size, run)
        for split, values in per_split.items():
            for model, value in enumerate(values):
                metrics.add(
                    "accuracy",
                    value,
                    model=model,
                    selection=SNAPSHOT,
                    split=split,
                    iteration=iteration,
                )
            scores[split].append(sum(values) / len(values))
        if test_all:
            finals.append(per_split["test"])
        elif scores["validation"][-1] > max(scores["validation"][:-1], default=-1.0):
            best_stacks = stacks
    for split in splits:
        name = f"best_{split}"
        best = max(
            range(len(frames)), key=lambda index, split=split: (scores[split][index], -index)
        )
        found = (
            finals[best]
            if test_all
            else [a for s in best_stacks for a in test(s, *tested, **passes)["accuracy"].tolist()]
        )
        for model, value in enumerate(found):
            metrics.add(
                "accuracy",
                value,
                model=model,
                selection=name,
                split="test",
                iteration=frames[best][0],
            )
