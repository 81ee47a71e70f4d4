"""DM is what its paper says."""

import pytest
import torch

from distillery import networks, streams
from distillery.errors import UserError
from distillery.methods import (
    base,
    dm,
)
from tests.unit.methods.conftest import CLASSES, SIZE, SPEC, blobs, run


def test_one_iteration_of_dm_is_the_published_algorithm_written_out():
    images, labels = blobs()
    initial = base.initial_images(
        "noise", images, labels, CLASSES, 2, torch.Generator().manual_seed(0)
    )
    result, recorder = run(
        dm, ipc=2, initial=initial, iterations=1, lr_images=0.7, augment="none", batch_real=20
    )
    model = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    networks.initialise(model, streams.generator(0, "iteration", 1, "network"))
    leaf = initial.clone().requires_grad_()
    loss = sum(
        (model.embed(images[labels == c]).mean(0) - model.embed(leaf[2 * c : 2 * c + 2]).mean(0))
        .square()
        .sum()
        for c in range(CLASSES)
    )
    loss.backward()
    assert recorder.losses[1] == pytest.approx(float(loss.detach()), rel=1e-5)
    assert torch.allclose(result.images, initial - 0.7 * leaf.grad, atol=1e-5)


@pytest.mark.slow
def test_dm_reduces_its_loss_and_says_that_it_diverged():
    _, recorder = run(dm, ipc=2, iterations=60)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    with pytest.raises(UserError, match=r"dm diverged by iteration 10: .*lr_images"):
        run(dm, iterations=20, lr_images=1e38)
