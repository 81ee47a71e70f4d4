"""Expert trajectories: networks trained on real images, remembered after every epoch (Cazenavette et al., arXiv
2203.11932, section 3.1)."""

import os
from collections.abc import Callable
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from distillery import artefact
from distillery.device import Compute
from distillery.errors import UserError
from distillery.training import Recipe, Stack, stack_size, train


def train_experts(
    network: dict[str, Any],
    numbers: list[int],
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    stream: Callable[..., torch.Generator],
    compute: Compute,
    flip_allowed: bool = False,
    after_epoch: Callable[[int, int, dict[str, Tensor]], None] | None = None,
) -> Tensor:
    """Train a shard of experts.

    Args:
        numbers: the experts' numbers in the whole study; each has its own streams, so a shard's size changes no expert.
        images: (N, C, H, W) float32, normalised; labels: (N,) int64; both on the device that computes.
        after_epoch: called with the first expert's number, the epoch and the epoch's ``loss`` and ``accuracy`` (E,), to
            be recorded.

    Returns:
        (experts, epochs + 1, P) float32 on the CPU: parameters before training and after each epoch, each a copy.

    Raises:
        UserError: the numbers are not consecutive, or a training diverges.
    """
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise UserError(f"experts of a shard must be numbered consecutively, not {numbers}")
    size = stack_size(network, len(numbers), images.device)
    trajectories: list[Tensor] = []
    for begin in range(0, len(numbers), size):
        chunk = numbers[begin : begin + size]
        epochs: list[Tensor] = []

        def note(epoch: int, stack: Stack, summary: dict[str, Tensor], epochs=epochs, chunk=chunk) -> None:
            # flat() makes a new tensor: a snapshot that shared the live weights' storage would change under training.
            epochs.append(stack.flat().detach().to("cpu", copy=True))
            if epoch and after_epoch is not None:
                after_epoch(chunk[0], epoch, summary)

        train(
            network,
            len(chunk),
            images,
            labels,
            recipe,
            stream=stream,
            compute=compute,
            flip_allowed=flip_allowed,
            first=chunk[0],
            after_epoch=note,
        )
        trajectories.append(torch.stack(epochs, dim=1))
    return torch.cat(trajectories)


def save(path: str | os.PathLike, trajectories: Tensor, header: dict[str, Any]) -> None:
    """Write a shard: tensor ``trajectories`` (experts, epochs + 1, P) float32, and a header."""
    artefact.save(path, {"trajectories": trajectories}, header)


class Experts:
    """The shards of one recipe, memory-mapped: a step reads two rows and nothing else.

    Attributes:
        number: how many experts.
        epochs: epochs that each was trained.
        parameters: length of a parameter vector.

    Raises:
        UserError: a shard is missing, damaged, or disagrees with the others.
    """

    def __init__(self, paths: list[str | os.PathLike], device: torch.device | str = "cpu"):
        self._device = torch.device(device)
        self._slices, self._rows = [], []
        shapes = set()
        for path in paths:
            artefact.header(path, rule="train_experts")
            try:
                rows = safe_open(str(path), framework="pt").get_slice("trajectories")
                experts, snapshots, parameters = rows.get_shape()
            except (OSError, SafetensorError, ValueError) as error:
                raise UserError(
                    f"{path}: cannot be read ({error}); delete it: the rule train_experts makes it anew"
                ) from error
            shapes.add((snapshots, parameters))
            self._rows.extend((len(self._slices), row) for row in range(experts))
            self._slices.append(rows)
        if len(shapes) != 1:
            raise UserError(
                f"the expert shards disagree in (snapshots, parameters): {sorted(shapes)}; delete them: "
                "train_experts makes them anew"
            )
        snapshots, self.parameters = shapes.pop()
        self.number, self.epochs = len(self._rows), snapshots - 1

    def pair(self, expert: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The parameter vectors (P,) float32 of one expert after ``start`` and after ``stop`` epochs, on the device;
        copies.

        Raises:
            IndexError: there is no such expert or epoch.
        """
        # safetensors would give an empty vector for an epoch beyond the last.
        if not (0 <= expert < self.number and 0 <= start <= self.epochs and 0 <= stop <= self.epochs):
            raise IndexError(
                f"expert {expert} at epochs {start} and {stop}: there are {self.number} experts of {self.epochs} epochs"
            )
        shard, row = self._rows[expert]
        slices = [self._slices[shard][row : row + 1, epoch : epoch + 1].reshape(-1) for epoch in (start, stop)]
        # On a CPU a slice is the mapped file itself: changed in place, it would change every later reading.
        return tuple(vector.to(self._device, copy=True) for vector in slices)
