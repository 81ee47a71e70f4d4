"""What a set is worth: fresh networks trained on it, and tested on images that nothing was selected
by."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.evaluation import imbalance
from distillery.evaluation.confusion import Confusion
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints
from distillery.store.ledger import Call
from distillery.store.metrics import Metrics
from distillery.training.stack import Stack, architecture_of, in_stacks, stack_size
from distillery.training.train import Bench, test, train
from distillery.vocabulary import LAST, SNAPSHOT

log = logging.getLogger("distillery")


def curve_epochs(epochs: int, points: int = 20) -> set[int]:
    """Choose the epochs after which a learning curve is measured: at most ``points``, evenly
    spaced, the last among them."""
    return {round(epochs * (i + 1) / min(points, epochs)) for i in range(min(points, epochs))}


def measure(
    bench: Bench,
    recipe: Recipe,
    images: Images,
    splits: Mapping[str, Images],
    models: int,
    curve: int = 0,
    confusion: Confusion | None = None,
) -> Metrics:
    """Train ``models`` networks on a set and test them: ``accuracy``, ``loss`` and
    ``class_accuracy`` on the test images after the last epoch (selection ``last``), and learning
    curves (``epoch`` set) of training and test. Where the test images' classes are uneven or two
    (:mod:`distillery.evaluation.imbalance`), ``balanced_accuracy`` and ``auroc`` too.

    Args:
        bench: what the networks are trained with.
        recipe: how they are trained.
        images: the set, on the device that computes.
        splits: what is tested on, hard labels: ``test``, and ``validation`` where each network's
            accuracy after the last epoch shall be noted on images held out, too, by which methods
            can be chosen.
        models: how many networks.
        curve: at about how many epochs to record the learning curves (0: none): of training for
            every network, of test for the first alone, because on small sets testing costs more
            than training.
        confusion: counts which classes the test images are taken for, after the last epoch.

    A class without test images has no ``class_accuracy``.

    Raises:
        UserError: there is no test image.
    """
    tested, held = splits["test"], splits.get("validation", ())
    if not len(tested):
        raise UserError(
            "evaluation: there is no test image; a network cannot be judged without one"
        )
    measured, call = Metrics(), bench.ledger.call()
    measured.rows += call.rows
    if confusion is not None:
        confusion.resumed(call.tensors.values())
    bench.progress(call.done * recipe.trained_epochs)
    size = stack_size(bench.network, models, images.device, min(recipe.batch, len(images)))
    bench = replace(bench, calls=-(-models // size))
    keep = imbalance.uneven(tested.labels, bench.network.classes)
    on_the_way = curve_epochs(recipe.trained_epochs, curve) if curve else set()
    more = {"keep": keep, "answers": confusion is not None}
    # The first network is tested along its way, the others at their end.
    passes = models + len(on_the_way)

    def run(part: range) -> None:
        rows = Metrics()
        training = call.training(part, rows.rows)
        last: dict[str, Tensor] = {}

        def note(epoch: int, stack: Stack, summary: dict[str, Tensor]) -> None:
            if epoch in on_the_way:
                for e, model in enumerate(part):
                    _note(rows, summary, e, model=model, split="train", epoch=epoch)
            if epoch == recipe.trained_epochs:
                last.update(test(stack, tested, bench.compute, passes=passes, **more))
            if epoch in on_the_way and 0 in part:
                first = last or test(stack.first(), tested, bench.compute, passes=passes)
                _note(rows, first, 0, model=0, split="test", epoch=epoch)

        stack = train(
            bench, recipe, images, part, after_epoch=note, tolerant=True, checkpoint=training
        )
        validated = test(stack, held, bench.compute, passes=models) if held else {}
        for e, model in enumerate(part):
            _note_last(rows, last, e, model)
            _note_validated(rows, validated, e, model)
            if keep:
                _note_uneven(rows, last, e, model, tested.labels)
        measured.extend(rows)
        counted = confusion and {str(part.start): confusion.count(tested.labels, last["answers"])}
        call.finish(part, rows.rows, counted)

    in_stacks(range(call.done, models), call.size or size, run)
    return measured


def accuracies(measured: Metrics) -> list[float]:
    """Read each network's test accuracy after its last epoch from what :func:`measure` gave."""
    return [
        row["value"]
        for row in measured.rows
        if row["measure"] == "accuracy" and row["split"] == "test" and "epoch" not in row
    ]


def _note(metrics: Metrics, summary: dict[str, Tensor], e: int, **columns: Any) -> None:
    """Note the loss and accuracy of network ``e`` of a stack. A network that diverged has no loss
    to speak of."""
    for name in ("loss", "accuracy"):
        if torch.isfinite(summary[name][e]):
            metrics.add(name, float(summary[name][e]), selection=LAST, **columns)


def _note_last(metrics: Metrics, last: dict[str, Tensor], e: int, model: int) -> None:
    """Note what the test after the last epoch gave of network ``e`` of a stack, number
    ``model``."""
    _note(metrics, last, e, model=model, split="test")
    columns = {"model": model, "selection": LAST, "split": "test"}
    if not torch.isfinite(last["loss"][e]):
        log.warning(
            "network %d diverged on these images: its accuracy is that of what is left of it", model
        )
        metrics.add("diverged", 1, **columns)
    for c, value in enumerate(last["class_accuracy"][e]):
        if not torch.isnan(value):  # else the class has no test image: there is nothing to record
            metrics.add("class_accuracy", float(value), **columns, class_=c)


def _note_validated(metrics: Metrics, validated: dict[str, Tensor], e: int, model: int) -> None:
    """Note what network ``e`` of a stack reaches on the images held out, if there are some."""
    if validated:
        value = float(validated["accuracy"][e])
        metrics.add("accuracy", value, model=model, selection=LAST, split="validation")


def _note_uneven(
    metrics: Metrics, last: dict[str, Tensor], e: int, model: int, labels: Tensor
) -> None:
    """Note what tells more than accuracy of network ``e`` of a stack, number ``model``."""
    columns = {"model": model, "selection": LAST, "split": "test"}
    balanced = imbalance.balanced_accuracy(last["class_accuracy"][e])
    metrics.add("balanced_accuracy", balanced, **columns)
    area = imbalance.auroc(last["logits"][e], labels)
    if area is not None:
        metrics.add("auroc", area, **columns)


@dataclass(frozen=True)
class Snapshot:
    """A set as it was after ``iteration`` iterations of its distillation, and how to train on
    it."""

    iteration: int
    images: Images
    recipe: Recipe


def select(
    bench: Bench,
    snapshots: Sequence[Snapshot],
    held: Images,
    tested: Images,
    models: int,
    test_all: bool = True,
) -> Metrics:
    """Judge every saved snapshot of a distillation, and name the best by two rules.

    ``best_validation`` is the iteration with the highest mean accuracy on the validation images,
    which were held out of the training images; ``best_test`` picks by the test images themselves,
    as the trajectory-matching papers report, and is therefore optimistic. Both rows hold test
    accuracy. Ties go to the earlier iteration.

    Args:
        bench: what the networks are trained with.
        snapshots: the set at several iterations, ascending.
        held: the validation images.
        tested: the test images.
        models: how many networks judge a snapshot.
        test_all: test every snapshot. Otherwise the test images are seen by no snapshot but the
            best on the validation images, and there is no ``best_test``: what a search among
            settings should look at, at half the time.
    """
    judged = Metrics()
    splits = {"validation": held, "test": tested} if test_all else {"validation": held}
    values: dict[str, list[list[float]]] = {split: [] for split in splits}
    judge = _Judge(bench, models, len(snapshots))
    best_stacks: list[Stack] = []
    best_call: Call | None = None
    for snapshot in snapshots:
        accuracies, stacks, call = judge(snapshot, splits, keep=not test_all)
        for split in splits:
            values[split].append(accuracies[split])
            for model, value in enumerate(accuracies[split]):
                _note_selected(judged, value, model, SNAPSHOT, split, snapshot.iteration)
        if _best(values["validation"]) == len(values["validation"]) - 1:
            if best_call is not None:
                best_call.forget()
            best_stacks, best_call = stacks, call
        else:
            call.forget()
    for split in splits:
        best = _best(values[split])
        chosen = (
            values["test"][best]
            if test_all
            else [value for stack in best_stacks for value in judge.test(stack, tested)]
        )
        for model, value in enumerate(chosen):
            iteration = snapshots[best].iteration
            _note_selected(judged, value, model, f"best_{split}", "test", iteration)
    return judged


class _Judge:
    """Trains and tests ``models`` networks per snapshot, for ``number`` snapshots."""

    def __init__(self, bench: Bench, models: int, number: int) -> None:
        self._bench, self._models, self._number = bench, models, number

    def __call__(
        self, snapshot: Snapshot, splits: dict[str, Images], keep: bool
    ) -> tuple[dict[str, list[float]], list[Stack], Call]:
        """Return the accuracy of each network on each split, the networks if kept, and the call
        that they were trained by."""
        images, call = snapshot.images, self._bench.ledger.call()
        values: dict[str, list[float]] = {split: [] for split in splits}
        for accuracies in call.rows:
            for split in splits:
                values[split] += accuracies[split]
        self._bench.progress(call.done * snapshot.recipe.trained_epochs)
        stacks = self._kept(call, images.device) if keep else []
        size = stack_size(self._bench.network, self._models, images.device, len(images))
        bench = replace(self._bench, calls=self._number * -(-self._models // size))

        def run(part: range) -> None:
            training = call.training(part, [])
            stack = train(bench, snapshot.recipe, images, part, tolerant=True, checkpoint=training)
            accuracies = {split: self.test(stack, held) for split, held in splits.items()}
            for split in splits:
                values[split] += accuracies[split]
            if keep:
                stacks.append(stack)
            kept = checkpoints.prefixed(str(part.start), stack.named()) if keep else {}
            call.finish(part, [accuracies], kept)

        in_stacks(range(call.done, self._models), call.size or size, run)
        return values, stacks, call

    def _kept(self, call: Call, device: torch.device) -> list[Stack]:
        """Return the networks of a call that were finished before an interruption."""
        starts = dict.fromkeys(name.split(".", 1)[0] for name in call.tensors)
        architecture = architecture_of(self._bench.network, device)
        return [
            Stack.of_named(architecture, checkpoints.part(start, call.tensors), device)
            for start in starts
        ]

    def test(self, stack: Stack, images: Images) -> list[float]:
        """Return the accuracy of each network of a stack."""
        passes = self._number * self._models
        return test(stack, images, self._bench.compute, passes=passes)["accuracy"].tolist()


def _best(values: list[list[float]]) -> int:
    """Find which of several lists has the highest mean; the earlier one of two alike."""
    means = [sum(each) / len(each) for each in values]
    return means.index(max(means))


def _note_selected(
    metrics: Metrics, value: float, model: int, selection: str, split: str, iteration: int
) -> None:
    columns = {"selection": selection, "split": split, "iteration": iteration}
    metrics.add("accuracy", value, model=model, **columns)
