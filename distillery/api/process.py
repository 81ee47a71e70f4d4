"""How a call computes in the process of its user: on which device, with how many threads, with
which progress bar; and leaves the process as it found it."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from tqdm import tqdm

from distillery.compute import process
from distillery.compute.device import full_float32
from distillery.errors import UserError

# To read a loss makes a GPU wait.
LOOK_EVERY_SECONDS = 0.5
_INDUCTOR = "TORCHINDUCTOR_DETERMINISTIC"


@contextlib.contextmanager
def computing(device: torch.device | str | None, threads: int | None) -> Iterator[torch.device]:
    """Settle how torch computes, as the workflow's jobs do, for as long as the block runs.

    Args:
        device: where to compute; ``None``: on a GPU where there is one.
        threads: of the processor; ``None``: as many as torch has now.

    Raises:
        UserError: the device is none that torch has here, or the threads are no whole number.
    """
    chosen = _device(device)
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"threads: must be a whole number of 1 or more, not {threads!r}")
    deterministic: Any = torch.utils.deterministic
    before = (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.allow_tf32,
        os.environ.get(_INDUCTOR),
    )
    process.keep_host_memory()
    process.keep_compiled()
    full_float32()
    process.repeatable(chosen.type == "cpu")
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = before[2]
        torch.backends.cudnn.allow_tf32 = before[3]
        if before[4] is None:
            os.environ.pop(_INDUCTOR, None)
        else:
            os.environ[_INDUCTOR] = before[4]


def _device(device: torch.device | str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"device: {device!r} cannot be computed on: {reason}") from None
    return chosen


class Bar:
    """A progress bar on the terminal, or nothing.

    Args:
        total: how many units of work there are.
        label: what is being done.
        unit: what one of them is called.
        shown: whether to show it; ``None``: where standard error is a terminal.
    """

    def __init__(self, total: int, label: str, unit: str, shown: bool | None = None) -> None:
        visible = sys.stderr.isatty() if shown is None else shown
        self._bar: Any = (
            tqdm(total=total, desc=label, unit=unit, file=sys.stderr, dynamic_ncols=True)
            if visible and total
            else None
        )
        self._looked = time.monotonic()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, amount: int = 1) -> None:
        """Note that ``amount`` more units are done."""
        if self._bar is not None:
            self._bar.update(amount)

    def iteration(self, number: int, loss: Any) -> None:
        """Note that iteration ``number`` is done, 0 being the start. Its loss is read only when it
        is shown."""
        if self._bar is None or number == 0:
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_SECONDS or number == self._bar.total:
            self._looked = now
            self._bar.set_postfix_str(f"matching loss {float(loss):.4g}", refresh=False)
        self._bar.update(number - self._bar.n)
