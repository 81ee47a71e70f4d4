"""Class-incremental learning: classes arrive in groups, one network goes on learning, and what it
forgets is measured.

One output layer for all classes; a network is tested among all classes whatever it has seen.
Strategies: ``finetune`` keeps nothing; ``replay`` joins images of the groups already seen, taken
from a memory set, to every step; ``gdumb`` trains a fresh network on the memory of the groups seen
so far and on nothing else (Prabhu, Torr and Dokania, "GDumb", ECCV 2020: how much of a figure is
the memory's alone); ``joint`` trains a fresh network on all groups seen so far (the upper bound);
``afterwards`` trains a finetuned network on the whole memory set once all groups have passed.

With R[t, g] the accuracy on the test images of group g after stage t, of T groups in all, counted
from 1, and A[t] that on the test images of groups 1 to t together:

- average accuracy after stage t: the mean of R[t, g] over g <= t (Chaudhry et al., ECCV 2018, arXiv
  1801.10112, section 3);
- average incremental accuracy: the mean of A[t] over all t (Rebuffi et al., iCaRL, CVPR 2017, arXiv
  1611.07725, section 4);
- forgetting: the mean over g < T of max R[t, g] over g <= t < T, minus R[T, g] (Chaudhry et al.);
- backward transfer: the mean over g < T of R[T, g] - R[g, g] (Lopez-Paz and Ranzato, GEM, NeurIPS
  2017, arXiv 1706.08840, equation 3).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from distillery import streams
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.store.ledger import Call
from distillery.store.metrics import Metrics
from distillery.training.stack import Stack, architecture_of, initialise
from distillery.training.train import Bench, Replay, test, train
from distillery.vocabulary import AFTERWARDS, FINETUNE, GDUMB, JOINT, REPLAY, STRATEGIES


def recipe_of(strategy: str, settings: Mapping[str, Any]) -> Recipe:
    """Read the training recipe of a strategy from the study's settings: those that learn from a
    memory alone have epochs and a batch size of their own, and the rate of all stays constant."""
    replaced = {}
    if strategy in (AFTERWARDS, GDUMB):
        replaced = {name: settings[f"{strategy}_{name}"] for name in ("epochs", "batch")}
    return Recipe.of({**settings, **replaced, "decay": "none"})


def stream(seed: int, dataset: str, network: str, order: int = 0) -> Callable[..., torch.Generator]:
    """Name the random streams of continual learning: the same for every strategy and memory set, so
    that all start from the same networks and see the same images in turn. Another ``order`` of the
    classes has streams of its own."""
    names = (dataset, network, *(("order", order) if order else ()))
    return functools.partial(streams.generator, seed, "continual", *names)


# A network's accuracies after every stage: on all classes, then on each group (None: it has no test
# image). By the number of the network.
History = dict[int, list[list[float | None]]]


@dataclass
class Learned:
    """Networks that have met all groups.

    Attributes:
        networks: the values of each by name, on the CPU.
        history: their accuracies after every stage.
    """

    networks: list[dict[str, Tensor]] = field(default_factory=list)
    history: History = field(default_factory=dict)

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Pack them as tensors and a header, for :meth:`unpacked`."""
        tensors = {
            f"{model}.{name}": value
            for model, values in enumerate(self.networks)
            for name, value in values.items()
        }
        return tensors, {"history": {str(model): stages for model, stages in self.history.items()}}

    @classmethod
    def unpacked(cls, tensors: dict[str, Tensor], header: dict[str, Any]) -> "Learned":
        """Undo :meth:`packed`."""
        learned = cls(history={int(model): stages for model, stages in header["history"].items()})
        learned.networks = [{} for _ in learned.history]
        for key, value in tensors.items():
            model, name = key.split(".", 1)
            learned.networks[int(model)][name] = value
        return learned


def _members(labels: Tensor, group: list[int]) -> Tensor:
    return torch.isin(labels, torch.tensor(group, device=labels.device)).nonzero(as_tuple=True)[0]


class _Record:
    """Accuracy on every group after every stage, for the networks of one stack, and what follows
    from it."""

    def __init__(
        self, bench: Bench, groups: Sequence[list[int]], tested: Images, models: int
    ) -> None:
        self.metrics, self._groups, self._tested = Metrics(), groups, tested
        self._compute, self._passes = bench.compute, models * len(groups)
        if not len(tested):
            raise UserError(
                "continual: there is no test image; a network cannot be judged without one"
            )
        counts = torch.bincount(tested.labels.cpu(), minlength=bench.network.classes)
        self._counts = counts.double()
        self.history: History = {}
        self._last: Call | None = None

    def learn(
        self,
        bench: Bench,
        recipe: Recipe,
        images: Images,
        model: int,
        stage: int,
        *,
        start: Stack | None,
        replay: Replay | None = None,
    ) -> Stack:
        """Train network ``model`` in ``stage``, test it, and record it.

        Returns:
            The network; the next stage begins with it.
        """
        call, part = bench.ledger.call(), range(model, model + 1)
        if call.done:
            bench.progress(recipe.trained_epochs)
            architecture = architecture_of(bench.network, images.device)
            # A copy here as there: what is kept must not be trained further.
            kept = {name: value.clone() for name, value in call.tensors.items()}
            stack = Stack.of_named(architecture, kept, images.device)
        else:
            training = call.training(part, [])
            stack = train(
                bench, recipe, images, part, start=start, replay=replay, checkpoint=training
            )
            kept: dict[str, Tensor] = {}
            if bench.ledger.keeps:  # the next stage trains this stack further in place
                kept = {name: value.detach().clone() for name, value in stack.named().items()}
            call.finish(part, [self._tests(stack)], kept)
        if stage and self._last is not None:  # a network's stage before this one
            self._last.forget()
        self._last = call
        self.note(stage, model, call.rows[0])
        return stack

    def _tests(self, stack: Stack) -> list[float | None]:
        """Test one network: its accuracy on all classes, then on each group."""
        tested = test(stack, self._tested, self._compute, passes=self._passes)
        counts = self._counts
        hits = tested["class_accuracy"][0].nan_to_num() * counts
        by_group = [
            float(hits[group].sum() / counts[group].sum()) if counts[group].sum() else None
            for group in self._groups
        ]
        return [float(tested["accuracy"][0]), *by_group]

    def note(self, stage: int, model: int, accuracies: list[float | None]) -> None:
        """Record one network after ``stage``: its accuracy on all classes, then on each group.

        A group without test images has ``None``: it has no row, and no share in an average.
        """
        self.history.setdefault(model, []).append(accuracies)
        overall, by_group = accuracies[0], accuracies[1:]
        assert overall is not None  # there is a test image
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

    def end(self) -> None:
        """Record what the module's docstring defines over all stages. The group that came last is
        not old; a group without test images counts nowhere. Learning ``afterwards`` is no stage in
        which a group comes: it has no average incremental accuracy."""
        for model, stages in sorted(self.history.items()):
            columns = {"model": model, "stage": len(stages) - 1, "split": "test"}
            # Of each old group its accuracies since it came.
            since = [
                [value for stage in stages[group:] if (value := stage[1 + group]) is not None]
                for group in range(len(self._groups) - 1)
            ]
            since = [values for values in since if values]
            over_stages = {
                "forgetting": [max(values[:-1]) - values[-1] for values in since],
                "backward_transfer": [values[-1] - values[0] for values in since],
            }
            if len(stages) == len(self._groups):
                over_stages["average_incremental_accuracy"] = self._on_seen(stages)
            for measure, values in over_stages.items():
                if values:
                    self.metrics.add(measure, sum(values) / len(values), **columns)

    def _on_seen(self, stages: list[list[float | None]]) -> list[float]:
        """Return after each stage the accuracy on all test images of the groups seen so far; none
        for a stage without any."""
        counts = [float(self._counts[group].sum()) for group in self._groups]
        found: list[float] = []
        for stage, accuracies in enumerate(stages):
            by_group = zip(accuracies[1 : stage + 2], counts, strict=False)
            seen = [(value, count) for value, count in by_group if value is not None]
            if seen:
                total = sum(count for _, count in seen)
                found.append(sum(value * count for value, count in seen) / total)
        return found


def learn(
    bench: Bench,
    recipe: Recipe,
    strategy: str,
    images: Images,
    tested: Images,
    groups: Sequence[list[int]],
    models: int,
    replay: Replay | None = None,
) -> tuple[Metrics, Learned]:
    """Run ``finetune``, ``joint``, ``gdumb`` or ``replay`` over the groups and record every stage.

    Args:
        bench: what the networks are trained with.
        recipe: how they are trained in each stage.
        strategy: ``finetune``, ``joint``, ``gdumb`` or ``replay``.
        images: of all classes, with hard labels: real ones, for ``gdumb`` the memory.
        tested: what is tested on; hard labels.
        groups: the classes of each group, in the order of arrival.
        models: how many networks.
        replay: the memory of ``replay``, with hard labels; at each stage only its classes of
            earlier groups are used.

    Returns:
        The measurements, and the networks that :func:`afterwards` starts from.

    Raises:
        UserError: the strategy is unknown, there is no test image, a group has no image to learn
            from, or a group to replay has none in the memory.
    """
    if strategy not in (FINETUNE, JOINT, GDUMB, REPLAY):
        raise UserError(
            f"unknown continual strategy {strategy!r}; known are {', '.join(STRATEGIES)}"
        )
    for number, group in enumerate(groups):
        if not len(_members(images.labels, group)):
            raise UserError(
                f"continual: group {number + 1} (classes {', '.join(map(str, group))}) has no "
                "training image; name groups that have some in `continual.groups`"
            )
    record, learned = _Record(bench, groups, tested, models), Learned()
    bench, afresh = replace(bench, calls=models * len(groups)), strategy in (JOINT, GDUMB)
    for model in range(models):
        stack = None
        for stage in range(len(groups)):
            seen = groups[: stage + 1] if afresh else [groups[stage]]
            index = _members(images.labels, [c for group in seen for c in group])
            stack = record.learn(
                _at_stage(bench, stage),
                recipe,
                images[index],
                model,
                stage,
                start=None if afresh else stack,
                replay=_of_groups(replay, groups[:stage]) if replay and stage else None,
            )
        assert stack is not None  # there is a group
        values = {**stack.parameters, **stack.buffers}
        learned.networks.append({name: value[0].detach().cpu() for name, value in values.items()})
    record.end()
    learned.history = record.history
    return record.metrics, learned


def _at_stage(bench: Bench, stage: int | str) -> Bench:
    """Give the bench the streams of a stage."""
    return replace(bench, stream=lambda purpose, model: bench.stream(purpose, model, stage))


def _of_groups(replay: Replay, groups: Sequence[list[int]]) -> Replay:
    """Keep what is to be replayed of these groups.

    Raises:
        UserError: the memory has no image of the last of them.
    """
    labels = replay.memory.labels
    if not len(_members(labels, groups[-1])):
        raise UserError(f"replay: the memory holds no image of classes {groups[-1]}")
    kept = _members(labels, [c for group in groups for c in group])
    return Replay(replay.memory[kept], replay.batch)


def afterwards(
    bench: Bench,
    recipe: Recipe,
    memory: Images,
    learned: Learned,
    tested: Images,
    groups: Sequence[list[int]],
) -> Metrics:
    """Train networks that were finetuned over all groups on the whole memory set, and record the
    stage after it.

    ``stage`` counts on: with T groups, stages 0 to T - 1 are those of the finetuned network and
    stage T is after the memory set.
    """
    record = _Record(bench, groups, tested, len(learned.networks))
    recipe = replace(recipe, batch=min(recipe.batch, len(memory)))
    for model, values in enumerate(learned.networks):
        stack = initialise(bench.network, [bench.stream("initialise", model)], memory.device)
        for part in (stack.parameters, stack.buffers):
            for name in part:
                part[name] = values[name][None].to(memory.device).clone()
        for stage, accuracies in enumerate(learned.history[model]):
            record.note(stage, model, accuracies)
        record.learn(_at_stage(bench, AFTERWARDS), recipe, memory, model, len(groups), start=stack)
    record.end()
    return record.metrics
