"""A call leaves the process of its user as it found it, and shows a bar only where one is looked
at."""

import os

import pytest
import torch

from distillery.api.process import Bar, computing
from distillery.errors import UserError


def state():
    return (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.allow_tf32,
        os.environ.get("TORCHINDUCTOR_DETERMINISTIC"),
    )


@pytest.mark.parametrize("before", [None, "0"])
def test_a_call_computes_as_a_job_does_and_leaves_no_trace(before, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_DETERMINISTIC", "0")
    if before is None:
        monkeypatch.delenv("TORCHINDUCTOR_DETERMINISTIC")
    found = state()
    with pytest.raises(KeyError), computing("cpu", found[0] + 1) as device:
        assert device == torch.device("cpu")
        assert state() == (found[0] + 1, 1, False, False, "1")
        raise KeyError
    assert state() == found


@pytest.mark.parametrize(
    ("device", "threads", "said"),
    [
        ("gpu", None, "device: 'gpu' cannot be computed on"),
        ("meta:x", None, "device: 'meta:x'"),
        (3.5, None, "device: 3.5"),
        (None, 0, "threads: must be a whole number of 1 or more, not 0"),
        (None, "2", "threads: .* not '2'"),
    ],
)
def test_a_device_or_threads_that_are_none_are_refused(device, threads, said):
    with pytest.raises(UserError, match=said) as caught, computing(device, threads):
        pass
    assert "\n" not in str(caught.value)


def test_a_bar_is_shown_when_asked_for_and_not_in_a_file(capsys):
    for shown in (None, False):
        with Bar(3, "distillation", "iteration", shown) as bar:
            bar.iteration(0, None)
            bar.iteration(3, torch.tensor(1.0))
            bar()
    assert capsys.readouterr() == ("", "")
    with Bar(3, "distillation", "iteration", True) as bar:
        for number in range(4):
            bar.iteration(number, torch.tensor(0.25))
    written = capsys.readouterr().err
    assert "distillation" in written and "3/3" in written and "matching loss 0.25" in written
