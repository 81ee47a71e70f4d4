"""Training and testing networks: several at a time where the device gains from it, with the data on the device.

There is no DataLoader and no per-sample Python in the step. Every network has its own streams (initialisation, order,
augmentation), so the result of a network does not depend on which others are trained beside it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from distillery import augment as augmentation
from distillery import networks
from distillery.device import Compute, nominal_seconds
from distillery.errors import UserError

# About what the ConvNet (width 128, depth 3) spends on a 32 x 32 image, forward, in floating-point operations. It
# stands for every network, since it only decides whether compiling is worth it.
_FORWARD_FLOPS = 1e8
TEST_BATCH = 512


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: stochastic gradient descent on the cross-entropy, soft or hard labels alike.

    Attributes:
        epochs: passes over the images.
        lr: learning rate.
        momentum, weight_decay: of the optimiser.
        batch: images a step (the last batch of an epoch is smaller).
        decay: ``half``: the rate is multiplied by 0.1 after epoch ``epochs // 2 + 1`` and the momentum starts anew, as
            in the gradient-matching protocol; ``none``: constant.
        augment: name of an augmentation strategy, or ``none``.
    """

    epochs: int
    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 256
    decay: str = "none"
    augment: str = "none"

    def rate(self, epoch: int) -> float:
        """The learning rate of ``epoch`` (1-based)."""
        return self.lr * 0.1 if self.decay == "half" and epoch > self.epochs // 2 + 1 else self.lr

    def steps(self, count: int) -> int:
        """Optimiser steps on ``count`` images."""
        return self.epochs * -(-count // self.batch)


@dataclass
class Stack:
    """E networks of one architecture whose parameters (and buffers) are stacked on a leading axis.

    Attributes:
        module: the architecture; its own values are not used.
        parameters, buffers: name to tensor (E, ...).
    """

    module: torch.nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(next(iter(self.parameters.values())))

    def first(self) -> "Stack":
        """The first network alone; it shares the values."""
        return Stack(
            self.module, *({n: tensor[:1] for n, tensor in part.items()} for part in (self.parameters, self.buffers))
        )

    def logits(self, images: Tensor) -> Tensor:
        """(E, B, C, H, W) -> (E, B, K); each network sees its own images."""
        if self.count == 1:
            return self._one(_row(self.parameters, 0), _row(self.buffers, 0), images[0])[None]
        return torch.vmap(self._one)(self.parameters, self.buffers, images)

    def _one(self, parameters, buffers, images):
        return torch.func.functional_call(self.module, (parameters, buffers), (images,))

    def flat(self) -> Tensor:
        """(E, P) float32: each network's parameters as one vector, in ``networks.flatten``'s order."""
        return torch.stack([networks.flatten(_row(self.parameters, e)) for e in range(self.count)])


def _row(tensors: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {name: tensor[index] for name, tensor in tensors.items()}


def initialise(network: dict[str, Any], generators: Iterable[torch.Generator], device: torch.device) -> Stack:
    """Freshly initialised networks, one a generator.

    Args:
        network: ``name``, ``channels``, ``size``, ``classes`` and ``options`` as for ``networks.build``.
    """
    module = networks.build(
        network["name"], **{k: network[k] for k in ("channels", "size", "classes")}, **network["options"]
    )
    members = []
    for generator in generators:
        networks.initialise(module, generator)
        members.append(
            (
                {name: value.detach().clone() for name, value in module.named_parameters()},
                {name: value.detach().clone() for name, value in module.named_buffers()},
            )
        )
    stacked = [
        {name: torch.stack([member[part][name] for member in members]).to(device) for name in members[0][part]}
        for part in (0, 1)
    ]
    return Stack(module.to(device), *stacked)


def stack_size(network: dict[str, Any], count: int, device: torch.device) -> int:
    """How many of ``count`` networks to train at once: all on a CUDA device, one on a CPU, where a stack only costs.

    Networks with running statistics are trained one by one.
    """
    if device.type != "cuda" or network["name"].endswith("BN") or network["options"].get("norm") == "batch":
        return 1
    return count


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
) -> Stack:
    """Train ``count`` networks on the same images, each with its own initialisation, order and augmentation.

    Args:
        network: as for :func:`initialise`.
        images: (N, C, H, W) float32, normalised, on the device that computes.
        labels: (N,) int64 or (N, K) float32.
        stream: ``stream(purpose, model, ...)`` gives this job's generator for a purpose; used as ``("initialise", m)``,
            ``("order", m)``, ``("augment", m)`` and ``("replay", m)`` with ``m = first + e``.
        start: networks to go on with instead of fresh ones (trained in place).
        after_epoch: called with the epoch (1-based; 0 before training), the stack, and the epoch's mean training
            ``loss`` and ``accuracy``, both (E,).
        replay: ``(images, labels, batch)``: a memory of which ``batch`` images, drawn with replacement, join every
            step; the two mean losses are averaged (experience replay).

    Returns:
        The trained stack.

    Raises:
        UserError: the loss of an epoch is not finite, or a parameter at the end of the last.
    """
    device = images.device
    stack = (
        start
        if start is not None
        else initialise(network, [stream("initialise", first + e) for e in range(count)], device)
    )
    stack.module.train()
    orders = [stream("order", first + e) for e in range(count)]
    draws = [stream("augment", first + e) for e in range(count)]
    recalls = [stream("replay", first + e) for e in range(count)] if replay is not None else []
    parameters = [tensor.requires_grad_(True) for tensor in stack.parameters.values()]
    total = len(images)
    batch = min(recipe.batch, total)
    # Sums over the stack keep every network's gradient what it would be alone.
    low = compute.low_precision(device) if total > 4 * recipe.batch else None
    loss_of = compute.compiled(
        lambda p, b, x, y: _loss(stack.module, p, b, x, y, low),
        device=device,
        expected_seconds=nominal_seconds(3 * _FORWARD_FLOPS * total * recipe.epochs * count, device)
        if total >= recipe.batch
        else 0.0,
    )
    optimiser, rate = None, None
    if after_epoch is not None:
        after_epoch(0, stack, {})
    for epoch in range(1, recipe.epochs + 1):
        if recipe.rate(epoch) != rate:
            rate = recipe.rate(epoch)
            optimiser = torch.optim.SGD(parameters, lr=rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
        order = torch.stack([torch.randperm(total, generator=generator) for generator in orders]).to(device)
        loss_sum = torch.zeros(count, device=device)
        correct = torch.zeros(count, device=device)
        for begin in range(0, total, batch):
            index = order[:, begin : begin + batch]
            x, y = images[index], labels[index]
            if recipe.augment != "none":
                x = _augmented(x, recipe.augment, draws, flip_allowed)
            optimiser.zero_grad(set_to_none=True)
            # A smaller last batch would make torch.compile build a second graph: it runs eagerly.
            step = loss_of if index.shape[1] == batch else lambda p, b, x, y: _loss(stack.module, p, b, x, y, low)
            losses, hits = step(stack.parameters, stack.buffers, x, y)
            objective = losses.sum()
            if replay is not None:
                memory_x, memory_y, size = replay
                recall = torch.stack([torch.randint(len(memory_x), (size,), generator=g) for g in recalls]).to(device)
                x = memory_x[recall]
                if recipe.augment != "none":
                    x = _augmented(x, recipe.augment, draws, flip_allowed)
                remembered, _ = _loss(stack.module, stack.parameters, stack.buffers, x, memory_y[recall], low)
                objective = 0.5 * (objective + remembered.sum())
            objective.backward()
            optimiser.step()
            loss_sum += losses.detach() * index.shape[1]
            correct += hits
        summary = {"loss": loss_sum / total, "accuracy": correct / total}
        finite = torch.isfinite(summary["loss"]).all()
        if epoch == recipe.epochs:
            # No loss comes after the last step to tell what it did.
            finite = finite and all(torch.isfinite(tensor).all() for tensor in parameters)
        if not finite:
            raise UserError(
                f"training of {network['name']} diverged in epoch {epoch}: the loss or a parameter is not finite at "
                f"learning rate {rate:g}; try a smaller `lr`"
            )
        if after_epoch is not None:
            after_epoch(epoch, stack, summary)
    for tensor in parameters:
        tensor.requires_grad_(False)
    return stack


def _augmented(x: Tensor, strategy: str, generators: list[torch.Generator], flip_allowed: bool) -> Tensor:
    drawn = []
    for e, generator in enumerate(generators):
        drawn.append(augmentation.augment(strategy, x[e], generator, flip_allowed=flip_allowed))
    return torch.stack(drawn)


def _loss(module, parameters, buffers, x, y, low) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy (E,) and correct answers (E,) of E networks on (E, B, C, H, W), in autocast to ``low`` if
    given."""
    with torch.autocast(x.device.type, dtype=low or torch.bfloat16, enabled=low is not None):
        logits = Stack(module, parameters, buffers).logits(x).float()
    logits_last = logits.transpose(1, 2)  # (E, K, B): cross_entropy wants classes second
    soft = y.ndim == 3
    target = y.transpose(1, 2) if soft else y
    losses = functional.cross_entropy(logits_last, target, reduction="none").mean(dim=1)
    hits = (logits.detach().argmax(dim=2) == (y.argmax(dim=2) if soft else y)).sum(dim=1)
    return losses, hits


@torch.no_grad()
def test(stack: Stack, images: Tensor, labels: Tensor, *, classes: int, compute: Compute) -> dict[str, Tensor]:
    """Loss and accuracy of every network of a stack on hard-labelled images.

    Args:
        images: (N, C, H, W) float32; labels: (N,) int64.

    Returns:
        ``loss`` (E,), ``accuracy`` (E,) and ``class_accuracy`` (E, K), float64 on the CPU; NaN for a class without
        images.
    """
    was_training = stack.module.training
    stack.module.eval()
    low = compute.low_precision(images.device)
    loss = torch.zeros(stack.count, dtype=torch.float64)
    hits = torch.zeros(stack.count, classes, dtype=torch.float64)
    for begin in range(0, len(images), TEST_BATCH):
        x, y = images[begin : begin + TEST_BATCH], labels[begin : begin + TEST_BATCH]
        with torch.autocast(x.device.type, dtype=low or torch.bfloat16, enabled=low is not None):
            logits = stack.logits(x.expand(stack.count, *x.shape)).float()
        loss += torch.stack([functional.cross_entropy(row, y, reduction="sum") for row in logits]).double().cpu()
        right = (logits.argmax(dim=2) == y).double()
        hits.index_add_(1, y.cpu(), right.cpu())
    counts = torch.bincount(labels.cpu(), minlength=classes).double()
    stack.module.train(was_training)
    return {"loss": loss / len(images), "accuracy": hits.sum(1) / len(images), "class_accuracy": hits / counts}
