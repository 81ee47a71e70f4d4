"""What takes one step of training: a gradient on a batch, and an update of the parameters."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints
from distillery.training.stack import Architecture, Stack, are_right, softened


class Plain:
    """Steps by automatic differentiation and torch's own SGD: for short trainings, and networks
    with running statistics.

    By the function behind ``torch.optim.SGD``: making the class imports the compiler, more than a
    second of a job of seconds.
    """

    def __init__(
        self,
        architecture: Architecture,
        stack: Stack,
        recipe: Recipe,
        low: torch.dtype | None,
        temperature: float = 1.0,
    ) -> None:
        self._architecture, self._stack, self._recipe, self._low = architecture, stack, recipe, low
        self._temperature = temperature
        self._parameters = [tensor.requires_grad_(True) for tensor in stack.parameters.values()]
        self._rate = 0.0
        self._velocity: list[Tensor | None] = [None] * len(self._parameters)

    def rate(self, rate: float, keep: bool) -> None:
        """Go on at another learning rate; what the optimiser remembers starts over unless kept."""
        self._rate = rate
        if not keep:
            self._velocity = [None] * len(self._parameters)

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step on images (E, B, C, H, W), labels (E, B) or (E, B, K) and weights (B,).

        Returns:
            The losses (E, B) before the step, and whether each answer was right (E, B).
        """
        logits = self._architecture.stacked(
            self._stack.parameters, self._stack.buffers, x, self._low
        )
        # cross_entropy wants the classes second.
        losses = softened(
            logits.transpose(1, 2), y.transpose(1, 2) if y.ndim == 3 else y, self._temperature
        )
        # The sum over the stack keeps every network's gradient what it would be alone.
        gradients = torch.autograd.grad((losses * weights).sum(), self._parameters)
        with torch.no_grad():
            self._update(list(gradients))
        return losses.detach(), are_right(logits.detach(), y)

    def _update(self, gradients: list[Tensor]) -> None:
        sgd(
            self._parameters,
            gradients,
            self._velocity,
            weight_decay=self._recipe.weight_decay,
            momentum=self._recipe.momentum,
            lr=self._rate,
            dampening=0,
            nesterov=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Return all that changes from step to step, for a checkpoint."""
        state = checkpoints.prefixed("parameters", self._stack.parameters) | checkpoints.prefixed(
            "buffers", self._stack.buffers
        )
        velocity = zip(self._stack.parameters, self._velocity, strict=True)
        state |= checkpoints.prefixed(
            "velocity", {name: value for name, value in velocity if value is not None}
        )
        return {name: tensor.detach() for name, tensor in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
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


class AdamW(Plain):
    """The same by torch's AdamW. The velocity is the first average; beside it stand the second, and
    the number of steps."""

    def rate(self, rate: float, keep: bool) -> None:
        """Go on at another learning rate; what the optimiser remembers starts over unless kept."""
        super().rate(rate, keep)
        if not keep:
            self._velocity = [torch.zeros_like(value) for value in self._parameters]
            self._squares = [torch.zeros_like(value) for value in self._parameters]
            self._steps = [torch.zeros(()) for _ in self._parameters]

    def _update(self, gradients: list[Tensor]) -> None:
        adamw(
            self._parameters,
            gradients,
            [value for value in self._velocity if value is not None],
            self._squares,
            [],
            self._steps,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self._rate,
            weight_decay=self._recipe.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """Return all that changes from step to step, for a checkpoint."""
        squares = dict(zip(self._stack.parameters, self._squares, strict=True))
        return (
            super().state()
            | checkpoints.prefixed("squares", squares)
            | {"steps": torch.stack(self._steps)}
        )

    def restore(self, state: dict[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        super().restore(state)
        device = self._parameters[0].device
        squares = checkpoints.part("squares", state, lambda tensor: tensor.to(device))
        self._squares = [squares[name] for name in self._stack.parameters]
        self._steps = list(state["steps"].cpu().unbind())


class Compiled:
    """Steps by one compiled function that holds the gradient and the update."""

    def __init__(self, stack: Stack, function: Callable) -> None:
        self._stack, self._function = stack, function
        self._velocity = {name: torch.zeros_like(value) for name, value in stack.parameters.items()}
        self._rate = torch.zeros(())

    def rate(self, rate: float, keep: bool) -> None:
        """Go on at another learning rate; what the optimiser remembers starts over unless kept."""
        # A tensor, because another number would be another compilation.
        self._rate = torch.tensor(rate, device=next(iter(self._velocity.values())).device)
        if not keep:
            self._velocity = {
                name: torch.zeros_like(value) for name, value in self._velocity.items()
            }

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step on images (E, B, C, H, W), labels (E, B) or (E, B, K) and weights (B,).

        Returns:
            The losses (E, B) before the step, and whether each answer was right (E, B).
        """
        parameters, self._velocity, losses, right = self._function(
            self._stack.parameters, self._velocity, x, y, weights, self._rate
        )
        self._stack.parameters.update(parameters)
        return losses, right

    def state(self) -> dict[str, Tensor]:
        """Return all that changes from step to step, for a checkpoint."""
        return checkpoints.prefixed("parameters", self._stack.parameters) | checkpoints.prefixed(
            "velocity", self._velocity
        )

    def restore(self, state: dict[str, Tensor]) -> None:
        """Resume from what :meth:`state` returned."""
        device = next(iter(self._velocity.values())).device
        self._stack.parameters.update(
            checkpoints.part("parameters", state, lambda tensor: tensor.to(device))
        )
        self._velocity = checkpoints.part("velocity", state, lambda tensor: tensor.to(device))
