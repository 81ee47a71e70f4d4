"""How a job says how far it is: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm

LOG_EVERY_SECONDS = 20.0

log = logging.getLogger("distillery")


class Progress:
    """A bar on a terminal; in a log, a plain line at most every ``LOG_EVERY_SECONDS`` and at the end.

    Args:
        total: how many units of work there are.
        label: what is being done.
        unit: what one of them is called.
    """

    def __init__(self, total: int, label: str, unit: str):
        self.total, self.done, self._label, self._unit = total, 0, label, unit
        self._started = self._logged = time.monotonic()
        self._bar = tqdm(total=total, desc=label, unit=unit, disable=not sys.stderr.isatty(), leave=False, dynamic_ncols=True)

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """``amount`` more units are done."""
        self.done += amount
        self._bar.update(amount)
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        now = time.monotonic()
        if now - self._logged >= LOG_EVERY_SECONDS or self.done == self.total:
            self._logged = now
            elapsed = now - self._started
            left = elapsed / max(self.done, 1) * (self.total - self.done)
            counted = f"{self.done} of {self.total} {self._unit}s"
            log.info("%s: %s, %.0f s, %.0f s left%s", self._label, counted, elapsed, left, f", {note}" * bool(note))

    def iteration(self, iteration: int, loss: Any) -> None:
        """As a distillation reports itself: ``iteration`` is done (0: about to begin). The loss is read only when it is shown."""
        if iteration > self.done:
            due = time.monotonic() - self._logged >= LOG_EVERY_SECONDS or iteration == self.total or not self._bar.disable
            self(iteration - self.done, f"matching loss {float(loss):.4g}" if due and loss is not None else "")

    def close(self) -> None:
        self._bar.close()
