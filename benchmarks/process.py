"""The processes that are measured, as the one that measures sees them."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any


class EndedError(Exception):
    """A process ended where a step was wanted; the message says why, in one line."""

    @staticmethod
    @contextlib.contextmanager
    def noted(result: dict[str, Any]) -> Iterator[None]:
        """Turn it into an entry ``skipped`` of ``result``."""
        try:
            yield
        except EndedError as error:
            result["skipped"] = str(error)


class Process:
    """One side of one case (``benchmarks.worker``), which does a step on request.

    Args:
        order: what it is asked to do, as JSON types.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `stop`)
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps(order)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # pipes
        self._input, self._output = self._process.stdin, self._process.stdout

    def ready(self) -> dict[str, Any]:
        """Wait until it is set up."""
        return self._listen()

    def step(self) -> dict[str, Any]:
        """One step, and what it says of it.

        Raises:
            EndedError: there is no answer.
        """
        self._tell("go")
        return self._listen()

    def stop(self) -> None:
        """Let it end."""
        self._tell("stop")
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._errors.close()

    def _tell(self, word: str) -> None:
        # A process that is gone shows when it is listened to.
        with contextlib.suppress(BrokenPipeError):
            self._input.write(word + "\n")
            self._input.flush()

    def _listen(self) -> dict[str, Any]:
        line = self._output.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        if status == -9:
            raise EndedError("killed: most likely the machine ran out of memory")
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        raise EndedError(f"failed: {said[-1] if said else f'exit status {status}'}")


def run_peak(order: dict[str, Any]) -> dict[str, float]:
    """The worker's answer to an order that needs no step."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(order)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
