"""Starts Python programs in forks of one process, which has imported what takes longest."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import forks


class Starter:
    """Starts Snakemake, and it its jobs, in forks of one process: see `forks`.

    Args:
        folder: for what this takes.
        environment: of each start.
        python: the interpreter.

    Attributes:
        interpreter: the program that is Python to what is started.
    """

    def __init__(self, folder: Path, environment: dict[str, str], python: str = sys.executable):
        self.environment = environment
        self._address = str(folder / "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self._address)
        listener.listen(64)
        self.interpreter = folder / "python"
        text = forks.INTERPRETER.format(python=python, address=self._address)
        self.interpreter.write_text(text, encoding="utf-8")
        self.interpreter.chmod(0o755)
        number = listener.fileno()
        self._process = subprocess.Popen(
            [python, forks.__file__, str(number), str(self.interpreter)],
            env=environment,
            stdin=subprocess.PIPE,
            pass_fds=[number],
        )
        listener.close()  # else whoever asks, once the process has died, waits for ever

    def run(self, folder: Path, arguments: list[str]) -> int:
        """Run Snakemake to its end; returns its exit status."""
        order = {
            "folder": str(folder),
            "arguments": ["-m", "snakemake", *arguments],
            "environment": self.environment,
        }
        with (
            socket.socket(socket.AF_UNIX) as server,
            (folder / "run.out").open("w") as out,
            (folder / "run.err").open("w") as err,
            open(os.devnull) as nothing,
        ):
            server.connect(self._address)
            socket.send_fds(server, [b"."], [nothing.fileno(), out.fileno(), err.fileno()])
            server.sendall(json.dumps(order).encode() + b"\n")
            return int(server.recv(16))

    def script(self, path: Path, text: str, *arguments: str) -> None:
        """Run a script, which is written to a path, with the library on its path; it must end
        well."""
        path.write_text(text, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        subprocess.run([self.interpreter, path, *arguments], env=environment, check=True)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


@contextlib.contextmanager
def short_folder():
    """A folder that is not among the tests' own: the path of a socket has up to 107 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
