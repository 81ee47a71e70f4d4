"""The loop that DC and DSA share."""

import pytest
import torch

from distillery.errors import UserError
from distillery.methods import (
    _gradient_matching,
    base,
    dc,
    dsa,
)
from tests.unit.methods.conftest import CLASSES, SIZE, blobs, run


def test_loops_follow_the_published_table():
    published = {
        1: (1, 1),
        10: (10, 50),
        20: (20, 25),
        30: (30, 20),
        40: (40, 15),
        50: (50, 10),
        100: (100, 2),
    }
    assert {ipc: _gradient_matching.loops(ipc) for ipc in published} == published


def test_loops_are_sensible_for_any_number_of_images():
    found = [_gradient_matching.loops(ipc) for ipc in range(1, 300)]
    outer, inner = zip(*found, strict=True)
    assert list(outer) == [min(ipc, 100) for ipc in range(1, 300)]
    assert all(isinstance(value, int) and value >= 1 for value in inner)
    # Up to the table's peak at 10 the inner epochs grow, then they fall.
    assert list(inner[:10]) == sorted(inner[:10])
    assert list(inner[9:]) == sorted(inner[9:], reverse=True)
    assert (
        _gradient_matching.loops(15) == (15, 38)
        and _gradient_matching.loops(75) == (75, 6)
        and _gradient_matching.loops(250) == (100, 2)
    )


@pytest.mark.slow
def test_dc_reduces_the_matching_loss_and_leaves_its_start_alone():
    images, labels = blobs()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 1, torch.Generator().manual_seed(0)
    )
    before = initial.clone()
    result, recorder = run(dc, initial=initial, iterations=60)
    assert torch.equal(initial, before) and torch.equal(recorder.images[0], before)
    losses = recorder.losses[1:]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    assert torch.equal(result.images, recorder.images[-1])
    assert torch.equal(result.labels, torch.arange(CLASSES)) and result.step_size is None


@pytest.mark.slow
def test_dc_gives_the_same_bits_for_the_same_stream_and_others_for_another():
    settings = {
        "ipc": 2,
        "iterations": 2,
        "outer": 2,
        "inner": 2,
        "batch_real": 8,
        "batch_train": 4,
    }
    initial = torch.zeros(CLASSES * 2, 1, SIZE, SIZE)
    first, second, other = (
        run(dc, seed=seed, initial=initial + 0.1, **settings)[0] for seed in (0, 0, 1)
    )
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)


@pytest.mark.slow
def test_dc_handles_classes_in_parts(monkeypatch):
    monkeypatch.setitem(_gradient_matching._TOGETHER, "cpu", 2)
    parts, _ = run(dc, ipc=2, iterations=2, outer=2, inner=1)
    monkeypatch.setitem(_gradient_matching._TOGETHER, "cpu", 100)
    whole, _ = run(dc, ipc=2, iterations=2, outer=2, inner=1)
    assert torch.allclose(parts.images, whole.images, atol=1e-4)


@pytest.mark.slow
def test_dc_says_that_it_diverged():
    with pytest.raises(UserError, match=r"dc diverged by iteration 10: .*lr_images"):
        run(dc, iterations=30, lr_images=1e38)


@pytest.mark.slow
def test_dsa_reduces_the_matching_loss_with_an_inner_training():
    result, recorder = run(dsa, ipc=2, iterations=40, outer=2, inner=1)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.95 * sum(losses[:10])
    again, _ = run(dsa, ipc=2, iterations=40, outer=2, inner=1)
    assert torch.equal(result.images, again.images)
