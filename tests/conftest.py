"""One thread a process: threads that wait for a busy core are many times slower than one."""

import functools
import importlib.metadata
import os
import sys
from pathlib import Path

import hypothesis
import pytest

from tests.starting import Starter, short_folder

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any test imports torch
# A first example imports and reads files: on a busy machine it misses the 200 ms that all may take.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_report_header(config):
    """Say what is left out, and who runs it."""
    if "not long" in config.option.markexpr:
        return (
            "left out: tests marked long, which run a study once more, break one, compile or "
            "download, for minutes; `make test-long` and `.ci/run` run them"
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


@pytest.fixture(autouse=True, scope="session")
def _packages_are_listed_once():
    """Which packages are installed: each study asks, and to look takes a hundredth of a second."""
    with pytest.MonkeyPatch.context() as patched:
        listed = functools.cache(importlib.metadata.entry_points)
        patched.setattr(importlib.metadata, "entry_points", listed)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of this run of the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return folder


@pytest.fixture(scope="session")
def environment(shared) -> dict[str, str]:
    """Ours, but that each Python keeps the bytecode of what it imports: without, torch alone costs
    each of some forty starts 2 s more."""
    found = dict(os.environ)
    if found.pop("PYTHONDONTWRITEBYTECODE", None):
        found["PYTHONPYCACHEPREFIX"] = str(shared / "bytecode")
    return found


@pytest.fixture(scope="session")
def starter(environment):
    with short_folder() as folder:
        starter = Starter(folder, environment)
        yield starter
        starter.close()
