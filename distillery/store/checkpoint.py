"""Checkpoints of long jobs: the whole state at intervals, so that a job that was killed resumes to
bit-identical results."""

import hashlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from distillery.errors import UserError
from distillery.store import artefact

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 10.0

log = logging.getLogger("distillery")


class Checkpoint:
    """Where one job keeps its state while it runs. A job that has none to keep uses :data:`NONE`.

    Args:
        path: the file; no declared output, because Snakemake removes those before it tries again.
        identity: everything that the job's result depends on (settings, seed, code, digests of the
            inputs), as JSON types. A checkpoint of another identity is refused.
        every: seconds between two saves.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        identity: Mapping[str, Any],
        every: float = EVERY_SECONDS,
    ) -> None:
        self._path, self._every = Path(path), every
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        self._identity = hashlib.sha256(text.encode()).hexdigest()
        self._saved = time.monotonic()
        self._stopping: int | None = None

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the last saved tensors (on the CPU) and values, or ``None`` where there are none
        that belong to this job.

        The tensors come in the order and the memory layout in which they were given to
        :meth:`save`.
        """
        if not self._path.exists():
            return None
        try:
            tensors, header = artefact.load(self._path, rule="the job that was interrupted")
        except UserError as error:
            log.info("the checkpoint is not used, the job starts from its beginning: %s", error)
            return None
        if header.get("identity") != self._identity:
            log.info(
                "the checkpoint %s is of other settings, inputs or code: it is not used, the job "
                "starts from its beginning",
                self._path,
            )
            return None
        log.info("resuming from the checkpoint %s: %s", self._path, header["note"])
        # The file sorts its tensors by name and lays them out in its own way. Sums run in the order
        # of the names, and kernels in that of memory: another one changes the last bits of what
        # comes next.
        formats = {"last": torch.channels_last, "first": torch.contiguous_format}
        tensors = {
            name: tensors[name].contiguous(memory_format=formats[layout])
            for name, layout in header["layout"]
        }
        return tensors, header["values"]

    def due(self) -> bool:
        """Say whether to save now: the interval has passed, or the job was asked to stop. Cheap
        enough for every step."""
        return self._stopping is not None or time.monotonic() - self._saved >= self._every

    def save(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any], note: str) -> None:
        """Write the state, atomically; then, if the job was asked to stop (SIGTERM), leave with the
        status of that signal.

        Args:
            tensors: on any device; names are free.
            values: JSON types.
            note: where the job is, for the log.
        """
        layout = [[name, _layout(tensor)] for name, tensor in tensors.items()]
        header = {
            "identity": self._identity,
            "values": dict(values),
            "note": note,
            "layout": layout,
        }
        artefact.save(self._path, dict(tensors), header)
        self._saved = time.monotonic()
        if self._stopping is not None:
            log.info("asked to stop: saved at %s", note)
            sys.exit(128 + self._stopping)

    def stop_gently(self) -> None:
        """Let SIGTERM ask for a last save from now on. One that comes ``AGAIN_SECONDS`` later ends
        the job at once.

        Not an earlier one: at a time limit a scheduler signals every process of a job, more than
        once, and each Snakemake above passes it on.
        """
        first = 0.0

        def ask(number: int, frame: FrameType | None) -> None:
            nonlocal first
            if self._stopping is None:
                self._stopping, first = number, time.monotonic()
            elif time.monotonic() - first >= AGAIN_SECONDS:
                sys.exit(128 + number)

        signal.signal(signal.SIGTERM, ask)

    def finish(self) -> None:
        """Leave nothing behind: the job is done."""
        self._path.unlink(missing_ok=True)


def _layout(tensor: Tensor) -> str:
    """Return ``last`` for a tensor whose channels lie last in memory, else ``first``."""
    if tensor.is_contiguous() or tensor.ndim != 4:
        return "first"
    return "last" if tensor.is_contiguous(memory_format=torch.channels_last) else "first"


class _Nothing:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        return None

    def due(self) -> bool:
        return False


NONE = _Nothing()


def generators(named: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    """Return the states of generators as tensors, for :meth:`Checkpoint.save`."""
    return {f"generator.{name}": generator.get_state() for name, generator in named.items()}


def restore(named: Mapping[str, torch.Generator], tensors: Mapping[str, Tensor]) -> None:
    """Put generators back where :func:`generators` saw them."""
    for name, generator in named.items():
        generator.set_state(tensors[f"generator.{name}"])


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``tensors`` under names that begin with ``prefix`` and a dot."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def part(
    prefix: str,
    tensors: Mapping[str, Tensor],
    to: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> dict[str, Tensor]:
    """Undo :func:`prefixed`; each tensor passes through ``to``."""
    start = prefix + "."
    return {
        name[len(start) :]: to(value) for name, value in tensors.items() if name.startswith(start)
    }
