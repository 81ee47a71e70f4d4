"""Which device a job computes on, among the jobs of a host."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from distillery.compute.device import full_float32


@contextlib.contextmanager
def claim(waiting: Callable[[str], None] = lambda line: None) -> Iterator[torch.device]:
    """Give this process its device: a CUDA device that no other job of this host has claimed, or
    the CPU.

    Snakemake counts GPUs but hands out no numbers, so jobs side by side settle among themselves who
    computes where: each locks one. Where only one device is visible, as under a scheduler that
    assigns devices, that one is taken without a lock.

    Args:
        waiting: called, once, if all devices are taken.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    full_float32()
    if count == 0:
        yield torch.device("cpu")
    elif count == 1:
        yield torch.device("cuda", 0)
    else:
        # Jobs may number the same devices differently (CUDA_VISIBLE_DEVICES): only the identifier
        # is common to them.
        names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(count)]
        with claim_one(
            names, Path(tempfile.gettempdir()) / f"distillery-devices-{os.getuid()}", waiting
        ) as index:
            torch.cuda.set_device(index)
            yield torch.device("cuda", index)


@contextlib.contextmanager
def claim_one(
    names: Sequence[str], folder: Path, waiting: Callable[[str], None], poll_seconds: float = 0.5
) -> Iterator[int]:
    """Lock one of ``names`` for as long as the block runs, waiting until one is free; gives its
    index.

    The locks are the operating system's: they end with the process, however it ends.

    Args:
        names: identifiers that are the same for every job of the host.
        folder: where the lock files lie, created if missing.
        waiting: called, once, if all are taken.
        poll_seconds: how long to wait between two tries.
    """
    folder.mkdir(parents=True, exist_ok=True)
    warned = False
    while True:
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield index
            finally:
                lock.release()
            return
        if not warned:
            waiting(f"all {len(names)} devices are taken: waiting for one")
            warned = True
        time.sleep(poll_seconds)
