"""Methods that learn images of which each holds several, against autograd through the decoding."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import functional

from distillery import networks
from distillery.images import formation
from distillery.methods import _driver, dc, dm, dsa, mtt, ncfm, rat_bptt, tesla
from tests.unit.methods.conftest import CLASSES, SMALL, Experts, Recorder, task_of

FACTOR = 2


def factored(method, ipc=1, **changes):
    """A task whose images hold four each."""
    task = task_of(method, ipc=ipc, **SMALL.get(method.__name__.rpartition(".")[2], {}) | changes)
    return replace(task, factor=FACTOR, decode=partial(formation.decode, factor=FACTOR))


def network_of(task, t):
    module = networks.build("ConvNet", channels=1, size=8, classes=CLASSES, **task.network.options)
    networks.initialise(module, task.stream("iteration", t, "network"))
    return module


def drawn(task, t):
    """The real images of an iteration, class by class."""
    generator = task.stream("iteration", t, "real")
    for c in range(CLASSES):
        members = torch.nonzero(task.labels == c).flatten()
        order = torch.randperm(len(members), generator=generator)
        yield task.images[members[order[: task.settings["batch_real"]]]]


def moved(task, method):
    """The change of the images in a first step, as they are stored."""
    made = method.build(task)
    state, loss = made.step(made.init(), 1)
    return made.result(state).images - task.initial, loss


def test_a_step_of_dm_is_that_of_autograd_through_the_decoding():
    task = factored(dm, ipc=2, augment="none", batch_real=8, momentum=0.0, lr_images=0.5)
    module = network_of(task, 1)
    images = task.initial.clone().requires_grad_()
    embedded = module.embed(formation.decode(images, FACTOR))
    features = embedded.view(CLASSES, -1, embedded.shape[1])
    loss = sum(
        (module.embed(real).mean(0) - own.mean(0)).square().sum()
        for real, own in zip(drawn(task, 1), features, strict=True)
    )
    (expected,) = torch.autograd.grad(loss, images)
    change, found = moved(task, dm)
    torch.testing.assert_close(found, loss.detach())
    torch.testing.assert_close(change, -0.5 * expected, rtol=1e-4, atol=1e-6)


def test_a_step_of_dc_is_that_of_autograd_through_the_decoding():
    task = factored(dc, ipc=2, batch_real=8, outer=1, inner=1, momentum=0.0, lr_images=0.1)
    module = network_of(task, 1)
    weights = [value for value in module.parameters() if value.ndim > 1]
    images = task.initial.clone().requires_grad_()
    decoded = formation.decode(images, FACTOR).view(CLASSES, -1, 1, 8, 8)
    loss = torch.zeros(())
    for c, real in enumerate(drawn(task, 1)):
        of_real, of_own = (
            torch.autograd.grad(
                functional.cross_entropy(module(x), torch.full((len(x),), c)),
                weights,
                create_graph=True,
            )
            for x in (real, decoded[c])
        )
        for a, b in zip(of_real, of_own, strict=True):
            a, b = a.detach().flatten(1), b.flatten(1)
            loss = loss + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    (expected,) = torch.autograd.grad(loss, images)
    change, found = moved(task, dc)
    torch.testing.assert_close(found, loss.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(change, -0.1 * expected, rtol=1e-3, atol=1e-5)


def test_a_step_of_mtt_is_that_of_autograd_through_the_decoding(experts):
    task = factored(mtt, ipc=2, experts=experts, lr_images=10, lr_step_size=0, momentum=0.0)
    made = mtt.build(task)
    start, goal = made._pair(1)
    module = networks.build("ConvNet", channels=1, size=8, classes=CLASSES, **task.network.options)
    apply, like = networks.functional(module)[0], networks.parameters(module)
    images = task.initial.clone().requires_grad_()
    decoded = formation.decode(images, FACTOR)
    theta = start.clone().requires_grad_()
    for _ in range(task.settings["syn_steps"]):
        logits = apply(networks.unflatten(theta, like), decoded)
        loss = functional.cross_entropy(logits, torch.arange(CLASSES).repeat_interleave(8))
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - task.settings["step_size"] * gradient
    loss = (theta - goal).square().sum() / (start - goal).square().sum()
    (expected,) = torch.autograd.grad(loss, images)
    change, found = moved(task, mtt)
    torch.testing.assert_close(found, loss.detach())
    torch.testing.assert_close(change, -10 * expected, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "changes"),
    [
        (dsa, {"outer": 2, "inner": 1, "batch_real": 8, "batch_train": 5}),
        (ncfm, {"batch_real": 8, "frequencies": 16, "calibration": 0.1}),
        (rat_bptt, {"batch_syn": 5}),
        (tesla, {"batch_syn": 5}),
    ],
)
def test_the_others_learn_such_images_too(method, changes, experts):
    of_experts = {"experts": experts} if method in (tesla, ncfm) else {}
    task = factored(method, iterations=2, **changes, **of_experts)
    recorder = Recorder()
    made = _driver.run(method, task, recorder)
    assert made.images.shape == task.initial.shape
    assert len(made.labels) == CLASSES
    assert not torch.equal(made.images, task.initial) and bool(torch.isfinite(made.images).all())


@pytest.mark.slow
def test_labels_that_are_learned_are_one_for_all_that_an_image_holds():
    experts = Experts(epochs=3)
    task = factored(tesla, experts=experts, lr_labels=1.0, momentum=0.0, lr_step_size=0)
    made = tesla.build(task)
    first = made.init()
    start, goal = made._pair(1)
    module = networks.build("ConvNet", channels=1, size=8, classes=CLASSES, **task.network.options)
    apply, like = networks.functional(module)[0], networks.parameters(module)
    logits = first.logits.clone().requires_grad_()
    decoded, theta = formation.decode(task.initial, FACTOR), start.clone().requires_grad_()
    answers = apply(networks.unflatten(theta, like), decoded)
    for _ in range(task.settings["syn_steps"]):
        answers = apply(networks.unflatten(theta, like), decoded)
        loss = functional.cross_entropy(answers, logits.softmax(1).repeat_interleave(4, 0))
        (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
        theta = theta - first.step_size * gradient
    loss = (theta - goal).square().sum() / (start - goal).square().sum()
    (expected,) = torch.autograd.grad(loss, logits)
    second, _ = made.step(first, 1)
    torch.testing.assert_close(second.logits, first.logits - expected, rtol=1e-4, atol=1e-6)
