"""Jobs that settle among themselves who computes on which device."""

import multiprocessing
import os
import signal
import time

import pytest
import torch

from distillery.compute.claim import claim, claim_one
from distillery.store import files


def hold(names, folder):
    """Claim one of some names, write down which, and hold it until told. By files: a killed process
    would take a queue's lock with it."""

    def say(what, text):
        files.write_text(folder / f"{what}.{os.getpid()}", str(text))

    with claim_one(
        names, folder / "locks", lambda line: say("told", line), poll_seconds=0.02
    ) as index:
        say("claimed", index)
        while not (folder / "release").exists():
            time.sleep(0.02)


class Claims:
    """Processes that each claim a device."""

    def __init__(self, context, folder):
        self._context, self._folder, self._started = context, folder, []

    def start(self, names):
        process = self._context.Process(target=hold, args=(names, self._folder))
        process.start()
        self._started.append(process)
        return process.pid

    def read(self, what, pid):
        """What a process has written, waited for."""
        while not self.has(what, pid):
            time.sleep(0.02)
        return (self._folder / f"{what}.{pid}").read_text()

    def has(self, what, pid):
        return (self._folder / f"{what}.{pid}").exists()

    def end(self):
        (self._folder / "release").touch()
        for process in self._started:
            process.join()


@pytest.fixture(scope="module")
def context():
    """Fresh processes that have torch already: one imports it, the others are its forks."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["distillery.compute.claim"])
    return made


@pytest.fixture
def claims(context, tmp_path):
    made = Claims(context, tmp_path)
    yield made
    made.end()


@pytest.mark.slow
def test_as_many_jobs_as_devices_get_different_ones_and_the_next_waits_for_a_free_one(claims):
    names = ["GPU-a", "GPU-b", "GPU-c"]
    holders = [claims.start(names) for _ in names]
    indices = [claims.read("claimed", pid) for pid in holders]
    assert sorted(indices) == ["0", "1", "2"]
    waiting = claims.start(names)
    assert claims.read("told", waiting) == "all 3 devices are taken: waiting for one"
    assert not claims.has("claimed", waiting)
    # The locks end with the process, however it ends.
    os.kill(holders[indices.index("1")], signal.SIGKILL)
    assert claims.read("claimed", waiting) == "1"


@pytest.mark.slow
def test_devices_are_known_by_name_whatever_number_a_job_gives_them(claims):
    assert claims.read("claimed", claims.start(["GPU-a", "GPU-b"])) == "0"
    assert claims.read("claimed", claims.start(["GPU-a", "GPU-c"])) == "1"
    assert claims.read("claimed", claims.start(["GPU-b", "GPU-a"])) == "0"


def test_a_device_is_free_again_when_its_job_is_done(tmp_path):
    for _ in range(2):
        with claim_one(["GPU-a"], tmp_path / "locks", pytest.fail) as index:
            assert index == 0
    with (
        pytest.raises(ZeroDivisionError),
        claim_one(["GPU-a"], tmp_path / "locks", pytest.fail),
    ):
        1 / 0  # noqa: B018
    with claim_one(["GPU-a"], tmp_path / "locks", pytest.fail) as index:
        assert index == 0


def test_a_machine_without_a_gpu_computes_on_its_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with claim(pytest.fail) as claimed:
        assert claimed == torch.device("cpu")
