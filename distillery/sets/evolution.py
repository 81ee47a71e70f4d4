"""What a distillation looked like on its way: its snapshots and losses."""

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from distillery.errors import UserError
from distillery.images import formation
from distillery.store import artefact

if TYPE_CHECKING:
    from distillery.store.metrics import Metrics


class Evolution:
    """Record a distillation: snapshots at intervals and the loss of every iteration.

    Methods call :meth:`iteration` once per iteration; which are kept is decided here.

    Args:
        iterations: how many there will be.
        snapshots: how many to keep beside the start (evenly spaced, the last included).
        progress: called with the iteration and the latest loss, to show it.
    """

    def __init__(
        self,
        iterations: int,
        snapshots: int,
        progress: Callable[[int, torch.Tensor | float | None], None] | None = None,
    ) -> None:
        count = max(1, min(snapshots, iterations))
        self.kept = {0} | {round(iterations * (i + 1) / count) for i in range(count)}
        self.losses: list[tuple[int, torch.Tensor | float]] = []
        self.step_sizes: list[tuple[int, torch.Tensor | float]] = []
        self.frames: list[tuple[int, torch.Tensor, torch.Tensor | None, float | None]] = []
        self._progress = progress

    def iteration(
        self,
        iteration: int,
        loss: torch.Tensor | float | None = None,
        images: torch.Tensor | None = None,
        *,
        step_size: torch.Tensor | float | None = None,
        labels: torch.Tensor | None = None,
    ) -> None:
        """Note an iteration. Iteration 0 is the start, before any update (no loss).

        Args:
            iteration: its number.
            loss: the matching loss of this iteration (a number or a 0-d tensor, read only at the
                end).
            images: (N, C, H, W) after this iteration's update; copied if kept.
            step_size: the learned step size after this iteration.
            labels: (N, K) soft labels after this iteration.
        """
        if loss is not None:
            self.losses.append((iteration, loss))
        if step_size is not None:
            self.step_sizes.append((iteration, step_size))
        if iteration in self.kept and not any(frame[0] == iteration for frame in self.frames):
            assert images is not None, "a kept iteration has images"
            self.frames.append(
                (
                    iteration,
                    images.detach().to("cpu", copy=True),
                    None if labels is None else labels.detach().to("cpu", copy=True),
                    None if step_size is None else float(step_size),
                )
            )
        if self._progress is not None:
            self._progress(iteration, loss)

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that was noted so far, as tensors for a checkpoint."""
        state = {}
        for name, pairs in (("losses", self.losses), ("step_sizes", self.step_sizes)):
            state[f"{name}.iteration"] = torch.tensor([i for i, _ in pairs], dtype=torch.int64)
            state[f"{name}.value"] = torch.tensor(
                [float(value) for _, value in pairs], dtype=torch.float64
            )
        for iteration, images, labels, step_size in self.frames:
            state[f"frame.{iteration}.images"] = images
            if labels is not None:
                state[f"frame.{iteration}.labels"] = labels
            if step_size is not None:
                state[f"frame.{iteration}.step_size"] = torch.tensor(step_size, dtype=torch.float64)
        return state

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Resume from what :meth:`state` gave."""
        for name, pairs in (("losses", self.losses), ("step_sizes", self.step_sizes)):
            pairs[:] = zip(state[f"{name}.iteration"].tolist(), state[f"{name}.value"].tolist())
        iterations = sorted(
            {int(name.split(".")[1]) for name in state if name.startswith("frame.")}
        )
        self.frames = [
            (
                i,
                state[f"frame.{i}.images"],
                state.get(f"frame.{i}.labels"),
                float(state[f"frame.{i}.step_size"]) if f"frame.{i}.step_size" in state else None,
            )
            for i in iterations
        ]
        if self._progress is not None and self.losses:
            self._progress(self.losses[-1][0], None)

    def record(self, metrics: "Metrics") -> None:
        """Note the ``matching_loss`` of every iteration and the ``step_size`` where one is
        learned."""
        for measure, values in (("matching_loss", self.losses), ("step_size", self.step_sizes)):
            for iteration, value in values:
                if math.isfinite(float(value)):  # iteration 0 has no loss yet
                    metrics.add(measure, value, iteration=iteration)

    def save(self, path: str | os.PathLike[str], header: dict[str, Any]) -> None:
        """Write the snapshots: ``images`` (S, N, C, H, W) float32, ``iterations`` (S,) int64, and
        ``step_sizes`` (S,) and ``labels`` if learned."""
        tensors = {
            "iterations": torch.tensor([frame[0] for frame in self.frames], dtype=torch.int64),
            "images": torch.stack([frame[1] for frame in self.frames]).float(),
        }
        labels = [frame[2] for frame in self.frames if frame[2] is not None]
        if len(labels) == len(self.frames):
            tensors["labels"] = torch.stack(labels)
        if all(frame[3] is not None for frame in self.frames):
            tensors["step_sizes"] = torch.tensor(
                [frame[3] for frame in self.frames], dtype=torch.float64
            )
        artefact.save(path, tensors, header)


def load_evolution(
    path: str | os.PathLike[str], labels: torch.Tensor, device: torch.device | str
) -> list[tuple[int, torch.Tensor, torch.Tensor, float | None]]:
    """Read the snapshots that :meth:`Evolution.save` wrote, as (iteration, images, labels, step
    size) on ``device``, decoded where a stored image holds several.

    Args:
        path: the file.
        labels: of the finished set, for snapshots that learned none of their own.
        device: where the tensors go.

    Raises:
        UserError: the file is missing or damaged.
    """
    tensors, header = artefact.load(path, rule="distill")
    factor = header.get("factor", 1)
    steps = tensors.get("step_sizes")
    count = (
        len(tensors["iterations"])
        if "iterations" in tensors and tensors["iterations"].ndim == 1
        else -1
    )
    parts = [
        tensors.get("images"),
        *(tensors[name] for name in ("labels", "step_sizes") if name in tensors),
    ]
    if any(part is None or part.ndim == 0 or len(part) != count for part in parts):
        raise UserError(
            f"{path}: holds no snapshots of a distillation; delete it and run snakemake again: the "
            "rule distill re-creates it"
        )
    learned = tensors.get("labels")
    return [
        (
            int(iteration),
            formation.decode(tensors["images"][i], factor).to(device),
            (labels if learned is None else learned[i].repeat_interleave(factor**2, 0)).to(device),
            None if steps is None else float(steps[i]),
        )
        for i, iteration in enumerate(tensors["iterations"])
    ]
