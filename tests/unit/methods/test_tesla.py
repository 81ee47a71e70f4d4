"""TESLA labels by a teacher, and learns labels."""

import pytest
import torch

from distillery import networks, streams
from distillery.errors import UserError
from distillery.methods import (
    base,
    tesla,
)
from tests.unit.methods.conftest import CLASSES, SIZE, SPEC, blobs, run

TESLA_SMALL = {"syn_steps": 3, "expert_epochs": 1, "max_start_epoch": 1}


def test_a_teacher_labels_what_it_knows_by_itself_and_the_rest_by_its_class(experts):
    images, labels = blobs()
    module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    with torch.no_grad():
        rows = [experts.pair(e, 3, 3)[0] for e in range(2)]
        apply, like = networks.functional(module)[0], networks.parameters(module)
        logits = torch.stack([apply(networks.unflatten(row, like), images) for row in rows]).mean(0)
    known = [int(((labels == c) & (logits.argmax(1) == c)).nonzero()[0]) for c in range(CLASSES)]
    initial = images[known].clone()
    initial[1] = images[known[2]]  # an image of another class than it stands for
    result, _ = run(
        tesla, initial=initial, experts=experts, iterations=1, lr_images=1e-6, **TESLA_SMALL
    )
    assert result.labels.dtype == torch.float32
    assert torch.allclose(result.labels[[0, 2]], logits[[known[0], known[2]]].softmax(1), atol=1e-5)
    assert torch.allclose(result.labels[1], logits[labels == 1].mean(0).softmax(0), atol=1e-5)


@pytest.mark.slow
def test_labels_learn_by_the_derivative_through_the_softmax(experts):
    settings = {
        "ipc": 2,
        "experts": experts,
        "iterations": 1,
        "lr_images": 1e-6,
        "momentum": 0.0,
        **TESLA_SMALL,
    }
    kept, _ = run(tesla, **settings)
    learned, recorder = run(tesla, lr_labels=0.5, **settings)
    assert torch.allclose(learned.labels.sum(1), torch.ones(6), atol=1e-5) and torch.equal(
        recorder.labels[-1], learned.labels
    )

    # The textbook: unroll three steps, differentiate in the logits.
    module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    apply, like = networks.functional(module)[0], networks.parameters(module)
    images, labels = blobs()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 2, streams.generator(0, "initial")
    )
    logits = kept.labels.log().requires_grad_()
    choice = streams.generator(0, "iteration", 1, "expert")
    start, goal = experts.pair(int(torch.randint(2, (), generator=choice)), 0, 1)
    theta = start.clone().requires_grad_()
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(
            apply(networks.unflatten(theta, like), initial), logits.softmax(1)
        )
        theta = (
            theta
            - tesla.SETTINGS["step_size"]["default"]
            * torch.autograd.grad(loss, theta, create_graph=True)[0]
        )
    (derivative,) = torch.autograd.grad(
        (theta - goal).square().sum() / (start - goal).square().sum(), logits
    )
    expected = (logits - 0.5 * derivative).softmax(1).detach()
    moved = (learned.labels - kept.labels).norm()
    assert float(moved) > 0 and float((learned.labels - expected).norm() / moved) < 1e-2


def test_experts_that_know_nothing_may_not_label(experts):
    images, labels = blobs()
    with pytest.raises(UserError, match="train them longer"):
        run(
            tesla,
            data=(images, (labels + 1) % CLASSES),
            experts=experts,
            iterations=1,
            **TESLA_SMALL,
        )
