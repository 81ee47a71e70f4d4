"""Class-incremental learning: classes arrive in groups, one network goes on learning, and what it
forgets is measured.

One output layer for all classes; a network is tested among all classes whatever it has seen.
Strategies: ``finetune`` keeps nothing; ``replay`` joins images of the groups already seen, taken
from a memory set, to every step; ``joint`` trains a fresh network on all groups seen so far (the
upper bound); ``afterwards`` trains a finetuned network on the whole memory set once all groups have
passed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.store.metrics import Metrics
from distillery.training import train as training
from distillery.training.train import Recipe, Stack
from distillery.vocabulary import AFTERWARDS, FINETUNE, JOINT, REPLAY, STRATEGIES

# Each network's accuracies after every stage: on all classes, then on each group (None: it has no
# test image).
History = dict[int, list[list[float | None]]]


def recipe(strategy: str, settings: dict[str, Any]) -> Recipe:
    """The training recipe of a strategy from the study's settings: ``afterwards`` has epochs and a
    batch size of its own."""
    own = "afterwards_" if strategy == AFTERWARDS else ""
    sizes = {name: settings[own + name] for name in ("epochs", "batch")}
    return Recipe(
        **sizes, **{name: settings[name] for name in ("lr", "momentum", "weight_decay", "augment")}
    )


def limited(images: Tensor, labels: Tensor, per_class: int) -> tuple[Tensor, Tensor]:
    """The first ``per_class`` images of each class, in their order; all of them for 0."""
    if not per_class:
        return images, labels
    kept = (
        torch.cat([(labels == c).nonzero(as_tuple=True)[0][:per_class] for c in labels.unique()])
        .sort()
        .values
    )
    return images[kept], labels[kept]


def packed(
    finals: list[dict[str, Tensor]], history: History
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Finetuned networks and their accuracies as tensors and a header, for :func:`finetuned`."""
    tensors = {
        f"{model}.{name}": value
        for model, values in enumerate(finals)
        for name, value in values.items()
    }
    return tensors, {"history": {str(model): stages for model, stages in history.items()}}


def finetuned(
    tensors: dict[str, Tensor], header: dict[str, Any]
) -> tuple[list[dict[str, Tensor]], History]:
    """What :func:`packed` packed: each network's values by name, and its accuracies after every
    stage."""
    history = {int(model): stages for model, stages in header["history"].items()}
    finals: list[dict[str, Tensor]] = [{} for _ in history]
    for key, value in tensors.items():
        model, name = key.split(".", 1)
        finals[int(model)][name] = value
    return finals, history


def _members(labels: Tensor, group: list[int]) -> Tensor:
    return torch.isin(labels, torch.tensor(group, device=labels.device)).nonzero(as_tuple=True)[0]


class _Record:
    """Accuracy on every group after every stage, for the networks of one stack, and what follows
    from it."""

    def __init__(self, metrics: Metrics, groups, tests, classes, compute, models):
        self.metrics, self.groups, self.classes, self.compute = metrics, groups, classes, compute
        self.passes = models * len(groups)
        self.images, self.labels = tests
        if not len(self.labels):
            raise UserError(
                "continual: there is no test image; a network cannot be judged without one"
            )
        self.history: History = {}

    def stage(self, stage: int, stack: Stack, first: int) -> None:
        """Test a stack after ``stage`` and record every network of it."""
        tested = training.test(
            stack,
            self.images,
            self.labels,
            classes=self.classes,
            compute=self.compute,
            passes=self.passes,
        )
        counts = torch.bincount(self.labels.cpu(), minlength=self.classes).double()
        for e in range(stack.count):
            hits = tested["class_accuracy"][e].nan_to_num() * counts
            by_group = [
                float(hits[group].sum() / counts[group].sum()) if counts[group].sum() else None
                for group in self.groups
            ]
            self.note(stage, first + e, [float(tested["accuracy"][e]), *by_group])

    def note(self, stage: int, model: int, accuracies: list[float | None]) -> None:
        """Record one network after ``stage``: its accuracy on all classes, then on each group.

        A group without test images has ``None``: it has no row, and no share in an average.
        """
        self.history.setdefault(model, []).append(accuracies)
        overall, by_group = accuracies[0], accuracies[1:]
        for group, value in enumerate(by_group):
            if value is not None:
                self.metrics.add(
                    "accuracy", value, model=model, stage=stage, group=group, split="test"
                )
        seen = [value for value in by_group[: stage + 1] if value is not None]
        if seen:
            average = sum(seen) / len(seen)
            self.metrics.add("average_accuracy", average, model=model, stage=stage, split="test")
        self.metrics.add("overall_accuracy", overall, model=model, stage=stage, split="test")

    def forgetting(self) -> None:
        """Chaudhry et al. 2018 (arXiv 1801.10112): mean over the old groups of the best earlier
        accuracy minus the last. The group that came last is not old; a group without test images
        counts nowhere."""
        for model, stages in sorted(self.history.items()):
            old = [g for g in range(len(self.groups) - 1) if stages[-1][1 + g] is not None]
            if not old:
                continue
            losses = [max(stage[1 + g] for stage in stages[g:-1]) - stages[-1][1 + g] for g in old]
            self.metrics.add(
                "forgetting",
                sum(losses) / len(losses),
                model=model,
                stage=len(stages) - 1,
                split="test",
            )


def learn(
    metrics: Metrics,
    strategy: str,
    network: dict[str, Any],
    images: Tensor,
    labels: Tensor,
    tests: tuple[Tensor, Tensor],
    groups: list[list[int]],
    recipe: Recipe,
    *,
    models: int,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    memory: tuple[Tensor, Tensor] | None = None,
    replay_batch: int = 0,
    flip_allowed: bool = False,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[dict[str, Tensor]], History]:
    """Run ``finetune``, ``joint`` or ``replay`` over the groups and record every stage.

    Args:
        images: (N, C, H, W) float32 normalised, all classes; labels: (N,) int64.
        memory: (images, hard labels) of the set to replay from; at each stage only classes of
            earlier groups are used.
        replay_batch: memory images a step.

    Returns:
        The final parameters of each network by name, and each network's accuracies after every
        stage (all classes, then each group): what :func:`afterwards` goes on from.

    Raises:
        UserError: the strategy is unknown, there is no test image, a group has no image to learn
            from, or a group to replay has none in the memory.
    """
    if strategy not in (FINETUNE, JOINT, REPLAY):
        raise UserError(
            f"unknown continual strategy {strategy!r}; known are {', '.join(STRATEGIES)}"
        )
    for number, group in enumerate(groups):
        if not len(_members(labels, group)):
            raise UserError(
                f"continual: group {number + 1} (classes {', '.join(map(str, group))}) has no "
                "training image; "
                "name groups that have some in `continual.groups`"
            )
    record = _Record(metrics, groups, tests, network["classes"], compute, models)
    finals: list[dict[str, Tensor]] = []
    for model in range(models):
        stack = None
        for stage, _ in enumerate(groups):
            shown = (
                [c for group in groups[: stage + 1] for c in group]
                if strategy == JOINT
                else groups[stage]
            )
            index = _members(labels, shown)
            replay = None
            if strategy == REPLAY and stage:
                if not len(_members(memory[1], groups[stage - 1])):
                    raise UserError(
                        f"replay: the memory holds no image of classes {groups[stage - 1]}"
                    )
                kept = _members(memory[1], [c for group in groups[:stage] for c in group])
                replay = (memory[0][kept], memory[1][kept], replay_batch)
            stack = training.train(
                network,
                1,
                images[index],
                labels[index],
                recipe,
                stream=lambda purpose, m, stage=stage: stream(purpose, m, stage),
                compute=compute,
                flip_allowed=flip_allowed,
                start=stack if strategy != JOINT else None,
                first=model,
                after_epoch=None
                if progress is None
                else lambda epoch, *_: progress(1) if epoch else None,
                replay=replay,
                calls=models * len(groups),
            )
            record.stage(stage, stack, model)
        finals.append(
            {
                name: value[0].detach().cpu()
                for name, value in {**stack.parameters, **stack.buffers}.items()
            }
        )
    record.forgetting()
    return finals, record.history


def afterwards(
    metrics: Metrics,
    network: dict[str, Any],
    finetuned: list[dict[str, Tensor]],
    history: History,
    memory: tuple[Tensor, Tensor],
    tests: tuple[Tensor, Tensor],
    groups: list[list[int]],
    recipe: Recipe,
    *,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    flip_allowed: bool = False,
) -> None:
    """Train networks that were finetuned over all groups on the whole memory set, and record the
    stage after it.

    ``stage`` counts on: with T groups, stages 0 to T - 1 are those of the finetuned network and
    stage T is after the memory set.
    """
    record = _Record(metrics, groups, tests, network["classes"], compute, len(finetuned))
    for model, values in enumerate(finetuned):
        stack = training.initialise(network, [stream("initialise", model)], memory[0].device)
        for part in (stack.parameters, stack.buffers):
            for name in part:
                part[name] = values[name][None].to(memory[0].device).clone()
        for stage, accuracies in enumerate(history[model]):
            record.note(stage, model, accuracies)
        training.train(
            network,
            1,
            *memory,
            replace(recipe, batch=min(recipe.batch, len(memory[0]))),
            stream=lambda purpose, m: stream(purpose, m, "afterwards"),
            compute=compute,
            flip_allowed=flip_allowed,
            start=stack,
            first=model,
        )
        record.stage(len(groups), stack, model)
    record.forgetting()
