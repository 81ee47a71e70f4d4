"""What a job gives a tracker: TensorBoard's event files, beside the results, which decide nothing.

The workflow sets ``TRACK`` in the environment of its jobs, so that no job's params, and with them
what is stale, depend on it.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any, Protocol

from distillery.errors import UserError
from distillery.store.metrics import read

TRACK = "DISTILLERY_TRACK"
TENSORBOARD = "tensorboard"
FOLDER = "tensorboard"  # in the results folder
POINTS = 500  # of a distillation's losses: each that is read waits for the device
# The columns that part the lines of one job, and what a line's x axis may be.
_PARTS = ("network", "strategy", "memory", "labels", "first", "selection", "split", "group")
_STEPS = ("epoch", "iteration", "stage")


class Tracker(Protocol):
    """What takes scalars, as torch's ``SummaryWriter`` does."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add the value of a line at a step."""

    def close(self) -> None:
        """Write what is left."""


def check(track: str) -> None:
    """Check that what the config asks for is installed.

    Raises:
        UserError: it is not.
    """
    if track == TENSORBOARD and importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "config: compute.track: the package tensorboard is not installed; `pip install "
            "tensorboard`, or `track: none`"
        )


def tracker(log_path: str) -> Tracker | None:
    """Return what takes a job's scalars, in a folder of the job's own that is emptied; ``None``
    where nothing tracks.

    Args:
        log_path: of the job's log, in ``logs`` of the results folder.
    """
    if os.environ.get(TRACK) != TENSORBOARD:
        return None
    check(TENSORBOARD)
    from torch.utils.tensorboard import SummaryWriter  # late: 1 s

    path = Path(log_path)
    logs = next((folder for folder in path.parents if folder.name == "logs"), path.parent)
    folder = logs.parent / FOLDER / path.with_suffix("").relative_to(logs)
    for old in folder.glob("events.out.tfevents.*"):  # of the job's last run
        old.unlink()
    return SummaryWriter(str(folder), flush_secs=10)


def measured(to: Tracker, metrics: str | os.PathLike[str]) -> None:
    """Give what a job measured: of each measure the mean over the networks trained, by epoch,
    iteration or stage where it has one; what is of a single class is left out. What is measured
    along training and at its end, too, has a line ``final …`` for its end: at step 0 of the same
    line it would lead back to the left.

    Args:
        to: the tracker.
        metrics: the job's rows, CSV.
    """
    values: dict[tuple[str, int | None], list[float]] = {}
    for row in read(metrics):
        if row["class"]:
            continue
        step = next((int(float(row[name])) for name in _STEPS if row[name]), None)
        tag = "/".join([row["measure"], *(row[name] for name in _PARTS if row[name])])
        values.setdefault((tag, step), []).append(float(row["value"]))
    along = {tag for tag, step in values if step is not None}
    for (tag, step), several in values.items():
        name = f"final {tag}" if step is None and tag in along else tag
        to.add_scalar(name, sum(several) / len(several), step or 0)


def every(total: int) -> int:
    """Return after how many iterations a loss is given."""
    return max(1, total // POINTS)


def loss(to: Tracker, iteration: int, value: Any) -> None:
    """Give the matching loss of an iteration, apart from the line of all that the job measured."""
    to.add_scalar("progress/matching_loss", float(value), iteration)
