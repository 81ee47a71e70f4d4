"""One thread a process: threads that wait for a busy core are many times slower than one."""

import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any test imports torch


def pytest_report_header(config):
    """Say what is left out, and who runs it."""
    if "not long" in config.option.markexpr:
        return (
            "left out: tests marked long, which run a study once more, break one or compile, for "
            "minutes; `make test-long` and `.ci/run` run them"
        )
    return None


def pytest_ignore_collect(collection_path, config):
    """Leave out, where the long tests alone are asked for, the files that have none: to import all
    takes each process 13 s."""
    if config.option.markexpr == "long" and collection_path.name.startswith("test_"):
        return "mark.long" not in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_modifyitems(items):
    """Mark what runs Snakemake by its folder, and let it run first: its files take longest, and
    small ones are left to even out what the processes do."""
    items.sort(key=lambda item: "tests/workflow/" not in item.path.as_posix())
    for item in items:
        if "tests/workflow/" in item.path.as_posix():
            item.add_marker("workflow")


@pytest.fixture(autouse=True)
def _forget_code_from_outside():
    """Forget what a test imported from files of its own: the next has others of the same name."""
    yield
    for name in [name for name in sys.modules if name.startswith("outside_")]:
        del sys.modules[name]
