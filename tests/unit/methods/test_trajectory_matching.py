"""The loop that MTT and TESLA share."""

import itertools
from dataclasses import replace

import pytest
import torch

from distillery import networks
from distillery.errors import UserError
from distillery.methods import (
    _trajectory_matching,
    _unroll,
    base,
    mtt,
    tesla,
)
from tests.unit.methods.conftest import CLASSES, SIZE, SPEC, run


@pytest.mark.slow
def test_mtt_reduces_the_matching_loss(experts):
    result, recorder = run(
        mtt,
        ipc=2,
        experts=experts,
        iterations=40,
        syn_steps=5,
        expert_epochs=1,
        max_start_epoch=1,
        lr_images=5,
        step_size=0.1,
    )
    losses = recorder.losses[1:]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert result.step_size == recorder.step_sizes[-1] > 0


class Numbered:
    """Made experts whose epochs can be distinguished: each is a network far from the others.
    Remembers what it was asked for."""

    def __init__(self, number=2, epochs=6):
        module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
        self.number, self.epochs, self.asked, self.rows = number, epochs, [], {}
        for expert in range(number):
            for epoch in range(epochs + 1):
                networks.initialise(module, torch.Generator().manual_seed(100 * expert + epoch))
                self.rows[expert, epoch] = networks.parameters(module)

    def pair(self, expert, start, stop):
        self.asked.append((expert, start, stop))
        return networks.flatten(self.rows[expert, start]), networks.flatten(self.rows[expert, stop])


@pytest.mark.slow
@pytest.mark.parametrize("module", [mtt, tesla])
def test_the_student_starts_at_one_epoch_and_is_compared_with_that_some_epochs_later(
    module, monkeypatch
):
    """Start below T+, target M epochs on, of the same expert; the loss is that of a student run by
    hand from there."""
    experts, latest, ahead, steps = Numbered(), 3, 2, 2
    monkeypatch.setattr(
        tesla, "teach", lambda task, apply, like: torch.zeros(len(task.initial), CLASSES)
    )
    settings = {
        "iterations": 40,
        "syn_steps": steps,
        "expert_epochs": ahead,
        "max_start_epoch": latest,
        "lr_images": 1.0,
        "step_size": 0.05,
    }
    _, recorder = run(module, ipc=2, experts=experts, **settings)
    asked = [
        pair for pair in experts.asked if pair[1] != pair[2]
    ]  # the others look at the experts' size
    assert len(asked) == 40
    assert {start for _, start, _ in asked} == set(range(latest))
    assert {expert for expert, _, _ in asked} == {0, 1}
    assert {stop - start for _, start, stop in asked} == {ahead}
    network = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    labels = base.synthetic_labels(CLASSES, 2)
    for iteration, (expert, start, stop) in enumerate(asked, 1):
        images, rate = recorder.images[iteration - 1], recorder.step_sizes[iteration - 1]
        targets = labels if module is mtt else recorder.labels[iteration - 1]
        network.load_state_dict(experts.rows[expert, start])
        for _ in range(steps):
            gradients = torch.autograd.grad(
                torch.nn.functional.cross_entropy(network(images), targets),
                list(network.parameters()),
            )
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= rate * gradient
        end = networks.flatten(networks.parameters(network))
        first, goal = (
            networks.flatten(experts.rows[expert, start]),
            networks.flatten(experts.rows[expert, stop]),
        )
        expected = float((end - goal).square().sum() / (first - goal).square().sum())
        assert recorder.losses[iteration] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_the_last_target_is_the_experts_last_epoch():
    """T+ - 1 + M epochs are enough, and one fewer is refused."""
    settings = {"iterations": 20, "syn_steps": 1, "expert_epochs": 2, "max_start_epoch": 3}
    experts = Numbered(number=1, epochs=4)
    run(mtt, experts=experts, **settings)
    assert max(stop for _, _, stop in experts.asked) == 4
    with pytest.raises(UserError, match="reach to epoch 4"):
        run(mtt, experts=Numbered(number=1, epochs=3), **settings)


@pytest.mark.slow
def test_mtt_steps_with_batches_and_augmentation_give_the_same_bits_again(experts):
    settings = {
        "iterations": 2,
        "syn_steps": 4,
        "expert_epochs": 1,
        "max_start_epoch": 2,
        "batch_syn": 4,
        "augment": "dsa",
    }
    first, second = (run(mtt, ipc=2, experts=experts, **settings)[0] for _ in range(2))
    assert torch.equal(first.images, second.images) and first.step_size == second.step_size
    other, _ = run(mtt, seed=1, ipc=2, experts=experts, **settings)
    assert not torch.equal(first.images, other.images)


@pytest.mark.slow
def test_the_step_size_stays_positive_under_a_hostile_learning_rate(experts):
    _, recorder = run(
        mtt,
        experts=experts,
        iterations=8,
        syn_steps=3,
        expert_epochs=1,
        max_start_epoch=1,
        lr_images=0.01,
        lr_step_size=1e6,
    )
    assert all(size > 0 for size in recorder.step_sizes)
    ratios = [b / a for a, b in itertools.pairwise(recorder.step_sizes)]
    assert all(1 / 2.72 < ratio < 2.72 for ratio in ratios) and ratios[0] != 1


def test_a_small_step_is_the_plain_one():
    alpha, change = torch.tensor(0.01, dtype=torch.float64), torch.tensor(1e-7, dtype=torch.float64)
    assert float(_trajectory_matching.positive_step(alpha, change)) == pytest.approx(
        0.01 - 1e-7, abs=1e-12
    )


@pytest.mark.slow
def test_mtt_says_that_it_diverged(experts):
    with pytest.raises(UserError, match=r"mtt diverged by iteration \d+: .*lr_images .*step_size"):
        run(
            mtt,
            experts=experts,
            iterations=20,
            syn_steps=3,
            expert_epochs=1,
            max_start_epoch=1,
            lr_images=1e38,
        )


@pytest.mark.slow
@pytest.mark.parametrize("factor, iteration, word", [(2.7, 10, "grew"), (0.37, 20, "fell")])
def test_mtt_stops_when_the_step_size_explodes_or_collapses(
    experts, monkeypatch, factor, iteration, word
):
    """Whatever makes it: each iteration may multiply it by e, or divide."""
    monkeypatch.setattr(
        _trajectory_matching, "positive_step", lambda step_size, change: step_size * factor
    )
    with pytest.raises(
        UserError,
        match=rf"mtt diverged by iteration {iteration}: the step size {word} to \d"
        ".*matching loss.*lr_step_size",
    ):
        run(
            mtt,
            experts=experts,
            iterations=20,
            syn_steps=1,
            expert_epochs=1,
            max_start_epoch=1,
            lr_images=1e-3,
        )


def test_mtt_refuses_experts_that_do_not_fit(experts):
    with pytest.raises(UserError, match="none were given"):
        run(mtt, iterations=1)
    with pytest.raises(UserError, match="trained for 3"):
        run(mtt, experts=experts, iterations=1, expert_epochs=3, max_start_epoch=2)
    with pytest.raises(UserError, match="same network"):
        run(
            mtt,
            experts=experts,
            iterations=1,
            expert_epochs=1,
            network=replace(SPEC, options={"width": 4, "depth": 2}),
        )


def test_mini_batches_pass_over_the_set():
    batches = _unroll.passes(10, 4, 6, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert (
        sorted(torch.cat(batches[:3]).tolist())
        == sorted(torch.cat(batches[3:]).tolist())
        == list(range(10))
    )
