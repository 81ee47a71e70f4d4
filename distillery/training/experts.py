"""Expert trajectories: networks trained on real images, remembered after every epoch (Cazenavette
et al., arXiv 2203.11932, section 3.1)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distillery.compute.device import Compute
from distillery.errors import UserError
from distillery.store import checkpoint as checkpoints
from distillery.training.train import Recipe, Stack, in_stacks, stack_size, train


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
    checkpoint=checkpoints.NONE,
) -> Tensor:
    """Train a shard of experts.

    Args:
        numbers: the experts' numbers in the whole study; each has its own streams, so a shard's
            size changes no expert.
        images: (N, C, H, W) float32, normalised; labels: (N,) int64; both on the device that
            computes.
        after_epoch: called with the first expert's number, the epoch and the epoch's ``loss`` and
            ``accuracy`` (E,), to be recorded; once for every epoch of every expert, also where a
            checkpoint is taken up.
        checkpoint: where the state is kept between two steps, and taken up again.

    Returns:
        (experts, epochs + 1, P) float32 on the CPU: parameters before training and after each
        epoch, each a copy.

    Raises:
        UserError: the numbers are not consecutive, or a training diverges.
    """
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise UserError(f"experts of a shard must be numbered consecutively, not {numbers}")
    size = stack_size(network, len(numbers), images.device, recipe.batch)

    def tell(begin: int, epoch: int, summary: dict[str, Tensor]) -> None:
        if after_epoch is not None:
            after_epoch(numbers[0] + begin, epoch, summary)

    progress = _Shard(checkpoint, tell)

    def run(begin: int, count: int) -> None:
        begin += done
        progress.begin(begin, count)

        def note(epoch: int, stack: Stack, summary: dict[str, Tensor]) -> None:
            # flat() makes a new tensor: a snapshot that shared the live weights' storage would
            # change under training.
            progress.note(epoch, stack.flat().detach().to("cpu", copy=True), summary)

        train(
            network,
            count,
            images,
            labels,
            recipe,
            stream=stream,
            compute=compute,
            flip_allowed=flip_allowed,
            first=numbers[0] + begin,
            after_epoch=note,
            calls=-(-len(numbers) // size),
            checkpoint=progress,
        )
        progress.end()

    progress.tell_again()
    # Stacks that were finished before an interruption are left out, and the next is the one that it
    # interrupted.
    done = sum(len(finished) for finished in progress.trajectories)
    in_stacks(len(numbers) - done, progress.size or size, run)
    return torch.cat(progress.trajectories)


class _Shard:
    """What a shard has so far, and the checkpoint that it goes into beside the state of the
    training in progress.

    Args:
        tell: called with the first expert of a stack, an epoch and its summary.

    Attributes:
        trajectories: of the stacks that are finished, (E, epochs + 1, P) each.
        size: how many experts the interrupted job trained at once, or 0.
    """

    def __init__(self, checkpoint, tell: Callable[[int, int, dict[str, Tensor]], None]):
        self._checkpoint, self._tell = checkpoint, tell
        self.trajectories: list[Tensor] = []
        self._summaries: list[
            tuple[int, int, dict[str, Tensor]]
        ] = []  # first of the stack, epoch, summary
        self._snapshots: list[Tensor] = []
        self._begin = self.size = 0
        self._told: set[tuple[int, int]] = set()  # expert, epoch
        self._saved = checkpoint.load()
        if self._saved is not None:
            tensors, values = self._saved
            done = checkpoints.part("done", tensors)
            self.trajectories = [done[str(i)] for i in range(len(done))]
            self._snapshots = list(tensors["snapshots"].unbind(1))
            for i, (begin, epoch) in enumerate(values["summaries"]):
                self._remember(begin, epoch, checkpoints.part(f"summary.{i}", tensors))
            self.size = values["size"]

    def tell_again(self) -> None:
        for summary in self._summaries:
            self._tell(*summary)

    def begin(self, begin: int, count: int) -> None:
        """Start, or take up, the stack of ``count`` experts at expert ``begin`` of the shard."""
        self._begin, self.size = begin, count
        if self._saved is None:
            self._snapshots = []

    def note(self, epoch: int, parameters: Tensor, summary: dict[str, Tensor]) -> None:
        self._snapshots.append(parameters)
        # Experts that ran out of memory in a larger stack begin again in a smaller one, and were
        # reported before.
        if epoch and (self._begin, epoch) not in self._told:
            self._remember(
                self._begin, epoch, {name: value.cpu() for name, value in summary.items()}
            )
            self._tell(*self._summaries[-1])

    def _remember(self, begin: int, epoch: int, summary: dict[str, Tensor]) -> None:
        self._summaries.append((begin, epoch, summary))
        self._told |= {(begin + e, epoch) for e in range(len(summary["loss"]))}

    def end(self) -> None:
        self.trajectories.append(torch.stack(self._snapshots, dim=1))
        self._snapshots, self._saved = [], None

    # What ``training.train`` asks of a checkpoint.

    def load(self):
        saved, self._saved = self._saved, None
        return saved

    def due(self) -> bool:
        return self._checkpoint.due()

    def save(self, tensors: dict[str, Tensor], values: dict[str, Any], note: str) -> None:
        tensors = {**tensors, "snapshots": torch.stack(self._snapshots, dim=1)}
        tensors |= checkpoints.prefixed(
            "done", {str(i): done for i, done in enumerate(self.trajectories)}
        )
        for i, (_, _, summary) in enumerate(self._summaries):
            tensors |= checkpoints.prefixed(f"summary.{i}", summary)
        summaries = [(begin, epoch) for begin, epoch, _ in self._summaries]
        self._checkpoint.save(
            tensors,
            {**values, "summaries": summaries, "size": self.size},
            f"expert {self._begin} of the shard, {note}",
        )
