"""What a job of many trainings has finished, and the state of the training in progress, in one
checkpoint: interrupted at any moment, the job resumes to bit-identical results.

A job trains in an order that its settings alone decide. Each call that trains networks on the same
images, a stack of them at a time, has a number in that order; of it the ledger keeps what finished
networks gave, and the state within the stack that is trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from distillery.store import checkpoint as checkpoints


@dataclass
class _Done:
    """What one call has finished.

    Attributes:
        models: how many networks.
        rows: what they gave, JSON types.
        tensors: what later trainings need of them, by name.
    """

    models: int = 0
    rows: list[Any] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


class Ledger:
    """Keeps what the trainings of one job give.

    Args:
        checkpoint: of the job; by default nothing is kept.
    """

    def __init__(self, checkpoint: Any = checkpoints.NONE) -> None:
        self.keeps = checkpoint is not checkpoints.NONE
        self._checkpoint, self._calls = checkpoint, 0
        self._done: dict[int, _Done] = {}
        self._running: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        saved = checkpoint.load()
        if saved is not None:
            tensors, values = saved
            for number, models, rows in values["done"]:
                kept = checkpoints.part(f"done.{number}", tensors)
                self._done[number] = _Done(models, rows, kept)
            if values["running"] is not None:
                self._running = checkpoints.part("running", tensors), values["running"]

    def call(self) -> "Call":
        """Begin the job's next call."""
        number = self._calls
        self._calls += 1
        running = self._running if self._running and self._running[1]["call"] == number else None
        return Call(self, number, self._done.get(number) or _Done(), running)

    def finish(self, number: int, done: _Done) -> None:
        """Keep what a call has finished, and save where that is due."""
        if not self.keeps:
            return
        self._done[number], self._running = done, None
        if self._checkpoint.due():
            self.save(None, f"the end of training {number + 1}")

    def forget(self, number: int) -> None:
        """Keep no more tensors of a call that no later training needs."""
        if number in self._done:
            self._done[number].tensors = {}

    def due(self) -> bool:
        """Say whether to save now."""
        return self._checkpoint.due()

    def save(self, running: tuple[dict[str, Tensor], dict[str, Any]] | None, note: str) -> None:
        """Write all that is kept, and the state of the training in progress."""
        tensors: dict[str, Tensor] = {"none": torch.zeros(1)}  # a file holds one at least
        for number, done in self._done.items():
            tensors |= checkpoints.prefixed(f"done.{number}", done.tensors)
        if running is not None:
            tensors |= checkpoints.prefixed("running", running[0])
        values = {
            "done": [[number, done.models, done.rows] for number, done in self._done.items()],
            "running": None if running is None else running[1],
        }
        self._checkpoint.save(tensors, values, note)


class Call:
    """Networks that are trained on the same images, a stack at a time.

    Attributes:
        number: of the call among the job's.
        done: how many networks were finished before.
        size: how many an interrupted job trained at once; 0 where none was interrupted here.
    """

    def __init__(
        self,
        ledger: Ledger,
        number: int,
        done: _Done,
        running: tuple[dict[str, Tensor], dict[str, Any]] | None,
    ) -> None:
        self._ledger, self._kept, self._running = ledger, done, running
        self.number, self.done = number, done.models
        self.size = 0 if running is None else running[1]["stop"] - running[1]["start"]

    @property
    def rows(self) -> list[Any]:
        """What finished networks gave, in their order."""
        return list(self._kept.rows)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is kept of finished networks, on the CPU where it was resumed."""
        return self._kept.tensors

    def training(self, models: range, rows: list[Any]) -> "Training":
        """Begin, or resume, the training of these networks.

        Args:
            models: their numbers.
            rows: where they note what they give on the way, JSON types: filled with what they noted
                before an interruption.
        """
        running, self._running = self._running, None
        if running is not None and (running[1]["start"], running[1]["stop"]) != (
            models.start,
            models.stop,
        ):
            running = None
        if running is not None:
            rows[:] = running[1]["rows"]
        return Training(self._ledger, self.number, models, rows, running)

    def finish(
        self, models: range, rows: list[Any], tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        """Note that these networks are finished, and what they gave."""
        self._kept.models = models.stop
        self._kept.rows += rows
        self._kept.tensors |= tensors or {}
        self._ledger.finish(self.number, self._kept)

    def forget(self) -> None:
        """Drop the tensors of this call."""
        self._ledger.forget(self.number)


class Training:
    """The checkpoint of one stack's training, as ``train`` asks for it: what it saves stands beside
    all that the ledger keeps."""

    def __init__(
        self,
        ledger: Ledger,
        number: int,
        models: range,
        rows: list[Any],
        saved: tuple[dict[str, Tensor], dict[str, Any]] | None,
    ) -> None:
        self._ledger, self._number, self._models, self._rows = ledger, number, models, rows
        self._saved = saved

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the state that was saved within this training."""
        saved, self._saved = self._saved, None
        return None if saved is None else (saved[0], saved[1]["values"])

    def due(self) -> bool:
        """Say whether to save now."""
        return self._ledger.due()

    def save(self, tensors: dict[str, Tensor], values: dict[str, Any], note: str) -> None:
        """Save the state within this training."""
        about = {
            "call": self._number,
            "start": self._models.start,
            "stop": self._models.stop,
            "rows": self._rows,
            "values": values,
        }
        self._ledger.save((tensors, about), f"training {self._number + 1}, {note}")
