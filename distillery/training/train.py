"""Training and testing networks: several at a time where the device gains from it, with the data on
the device.

There is no DataLoader and no per-sample Python in the step. Every network has its own streams
(initialisation, order, augmentation), so the result of a network does not depend on which others
are trained beside it.
"""

import functools
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.sgd import sgd

from distillery import augmentations, networks
from distillery.compute.device import Compute, nominal_seconds
from distillery.errors import UserError
from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints

TEST_BATCH = 512

log = logging.getLogger("distillery")


@dataclass
class Stack:
    """E networks of one architecture whose parameters (and buffers) are stacked on a leading axis.

    Attributes:
        architecture: what the networks have in common.
        parameters, buffers: name to tensor (E, ...).
    """

    architecture: "_Architecture"
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @property
    def module(self) -> torch.nn.Module:
        """The architecture as a module; its own values are not used."""
        return self.architecture.module

    @property
    def count(self) -> int:
        return len(next(iter(self.parameters.values())))

    def first(self) -> "Stack":
        """The first network alone; it shares the values."""
        return Stack(
            self.architecture,
            *(
                {n: tensor[:1] for n, tensor in part.items()}
                for part in (self.parameters, self.buffers)
            ),
        )

    def logits(self, images: Tensor) -> Tensor:
        """(E, B, C, H, W) -> (E, B, K); each network sees its own images."""
        return self.architecture.stacked(self.parameters, self.buffers, images, None)

    def flat(self) -> Tensor:
        """(E, P) float32: each network's parameters as one vector, in ``networks.flatten``'s
        order."""
        return torch.stack([networks.flatten(_row(self.parameters, e)) for e in range(self.count)])


def _row(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {name: tensor[index] for name, tensor in tensors.items()}


def initialise(
    network: dict[str, Any], generators: Iterable[torch.Generator], device: torch.device
) -> Stack:
    """Freshly initialised networks, one a generator.

    Args:
        network: ``name``, ``channels``, ``size``, ``classes`` and ``options`` as for
            ``networks.build``.
    """
    made = _architecture(_key(network), str(device))
    members = []
    for generator in generators:
        module = networks.initialise(made.module, generator)
        members.append(
            [
                {name: value.detach().clone() for name, value in part}
                for part in (module.named_parameters(), module.named_buffers())
            ]
        )
    return Stack(
        made,
        *(
            {
                name: torch.stack([member[part][name] for member in members])
                for name in members[0][part]
            }
            for part in (0, 1)
        ),
    )


class _Architecture:
    """One architecture on one device, with the functions that were made of it: each is compiled
    once a process."""

    def __init__(self, network: dict[str, Any], device: torch.device):
        self.module = networks.for_device(networks.from_spec(network), device)
        self.running_statistics = any(True for _ in self.module.buffers())
        image = torch.zeros(network["channels"], network["size"], network["size"], device=device)
        self.forward_flops, self.activations = networks.count(self.module, image)
        self.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        self._made: dict[tuple, Callable] = {}

    def logits(
        self, parameters, buffers, images: Tensor, low: torch.dtype | None, *, alone: bool = True
    ) -> Tensor:
        """(B, C, H, W) to (B, K) float32 by one network, with convolutions and products in ``low``
        if given; not ``alone``: under ``vmap``."""

        def apply(params, x):
            return torch.func.functional_call(self.module, (params, buffers), (x,))

        return networks.cast(apply, low, alone=alone)(parameters, images)

    def stacked(self, parameters, buffers, images: Tensor, low: torch.dtype | None) -> Tensor:
        """(E, B, C, H, W) to (E, B, K) by a stack; each network sees its own images."""
        if len(images) == 1:
            return self.logits(_row(parameters, 0), _row(buffers, 0), images[0], low)[None]
        return torch.vmap(lambda p, b, x: self.logits(p, b, x, low, alone=False))(
            parameters, buffers, images
        )

    def descent(
        self,
        recipe: Recipe,
        count: int,
        low: torch.dtype | None,
        compute: Compute,
        device,
        seconds: float,
    ) -> Callable:
        """One step of SGD with momentum as a pure function, compiled.

        ``f(parameters, velocity, x (E, B, C, H, W), y, weights (B,), rate)`` gives the next
        parameters and velocity (dicts of (E, …)), the losses (E, B) before the step and whether
        each answer was right (E, B).
        """
        momentum, decay = recipe.momentum, recipe.weight_decay

        def one(parameters, velocity, x, y, weights, rate):
            def objective(p):
                logits = self.logits(p, {}, x, low, alone=count == 1)
                losses = functional.cross_entropy(logits, y, reduction="none")
                return (losses * weights).sum(), (losses, _right(logits, y))

            gradients, (losses, right) = torch.func.grad(objective, has_aux=True)(parameters)
            velocity = {
                n: momentum * velocity[n] + (gradients[n] + decay * p)
                for n, p in parameters.items()
            }
            return (
                {n: p - rate * velocity[n] for n, p in parameters.items()},
                velocity,
                losses,
                right,
            )

        def alone(parameters, velocity, x, y, weights, rate):
            stepped = one(_row(parameters, 0), _row(velocity, 0), x[0], y[0], weights, rate)
            return torch.utils._pytree.tree_map(lambda tensor: tensor[None], stepped)

        many = torch.vmap(one, in_dims=(0, 0, 0, 0, None, None))
        key = ("descent", momentum, decay, low, count == 1, compute)
        return self._once(
            key,
            lambda: compute.compiled(
                alone if count == 1 else many, device=device, expected_seconds=seconds
            ),
        )

    def tester(self, low: torch.dtype | None, compute: Compute, device, seconds: float) -> Callable:
        """``f(parameters, buffers, x (E, B, C, H, W))`` gives the logits (E, B, K)."""

        def stacked(parameters, buffers, images):
            return self.stacked(parameters, buffers, images, low)

        compiles = compute.compiles(device, seconds)
        return self._once(
            ("tester", low, compute, compiles),
            lambda: compute.compiled(stacked, device=device, expected_seconds=seconds),
        )

    def _once(self, key: tuple, make: Callable[[], Callable]) -> Callable:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _key(network: dict[str, Any]) -> str:
    return json.dumps(network, sort_keys=True)


@functools.lru_cache(maxsize=16)
def _architecture(key: str, device: str) -> _Architecture:
    return _Architecture(json.loads(key), torch.device(device))


def stack_size(network: dict[str, Any], count: int, device: torch.device, batch: int = 256) -> int:
    """How many of ``count`` networks to train at once: what fits the free memory of a CUDA device,
    one on a CPU, where a stack only costs.

    Networks with running statistics are trained one by one.

    Args:
        batch: images a step.
    """
    if device.type != "cuda":
        return 1
    made = _architecture(_key(network), "cpu")
    if made.running_statistics:
        return 1
    free, _ = torch.cuda.mem_get_info(device)
    # Parameters, gradients, velocity and their successors; activations forward, backward and as the
    # normalisations keep them; a test batch.
    each = 4 * (6 * made.parameters + 4 * made.activations * max(batch, TEST_BATCH))
    return max(1, min(count, int(0.7 * free / each)))


def in_stacks(count: int, size: int, run: Callable[[int, int], None]) -> None:
    """Call ``run(first, number)`` for consecutive parts of ``count`` networks, ``size`` at a time;
    out of memory, half as many, and again.

    ``run`` must leave nothing behind where it fails.

    Raises:
        torch.OutOfMemoryError: one network alone does not fit.
    """
    first = 0
    while first < count:
        number = min(size, count - first)
        try:
            run(first, number)
        except torch.OutOfMemoryError:
            if number == 1:
                raise
            size = number // 2
            log.info("out of memory with %d networks at once: trying %d", number, size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        first += number


def train(
    network: dict[str, Any],
    count: int,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    flip_allowed: bool = False,
    start: Stack | None = None,
    first: int = 0,
    after_epoch: Callable[[int, Stack, dict[str, Tensor]], None] | None = None,
    replay: tuple[Tensor, Tensor, int] | None = None,
    calls: int = 1,
    tolerant: bool = False,
    checkpoint=checkpoints.NONE,
) -> Stack:
    """Train ``count`` networks on the same images, each with its own initialisation, order and
    augmentation.

    Args:
        network: as for :func:`initialise`.
        images: (N, C, H, W) float32, normalised, on the device that computes.
        labels: (N,) int64 or (N, K) float32.
        stream: ``stream(purpose, model, ...)`` gives this job's generator for a purpose; used as
            ``("initialise", m)``, ``("order", m)``, ``("augment", m)`` and ``("replay", m)`` with
            ``m = first + e``.
        start: networks to go on with instead of fresh ones (trained in place).
        after_epoch: called with the epoch (1-based; 0 before training), the stack, and the epoch's
            mean training ``loss`` and ``accuracy``, both (E,).
        replay: ``(images, labels, batch)``: a memory of which ``batch`` images, drawn with
            replacement, join every step; the two mean losses are averaged (experience replay).
        calls: how many such trainings the job makes, which decides whether compiling is worth it.
        tolerant: a training that diverges goes on to its end, with parameters that are not finite,
            instead of failing.
        checkpoint: where the state is kept between two steps, and taken up again; ``after_epoch``
            is not called again for epochs that were over.

    Returns:
        The trained stack.

    Raises:
        UserError: the loss of an epoch is not finite, or a parameter at the end of the last (unless
            ``tolerant``).
    """
    device = images.device
    made = _architecture(_key(network), str(device))
    stack = start or initialise(
        network, [stream("initialise", first + e) for e in range(count)], device
    )
    made.module.train()
    named = {f"order{e}": stream("order", first + e) for e in range(count)}
    named |= {f"augment{e}": stream("augment", first + e) for e in range(count)}
    if replay is not None:
        named |= {f"replay{e}": stream("replay", first + e) for e in range(count)}
    orders, draws, recalls = (
        [named[f"{kind}{e}"] for e in range(count) if f"{kind}{e}" in named]
        for kind in ("order", "augment", "replay")
    )
    total = len(images)
    batch = min(recipe.batch, total)
    remembered = replay[2] if replay is not None else 0
    seconds = nominal_seconds(
        3 * made.forward_flops * (batch + remembered) * recipe.steps(total) * count * calls, device
    )
    # Small sets, synthetic ones above all, are learned in full precision: there is little to gain,
    # and little to average errors out.
    low = compute.low_precision(device, seconds) if total > 4 * recipe.batch else None
    if made.running_statistics or not compute.compiles(device, seconds):
        stepper: _Plain | _Compiled = _Plain(made, stack, recipe, low)
    else:
        stepper = _Compiled(stack, made.descent(recipe, count, low, compute, device, seconds))
    begin_epoch, begin_at, order, sums = 1, 0, None, None
    saved = checkpoint.load()
    if saved is not None:
        tensors, values = saved
        stepper.restore(tensors)
        checkpoints.restore(named, tensors)
        begin_epoch, begin_at = values["epoch"], values["at"]
        if begin_at:
            order, sums = tensors["order"].to(device), tensors["sums"].to(device)
    elif after_epoch is not None:
        after_epoch(0, stack, {})
    rate = None
    for epoch in range(begin_epoch, recipe.trained_epochs + 1):
        if recipe.rate(epoch) != rate:
            rate = recipe.rate(epoch)
            # The momentum starts at zero at another rate, but not where a checkpoint is taken up
            # within the same one.
            same = saved is not None and epoch == begin_epoch and values["rate"] == rate
            stepper.rate(rate, keep=same)
        if order is None:
            order = torch.stack(
                [torch.randperm(total, generator=generator) for generator in orders]
            ).to(device)
            sums = torch.zeros(2, count, device=device)
        for at in range(begin_at, total, batch):
            index = order[:, at : at + batch]
            own = index.shape[1]
            if own < batch and not made.running_statistics:
                # The smaller last batch is filled up with images of weight 0, so that one compiled
                # shape serves.
                index = torch.cat([index, index[:, :1].expand(-1, batch - own)], dim=1)
            x, y = images[index], labels[index]
            weights = torch.zeros(index.shape[1], device=device)
            weights[:own] = 1 / own
            if replay is not None:
                recall = torch.stack(
                    [torch.randint(len(replay[0]), (remembered,), generator=g) for g in recalls]
                ).to(device)
                x, y = (
                    torch.cat([x, replay[0][recall]], dim=1),
                    torch.cat([y, replay[1][recall]], dim=1),
                )
                weights = torch.cat(
                    [0.5 * weights, weights.new_full((remembered,), 0.5 / remembered)]
                )
            if recipe.augment != "none":
                x = _augmented(x, recipe.augment, draws, flip_allowed)
            losses, right = stepper(x, y, weights)
            sums += torch.stack([losses[:, :own].sum(1), right[:, :own].sum(1)])
            if at + batch < total and checkpoint.due():
                state = {
                    **stepper.state(),
                    **checkpoints.generators(named),
                    "order": order,
                    "sums": sums,
                }
                checkpoint.save(
                    state,
                    {"epoch": epoch, "at": at + batch, "rate": rate},
                    f"epoch {epoch}, image {at + batch} of {total}",
                )
        begin_at = 0
        summary = {"loss": sums[0] / total, "accuracy": sums[1] / total}
        order, sums = None, None
        finite = torch.isfinite(summary["loss"]).all()
        if epoch == recipe.trained_epochs:
            # No loss comes after the last step to tell what it did.
            finite = finite and all(
                torch.isfinite(tensor).all() for tensor in stack.parameters.values()
            )
        if not finite and not tolerant:
            raise UserError(
                f"training of {network['name']} diverged in epoch {epoch}: the loss or a parameter "
                "is not finite at "
                f"learning rate {rate:g}; try a smaller `lr`"
            )
        if after_epoch is not None:
            after_epoch(epoch, stack, summary)
        if epoch < recipe.trained_epochs and checkpoint.due():
            state = {**stepper.state(), **checkpoints.generators(named)}
            checkpoint.save(
                state, {"epoch": epoch + 1, "at": 0, "rate": rate}, f"the end of epoch {epoch}"
            )
    for tensor in stack.parameters.values():
        tensor.requires_grad_(False)
    return stack


class _Plain:
    """Steps by automatic differentiation and torch's own SGD: for short trainings, and networks
    with running statistics.

    By the function behind ``torch.optim.SGD``: making the class imports the compiler, more than a
        second of a job of seconds.
    """

    def __init__(self, made: _Architecture, stack: Stack, recipe: Recipe, low: torch.dtype | None):
        self._made, self._stack, self._recipe, self._low = made, stack, recipe, low
        self._parameters = [tensor.requires_grad_(True) for tensor in stack.parameters.values()]
        self._rate = 0.0
        self._velocity: list[Tensor | None] = [None] * len(self._parameters)

    def rate(self, rate: float, keep: bool) -> None:
        self._rate = rate
        if not keep:
            self._velocity = [None] * len(self._parameters)

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._made.stacked(self._stack.parameters, self._stack.buffers, x, self._low)
        # cross_entropy wants the classes second.
        losses = functional.cross_entropy(
            logits.transpose(1, 2), y.transpose(1, 2) if y.ndim == 3 else y, reduction="none"
        )
        # The sum over the stack keeps every network's gradient what it would be alone.
        gradients = torch.autograd.grad((losses * weights).sum(), self._parameters)
        with torch.no_grad():
            sgd(
                self._parameters,
                list(gradients),
                self._velocity,
                weight_decay=self._recipe.weight_decay,
                momentum=self._recipe.momentum,
                lr=self._rate,
                dampening=0,
                nesterov=False,
                maximize=False,
            )
        return losses.detach(), _right(logits.detach(), y)

    def state(self) -> dict[str, Tensor]:
        found = checkpoints.prefixed("parameters", self._stack.parameters) | checkpoints.prefixed(
            "buffers", self._stack.buffers
        )
        velocity = zip(self._stack.parameters, self._velocity, strict=True)
        found |= checkpoints.prefixed(
            "velocity", {name: value for name, value in velocity if value is not None}
        )
        return {name: tensor.detach() for name, tensor in found.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for part, values in (
                ("parameters", self._stack.parameters),
                ("buffers", self._stack.buffers),
            ):
                for name, value in checkpoints.part(part, state).items():
                    values[name].copy_(value)
        device = self._parameters[0].device
        velocity = checkpoints.part("velocity", state, lambda tensor: tensor.to(device))
        self._velocity = [velocity.get(name) for name in self._stack.parameters]


class _Compiled:
    """Steps by one compiled function that holds the gradient and the update."""

    def __init__(self, stack: Stack, function: Callable):
        self._stack, self._function = stack, function
        self._velocity = {name: torch.zeros_like(value) for name, value in stack.parameters.items()}
        self._rate = torch.zeros(())

    def rate(self, rate: float, keep: bool) -> None:
        # A tensor, because another number would be another compilation.
        self._rate = torch.tensor(rate, device=next(iter(self._velocity.values())).device)
        if not keep:
            self._velocity = {
                name: torch.zeros_like(value) for name, value in self._velocity.items()
            }

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        parameters, self._velocity, losses, right = self._function(
            self._stack.parameters, self._velocity, x, y, weights, self._rate
        )
        self._stack.parameters.update(parameters)
        return losses, right

    def state(self) -> dict[str, Tensor]:
        return checkpoints.prefixed("parameters", self._stack.parameters) | checkpoints.prefixed(
            "velocity", self._velocity
        )

    def restore(self, state: dict[str, Tensor]) -> None:
        device = next(iter(self._velocity.values())).device
        self._stack.parameters.update(
            checkpoints.part("parameters", state, lambda tensor: tensor.to(device))
        )
        self._velocity = checkpoints.part("velocity", state, lambda tensor: tensor.to(device))


def _augmented(
    x: Tensor, strategy: str, generators: list[torch.Generator], flip_allowed: bool
) -> Tensor:
    drawn = []
    for e, generator in enumerate(generators):
        drawn.append(augmentations.augment(strategy, x[e], generator, flip_allowed=flip_allowed))
    return torch.stack(drawn)


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each answer (…, K) is the label's, hard (…) or the likeliest of soft ones (…, K)."""
    return logits.argmax(-1) == (labels.argmax(-1) if labels.ndim == logits.ndim else labels)


@torch.no_grad()
def test(
    stack: Stack, images: Tensor, labels: Tensor, *, classes: int, compute: Compute, passes: int = 1
) -> dict[str, Tensor]:
    """Loss and accuracy of every network of a stack on hard-labelled images.

    Args:
        images: (N, C, H, W) float32; labels: (N,) int64.
        passes: how many such passes the job makes, which decides whether compiling is worth it.

    Returns:
        ``loss`` (E,), ``accuracy`` (E,) and ``class_accuracy`` (E, K), float64 on the CPU; NaN for
        a class without images.
    """
    device, made = images.device, stack.architecture
    was_training = made.module.training
    made.module.eval()
    seconds = nominal_seconds(made.forward_flops * len(images) * stack.count * passes, device)
    low = compute.low_precision(device, seconds)
    answer = made.tester(low, compute, device, seconds)
    loss = torch.zeros(stack.count, dtype=torch.float64)
    hits = torch.zeros(stack.count, classes, dtype=torch.float64)
    for begin in range(0, len(images), TEST_BATCH):
        x, y = images[begin : begin + TEST_BATCH], labels[begin : begin + TEST_BATCH]
        own = len(x)
        if own < TEST_BATCH <= len(images):
            x = torch.cat(
                [x, images[: TEST_BATCH - own]]
            )  # one compiled shape serves; what is added is not counted
        logits = answer(stack.parameters, stack.buffers, x.expand(stack.count, *x.shape))[:, :own]
        loss += (
            torch.stack([functional.cross_entropy(row, y, reduction="sum") for row in logits])
            .double()
            .cpu()
        )
        right = (logits.argmax(dim=2) == y).double()
        hits.index_add_(1, y.cpu(), right.cpu())
    counts = torch.bincount(labels.cpu(), minlength=classes).double()
    made.module.train(was_training)
    return {
        "loss": loss / len(images),
        "accuracy": hits.sum(1) / len(images),
        "class_accuracy": hits / counts,
    }
