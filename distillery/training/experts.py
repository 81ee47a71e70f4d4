"""Expert trajectories: networks trained on real images, remembered after every epoch (Cazenavette
et al., arXiv 2203.11932, section 3.1)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.store import checkpoint as checkpoints
from distillery.training.stack import Stack, in_stacks, stack_size
from distillery.training.train import Bench, train


def train_experts(
    bench: Bench,
    recipe: Recipe,
    images: Images,
    numbers: list[int],
    *,
    after_epoch: Callable[[int, int, dict[str, Tensor]], None] | None = None,
    checkpoint: Any = checkpoints.NONE,
) -> Tensor:
    """Train a shard of experts.

    Args:
        bench: what the experts are trained with.
        recipe: how they are trained.
        images: on the device that computes.
        numbers: the experts' numbers in the whole study; each has its own streams, so a shard's
            size changes no expert.
        after_epoch: called with the first expert's number, the epoch and the epoch's ``loss`` and
            ``accuracy`` (E,), to be recorded; once for every epoch of every expert, also where a
            checkpoint is resumed from, as ``bench.progress`` is.
        checkpoint: where the state is kept between two steps, and resumed from.

    Returns:
        (experts, epochs + 1, P) float32 on the CPU: parameters before training and after each
        epoch, each a copy.

    Raises:
        UserError: the numbers are not consecutive, or a training diverges.
    """
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise UserError(f"experts of a shard must be numbered consecutively, not {numbers}")
    size = stack_size(bench.network, len(numbers), images.device, recipe.batch)

    def report(first: int, epoch: int, summary: dict[str, Tensor]) -> None:
        if after_epoch is not None:
            after_epoch(first, epoch, summary)
        bench.progress(len(summary["loss"]))

    shard = _Shard(checkpoint, report)
    # The shard reports the epochs of an interrupted job too, which `train` does not see again.
    quiet = replace(bench, progress=lambda epochs: None, calls=-(-len(numbers) // size))

    def run(models: range) -> None:
        shard.begin(models)

        def note(epoch: int, stack: Stack, summary: dict[str, Tensor]) -> None:
            # flat() makes a new tensor: a snapshot that shared the live weights' storage would
            # change under training.
            shard.note(epoch, stack.flat().detach().to("cpu", copy=True), summary)

        train(quiet, recipe, images, models, after_epoch=note, checkpoint=shard)
        shard.end()

    shard.report_again()
    # Stacks that were finished before an interruption are left out, and the next is the one that it
    # interrupted.
    done = sum(len(finished) for finished in shard.trajectories)
    in_stacks(range(numbers[0] + done, numbers[-1] + 1), shard.size or size, run)
    return torch.cat(shard.trajectories)


class _Shard:
    """What a shard has so far, and the checkpoint that it goes into beside the state of the
    training in progress.

    Args:
        report: called with the first expert of a stack, an epoch and its summary.

    Attributes:
        trajectories: of the stacks that are finished, (E, epochs + 1, P) each.
        size: how many experts the interrupted job trained at once, or 0.
    """

    def __init__(
        self, checkpoint: Any, report: Callable[[int, int, dict[str, Tensor]], None]
    ) -> None:
        self._checkpoint, self._report = checkpoint, report
        self.trajectories: list[Tensor] = []
        # The first of the stack, the epoch, the summary.
        self._summaries: list[tuple[int, int, dict[str, Tensor]]] = []
        self._snapshots: list[Tensor] = []
        self._first = self.size = 0
        self._reported: set[tuple[int, int]] = set()  # expert, epoch
        self._saved = checkpoint.load()
        if self._saved is not None:
            tensors, values = self._saved
            done = checkpoints.part("done", tensors)
            self.trajectories = [done[str(i)] for i in range(len(done))]
            self._snapshots = list(tensors["snapshots"].unbind(1))
            for i, (first, epoch) in enumerate(values["summaries"]):
                self._remember(first, epoch, checkpoints.part(f"summary.{i}", tensors))
            self.size = values["size"]

    def report_again(self) -> None:
        """Report what the interrupted job did before."""
        for summary in self._summaries:
            self._report(*summary)

    def begin(self, models: range) -> None:
        """Start, or resume, the stack of these experts."""
        self._first, self.size = models.start, len(models)
        if self._saved is None:
            self._snapshots = []

    def note(self, epoch: int, parameters: Tensor, summary: dict[str, Tensor]) -> None:
        self._snapshots.append(parameters)
        # Experts that ran out of memory in a larger stack begin again in a smaller one, and were
        # reported before.
        if epoch and (self._first, epoch) not in self._reported:
            on_host = {name: value.cpu() for name, value in summary.items()}
            self._remember(self._first, epoch, on_host)
            self._report(*self._summaries[-1])

    def _remember(self, first: int, epoch: int, summary: dict[str, Tensor]) -> None:
        self._summaries.append((first, epoch, summary))
        self._reported |= {(first + e, epoch) for e in range(len(summary["loss"]))}

    def end(self) -> None:
        self.trajectories.append(torch.stack(self._snapshots, dim=1))
        self._snapshots, self._saved = [], None

    # What ``train`` asks of a checkpoint.

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
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
        summaries = [(first, epoch) for first, epoch, _ in self._summaries]
        self._checkpoint.save(
            tensors,
            {**values, "summaries": summaries, "size": self.size},
            f"expert {self._first}, {note}",
        )
