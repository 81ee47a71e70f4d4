"""One thread a process: threads that wait for a busy core are many times slower than one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any test imports torch


def pytest_collection_modifyitems(items):
    """Mark what runs Snakemake by its folder."""
    for item in items:
        if "tests/workflow/" in item.path.as_posix():
            item.add_marker("workflow")
