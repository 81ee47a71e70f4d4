"""The gradient through an unrolled training run, exact and in bounded memory.

A student starts at θ₀, an expert's parameters, and takes N plain gradient steps on synthetic
images, θ₍ᵢ₊₁₎ = θᵢ − α g(θᵢ, xᵢ, yᵢ) with g the gradient of the mean cross-entropy. Trajectory
matching (Cazenavette et al., arXiv 2203.11932, equation 2) minimises

    L = ‖θ_N − θ*‖² / ‖θ₀ − θ*‖²

in the images and in α. Unrolling by automatic differentiation keeps the graphs of all N steps. Here
the N parameter vectors are kept instead and the adjoint runs backwards over one step at a time:
with λ_N = 2 (θ_N − θ*) / ‖θ₀ − θ*‖² and h(θ, x, y) = ⟨g(θ, x, y), λ⟩, for i = N−1 … 0

    ∂L/∂xᵢ = −α ∂h/∂x,   ∂L/∂yᵢ = −α ∂h/∂y,   ∂L/∂α ← ∂L/∂α − h,   λ ← λ − α ∂h/∂θ.

Nothing is dropped: it is the gradient that unrolling gives, up to rounding. The gradients g of the
run forwards are kept, so h is a product of vectors; where the functions are compiled for a CPU, so
are the results of the convolutions (``_halves``), up to ``KEPT_BYTES``. Steps beyond that are
computed again before their adjoint, with the same function: the bound changes no bit.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from distillery import augmentations
from distillery.compute.device import Compute
from distillery.methods import _halves
from distillery.networks import unflatten

if TYPE_CHECKING:
    from distillery.methods.base import Task

# What a run may keep of its steps: 45 steps of the ConvNet of width 128 on 100 images of 32 x 32
# pixels.
KEPT_BYTES = 1.5e9

log = logging.getLogger("distillery")

Apply = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Unrolled:
    """What one unrolled run gives.

    Attributes:
        loss: L, a scalar.
        images: ∂L/∂images, the shape of the images.
        step_size: ∂L/∂α, a scalar.
        labels: ∂L/∂labels (N, K), or ``None`` for hard labels.
        end: θ_N, (P,).
    """

    loss: Tensor
    images: Tensor
    step_size: Tensor
    labels: Tensor | None
    end: Tensor


def pieces(apply: Apply, like: Mapping[str, Tensor]) -> tuple[Callable, Callable, Callable]:
    """Return what the adjoint of a training is made of, as pure functions of flat parameters.

    Args:
        apply: ``apply(params, images) -> logits``.
        like: name to tensor; gives the order and shapes of the flat parameter vectors.

    Returns:
        ``loss(theta (P,), images, labels)``, the mean cross-entropy; its gradient in theta, (P,);
        and ``projected(theta, images, labels, adjoint (P,))``, the gradient times the adjoint.
    """
    shapes = {name: torch.empty(value.shape, device="meta") for name, value in like.items()}

    def loss(theta: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(apply(unflatten(theta, shapes), images), labels)

    gradient = torch.func.grad(loss)

    def projected(theta: Tensor, images: Tensor, labels: Tensor, adjoint: Tensor) -> Tensor:
        return torch.dot(gradient(theta, images, labels), adjoint)

    return loss, gradient, projected


def passes(
    count: int, batch: int, steps: int, order: torch.Generator, device: torch.device
) -> list[Tensor] | None:
    """Return one index tensor per step: pass after pass over the shuffled set, each split into
    parts of ``batch`` (the last may be smaller); ``None`` where a step takes all."""
    if batch == count:
        return None
    batches: list[Tensor] = []
    while len(batches) < steps:
        batches += torch.randperm(count, generator=order).to(device).split(batch)
    return batches[:steps]


def draws(
    task: "Task", counts: Sequence[int], generator: torch.Generator
) -> list[tuple[Any, Any]] | None:
    """Draw for ``augmented`` what the augmentation of each step draws, ``counts[i]`` images in step
    i; ``None`` where the task asks for none."""
    strategy = task.settings["augment"]
    if strategy == "none":
        return None
    channels, height, width = task.initial.shape[1:]
    return [
        augmentations.draw(
            strategy,
            count,
            generator,
            shape=(channels, height, width),
            device=task.device,
            flip_allowed=task.flip_allowed,
        )
        for count in counts
    ]


def augmented(images: Tensor, draw: tuple[Any, Any]) -> Tensor:
    """Augment images as it was drawn; differentiable in them."""
    operation, drawn = draw
    return augmentations.apply(operation, images, drawn)


def seen(
    i: int,
    images: Tensor,
    labels: Tensor,
    batches: Sequence[Tensor] | None,
    draws: Sequence[Any] | None,
    transform: Callable[[Tensor, Any], Tensor] | None = augmented,
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor] | None]:
    """Return the images and labels of step ``i``, and what carries a derivative back through its
    augmentation, where there is one.

    Args:
        i: the step, from 0.
        images: of the set.
        labels: theirs.
        batches: as ``passes`` gives them.
        draws: one per step; ``None``: no augmentation.
        transform: the augmentation, given what was drawn.
    """
    x, y = (images, labels) if batches is None else (images[batches[i]], labels[batches[i]])
    if draws is None or transform is None:
        return x, y, None
    drawn = draws[i]
    # Outside the compiled functions: an augmentation has as many shapes as it has operations.
    x, pull = torch.func.vjp(  # pyright: ignore[reportAssignmentType]  # no has_aux: two
        lambda v: transform(v, drawn), x
    )
    return x, y, lambda derivative: pull(derivative)[0]


class Unroll:
    """An unrolled run of one architecture; built once, called for every pair of expert parameters.

    Args:
        apply: ``apply(params, images) -> logits``.
        like: name to tensor; gives the order and shapes of the flat parameter vectors.
        transform: ``transform(images, draw) -> images``, differentiable in the images: the
            augmentation of a step, given what was drawn for it. The same draw is used in the
            backward run.
        compute: how to compute, with ``expected_seconds`` (all calls together, eagerly) for
            ``Compute.compiled``.
    """

    def __init__(
        self,
        apply: Apply,
        like: Mapping[str, Tensor],
        *,
        transform: Callable[[Tensor, Any], Tensor] | None = None,
        compute: Compute | None = None,
        expected_seconds: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        _, self._gradient, projected = pieces(apply, like)
        compute = compute or Compute("float32", "off")
        self._compiled = partial(compute.compiled, device=device, expected_seconds=expected_seconds)
        self._halved = torch.device(device).type == "cpu" and compute.compiles(
            device, expected_seconds
        )
        gradient = self._compiled(self._gradient)
        self._whole = [
            (
                lambda *inputs: (gradient(*inputs), ()),
                self._compiled(torch.func.grad(projected, argnums=which)),
            )
            for which in ((0, 1), (0, 1, 2))
        ]
        self._made: dict[tuple[torch.Size, bool], tuple[Callable, Callable]] = {}
        self._transform = transform

    def _functions(
        self, theta: Tensor, images: Tensor, labels: Tensor
    ) -> tuple[Callable, Callable]:
        """Return ``step(theta, images, labels) -> (gradient, kept)`` and its adjoint ``back(theta,
        images, labels, adjoint, *kept)`` for inputs of these shapes: as ``_halves`` has them, or
        whole, with nothing kept."""
        soft = labels.is_floating_point()
        key = (images.shape, soft)
        if key not in self._made:
            made = self._halves(theta, images, labels) if self._halved else None
            self._made[key] = made or self._whole[soft]
        return self._made[key]

    def _halves(self, *inputs: Tensor) -> tuple[Callable, Callable] | None:
        """Return both functions for inputs of these shapes; ``None`` where the network cannot be
        traced."""
        try:
            step, back = _halves.halves(self._gradient, *inputs)
        except Exception as error:  # whatever a network from outside does
            log.info("the network cannot be traced, its adjoint takes longer: %s", error)
            return None
        return self._compiled(step), self._compiled(back)

    @torch.no_grad()
    def __call__(
        self,
        start: Tensor,
        target: Tensor,
        images: Tensor,
        labels: Tensor,
        step_size: Tensor,
        *,
        steps: int,
        batches: Sequence[Tensor] | None = None,
        draws: Sequence[Any] | None = None,
    ) -> Unrolled:
        """Run forwards, then backwards.

        Args:
            start: θ₀, (P,) of the images' dtype.
            target: θ*, (P,).
            images: (N, C, H, W) floating.
            labels: (N,) int64, or (N, K) soft labels of the images' dtype, for which the gradient
                is taken too.
            step_size: α, a scalar tensor.
            steps: how many.
            batches: one int64 index tensor (B,) per step into the images; ``None``: all of them
                at every step.
            draws: what the augmentation drew, one per step.

        Where start and target are equal the loss divides by zero and is not finite.
        """
        scale = (start - target).square().sum()
        soft = labels.is_floating_point()

        def inputs(i: int) -> tuple[Tensor, Tensor, Callable | None]:
            return seen(i, images, labels, batches, draws, self._transform)

        thetas, gradients, kept, left = [start], list[Tensor](), list[Any](), KEPT_BYTES
        for i in range(steps):
            x, y, _ = inputs(i)
            gradient, results = self._functions(start, x, y)[0](thetas[-1], x, y)
            left -= sum(result.nbytes for result in results)
            kept.append(results if left >= 0 else None)
            gradients.append(gradient)
            thetas.append(thetas[-1] - step_size * gradient)
        end = thetas.pop()
        loss = (end - target).square().sum() / scale

        adjoint = 2 * (end - target) / scale
        totals = [torch.zeros_like(part) for part in ((images, labels) if soft else (images,))]
        d_step = torch.zeros_like(step_size)
        for i in reversed(range(steps)):
            x, y, pull = inputs(i)
            step, back = self._functions(start, x, y)
            theta, results = thetas.pop(), kept.pop()
            if results is None:
                _, results = step(theta, x, y)
            d_theta, d_x, *d_y = back(theta, x, y, adjoint, *results)
            for total, part in zip(totals, (d_x if pull is None else pull(d_x), *d_y), strict=True):
                if batches is None:
                    total.sub_(step_size * part)
                else:
                    total.index_add_(0, batches[i], -step_size * part)
            d_step -= torch.dot(gradients.pop(), adjoint)
            adjoint = adjoint - step_size * d_theta
        return Unrolled(loss, totals[0], d_step, totals[1] if soft else None, end)
