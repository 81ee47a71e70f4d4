"""Train and test networks: several at a time where the device gains from it, with the data on
the device.

There is no DataLoader and no per-sample Python in the step. Every network has its own streams
(initialisation, order, augmentation), so the result of a network does not depend on which others
are trained beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from distillery import augmentations
from distillery.compute.device import Compute, nominal_seconds
from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import SMOOTH, Recipe
from distillery.store import checkpoint as checkpoints
from distillery.store.ledger import Ledger
from distillery.training import mixing
from distillery.training.stack import (
    TEST_BATCH,
    Stack,
    architecture_of,
    initialise,
)
from distillery.training.steppers import AdamW, Compiled, Plain
from distillery.training.teaching import Teacher


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a job trains networks with, whatever they learn.

    Attributes:
        network: that is trained.
        stream: ``stream(purpose, model, …)`` gives this job's generator (CPU) for a purpose; the
            same name gives the same draws.
        compute: how to compute.
        flip: whether an augmentation may mirror images.
        progress: called with the number of epochs that were trained since the last call, those of
            each network counted.
        calls: how many stacks the job trains, which decides whether compiling is worth it.
        teacher: whose answers are learned in the place of the images' labels.
        ledger: what keeps the job's trainings, where it can be interrupted.
    """

    network: NetworkSpec
    stream: Callable[..., torch.Generator]
    compute: Compute
    flip: bool = False
    progress: Callable[[int], None] = lambda epochs: None
    calls: int = 1
    teacher: Teacher | None = None
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True)
class Replay:
    """A memory of which ``batch`` images, drawn with replacement, join every step (experience
    replay): the mean losses of the two are averaged."""

    memory: Images
    batch: int


def train(
    bench: Bench,
    recipe: Recipe,
    images: Images,
    models: range,
    *,
    start: Stack | None = None,
    replay: Replay | None = None,
    after_epoch: Callable[[int, Stack, dict[str, Tensor]], None] | None = None,
    tolerant: bool = False,
    checkpoint: Any = checkpoints.NONE,
) -> Stack:
    """Train networks on the same images, each with its own initialisation, order and augmentation.

    Args:
        bench: what the networks are trained with.
        recipe: how they are trained.
        images: on the device that computes.
        models: the networks' numbers: number m draws from the streams ``("initialise", m)``,
            ``("order", m)``, ``("augment", m)``, ``("replay", m)`` and ``("mix", m)``.
        start: networks to train further instead of fresh ones (in place).
        replay: what joins every step.
        after_epoch: called with the epoch (1-based; 0 before training), the stack, and the epoch's
            mean training ``loss`` and ``accuracy``, both (E,).
        tolerant: a training that diverges runs to its end, with parameters that are not finite,
            instead of failing.
        checkpoint: where the state is kept between two steps, and resumed from; ``after_epoch`` is
            not called again for epochs that were over.

    Returns:
        The trained stack.

    Raises:
        UserError: the loss of an epoch is not finite, or a parameter at the end of the last (unless
            ``tolerant``).
    """
    training = _Training(bench, recipe, images, models, start, replay)
    stack = training.stack
    if training.resume(checkpoint):
        bench.progress(stack.count * (training.epoch - 1))
    elif after_epoch is not None:
        after_epoch(0, stack, {})
    for epoch in range(training.epoch, recipe.trained_epochs + 1):
        summary = training.run_epoch(checkpoint)
        if not tolerant:
            training.check(summary["loss"])
        bench.progress(stack.count)
        if after_epoch is not None:
            after_epoch(epoch, stack, summary)
        training.epoch += 1
        if epoch < recipe.trained_epochs and checkpoint.due():
            training.save(checkpoint, f"the end of epoch {epoch}")
    for tensor in stack.parameters.values():
        tensor.requires_grad_(False)
    return stack


class _Training:
    """One call of :func:`train` on its way.

    Attributes:
        stack: the networks.
        epoch: the one in progress, or the next (1-based).
    """

    def __init__(
        self,
        bench: Bench,
        recipe: Recipe,
        images: Images,
        models: range,
        start: Stack | None,
        replay: Replay | None,
    ) -> None:
        self._bench, self._recipe, self._images, self._replay = bench, recipe, images, replay
        self._device, count = images.device, len(models)
        architecture = architecture_of(bench.network, self._device)
        self.stack = start or initialise(
            bench.network, [bench.stream("initialise", m) for m in models], self._device
        )
        architecture.module.train()
        kinds = ["order", "augment"]
        kinds += [] if replay is None else ["replay"]
        kinds += [] if recipe.mix == "none" else ["mix"]
        self._generators = {kind: [bench.stream(kind, model) for model in models] for kind in kinds}
        self._batch = min(recipe.batch, len(images))
        # The smaller last batch is filled up with images of weight 0, so that one compiled shape
        # serves.
        self._fills = not architecture.running_statistics
        step = self._batch + (0 if replay is None else replay.batch)
        steps = recipe.steps(len(images)) * count * bench.calls
        seconds = nominal_seconds(3 * architecture.forward_flops * step * steps, self._device)
        # Small sets, synthetic ones above all, are learned in full precision: there is little to
        # gain, and little to average errors out.
        large = len(images) > 4 * recipe.batch
        low = bench.compute.low_precision(self._device, seconds) if large else None
        self._stepper: Plain | Compiled
        warmth = 1.0 if bench.teacher is None else bench.teacher.temperature
        if recipe.optimiser == "adamw":
            self._stepper = AdamW(architecture, self.stack, recipe, low, warmth)
        elif architecture.running_statistics or not bench.compute.compiles(self._device, seconds):
            self._stepper = Plain(architecture, self.stack, recipe, low, warmth)
        else:
            descent = architecture.descent(
                recipe, count, low, bench.compute, self._device, seconds, warmth
            )
            self._stepper = Compiled(self.stack, descent)
        self.epoch, self._at, self._rate = 1, 0, None
        self._order: Tensor | None = None
        self._sums = torch.empty(0)

    @property
    def _keeps(self) -> bool:
        """Whether the momentum stays when the rate changes."""
        return self._recipe.decay in SMOOTH

    # ---- checkpoints ----

    def _named(self) -> dict[str, torch.Generator]:
        return {
            f"{kind}{e}": generator
            for kind, generators in self._generators.items()
            for e, generator in enumerate(generators)
        }

    def save(self, checkpoint: Any, note: str) -> None:
        """Keep the state: that within ``epoch``, or that before it."""
        state = self._stepper.state() | checkpoints.generators(self._named())
        if self._order is not None:
            state |= {"order": self._order, "sums": self._sums}
        checkpoint.save(state, {"epoch": self.epoch, "at": self._at, "rate": self._rate}, note)

    def resume(self, checkpoint: Any) -> bool:
        """Resume from the state that a checkpoint holds; tell whether there was one."""
        saved = checkpoint.load()
        if saved is None:
            return False
        tensors, values = saved
        self._stepper.restore(tensors)
        checkpoints.restore(self._named(), tensors)
        self.epoch, self._at = values["epoch"], values["at"]
        if self._at:
            self._order = tensors["order"].to(self._device)
            self._sums = tensors["sums"].to(self._device)
        if self._keeps or self._recipe.rate(self.epoch) == values["rate"]:
            # The momentum starts at zero at another rate, but not where a training resumes
            # within the same one.
            self._rate = values["rate"]
            self._stepper.rate(self._rate, keep=True)
        return True

    # ---- steps ----

    def run_epoch(self, checkpoint: Any) -> dict[str, Tensor]:
        """Train for one epoch, or the rest of one. Return its mean ``loss`` and ``accuracy``
        (E,)."""
        rate, total = self._recipe.rate(self.epoch), len(self._images)
        if rate != self._rate:
            keep = self._keeps and self._rate is not None
            self._rate = rate
            self._stepper.rate(rate, keep=keep)
        if self._order is None:
            orders = [torch.randperm(total, generator=g) for g in self._generators["order"]]
            self._order = torch.stack(orders).to(self._device)
            self._sums = torch.zeros(2, len(orders), device=self._device)
        for at in range(self._at, total, self._batch):
            self._step(self._order[:, at : at + self._batch])
            self._at = at + self._batch
            if self._at < total and checkpoint.due():
                self.save(checkpoint, f"epoch {self.epoch}, image {self._at} of {total}")
        self._at, self._order = 0, None
        return {"loss": self._sums[0] / total, "accuracy": self._sums[1] / total}

    def _step(self, index: Tensor) -> None:
        """Make one step on the images of ``index`` (E, B)."""
        real = index.shape[1]
        if real < self._batch and self._fills:
            index = torch.cat([index, index[:, :1].expand(-1, self._batch - real)], dim=1)
        chosen = self._images[index]
        x, y = chosen.images, chosen.labels
        weights = torch.zeros(index.shape[1], device=self._device)
        weights[:real] = 1 / real
        if self._replay is not None:
            x, y, weights = self._remembered(self._replay, x, y, weights)
        if self._recipe.augment != "none":
            x = self._augmented(x)
        if self._recipe.mix != "none":
            x, y = self._mixed(x, y, real)
        teacher = self._bench.teacher
        if teacher is not None:
            y = teacher(x)
        losses, right = self._stepper(x, y, weights)
        if teacher is not None:
            losses = losses - teacher.entropy(y)
        self._sums += torch.stack([losses[:, :real].sum(1), right[:, :real].sum(1)])

    def _remembered(
        self, replay: Replay, x: Tensor, y: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Put those of the memory behind a step's images, labels and weights."""
        index = torch.stack(
            [
                torch.randint(len(replay.memory), (replay.batch,), generator=generator)
                for generator in self._generators["replay"]
            ]
        ).to(self._device)
        recalled = replay.memory[index]
        shares = weights.new_full((replay.batch,), 0.5 / replay.batch)
        return (
            torch.cat([x, recalled.images], dim=1),
            torch.cat([y, recalled.labels], dim=1),
            torch.cat([0.5 * weights, shares]),
        )

    def _mixed(self, x: Tensor, y: Tensor, real: int) -> tuple[Tensor, Tensor]:
        """Mix the first ``real`` images of each network; those that fill up stay."""
        classes = self._bench.network.classes
        parts = [
            mixing.mixed(self._recipe.mix, x[e, :real], y[e, :real], classes, generator)
            for e, generator in enumerate(self._generators["mix"])
        ]
        images, labels = (torch.stack(list(each)) for each in zip(*parts, strict=True))
        rest = labels[:, :1].expand(-1, x.shape[1] - real, -1)
        return torch.cat([images, x[:, real:]], 1), torch.cat([labels, rest], 1)

    def _augmented(self, x: Tensor) -> Tensor:
        strategy, flip = self._recipe.augment, self._bench.flip
        return torch.stack(
            [
                augmentations.augment(strategy, x[e], generator, flip_allowed=flip)
                for e, generator in enumerate(self._generators["augment"])
            ]
        )

    def check(self, loss: Tensor) -> None:
        """Raise ``UserError`` if the epoch's loss is not finite, or a parameter after the last
        one."""
        parts = [loss]
        if self.epoch == self._recipe.trained_epochs:
            # No loss comes after the last step to tell what it did.
            parts += self.stack.parameters.values()
        # One look at the device, not one a tensor.
        if not torch.stack([torch.isfinite(part).all() for part in parts]).all():
            raise UserError(
                f"training of {self._bench.network.name} diverged in epoch {self.epoch}: the loss "
                f"or a parameter is not finite at learning rate {self._rate:g}; try a smaller `lr`"
            )


@torch.no_grad()
def test(
    stack: Stack,
    images: Images,
    compute: Compute,
    *,
    passes: int = 1,
    keep: bool = False,
    answers: bool = False,
) -> dict[str, Tensor]:
    """Measure the loss and accuracy of every network of a stack on hard-labelled images.

    Args:
        stack: the networks.
        images: hard-labelled.
        compute: how to compute.
        passes: how many such passes the job makes, which decides whether compiling is worth it.
        keep: whether to return the logits, too.
        answers: whether to return the class that each network takes each image for, too.

    Returns:
        ``loss`` (E,), ``accuracy`` (E,) and ``class_accuracy`` (E, K), float64 on the CPU; NaN for
        a class without images. If kept, ``logits`` (E, N, K) float32 on the CPU. If asked for,
        ``answers`` (E, N) int32 on the CPU.
    """
    device, architecture, total = images.device, stack.architecture, len(images)
    was_training = architecture.module.training
    architecture.module.eval()
    flops = architecture.forward_flops * total * stack.count * passes
    seconds = nominal_seconds(flops, device)
    low = compute.low_precision(device, seconds)
    answer = architecture.tester(low, compute, device, seconds)
    # Sums stay on the device, which otherwise waits for the host in every batch.
    exact: dict[str, Any] = {"dtype": torch.float64, "device": device}
    loss = torch.zeros(stack.count, **exact)
    hits = torch.zeros(stack.count, architecture.classes, **exact)
    kept: list[Tensor] = []
    answered: list[Tensor] = []
    for begin in range(0, total, TEST_BATCH):
        batch = images[begin : begin + TEST_BATCH]
        x, y, real = batch.images, batch.labels, len(batch)
        if real < TEST_BATCH <= total:
            # One compiled shape serves; what is added is not counted.
            x = torch.cat([x, images.images[: TEST_BATCH - real]])
        logits = answer(stack.parameters, stack.buffers, x.expand(stack.count, *x.shape))[:, :real]
        loss += torch.stack(
            [functional.cross_entropy(row, y, reduction="sum") for row in logits]
        ).double()
        chosen = logits.argmax(dim=2)
        hits.index_add_(1, y, (chosen == y).double())
        if keep:
            kept.append(logits.float())
        if answers:
            answered.append(chosen.int())
    counts = torch.zeros(architecture.classes, **exact)
    counts.index_add_(0, images.labels, torch.ones(total, **exact))
    loss, hits, counts = loss.cpu(), hits.cpu(), counts.cpu()
    architecture.module.train(was_training)
    found = {
        "loss": loss / total,
        "accuracy": hits.sum(1) / total,
        "class_accuracy": hits / counts,
    }
    if keep:
        found["logits"] = torch.cat(kept, 1).cpu()
    if answers:
        found["answers"] = torch.cat(answered, 1).cpu()
    return found
