"""DC's engine against the obvious loop over classes with plain automatic differentiation."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from distillery import networks
from distillery.compute.device import Compute
from distillery.methods import _driver, base, dc
from distillery.methods import _gradient_distance as matching
from distillery.networks import NetworkSpec

SPEC = NetworkSpec("ConvNet", 1, 28, 3, {"width": 8, "depth": 2})
CPU = torch.device("cpu")


def _parameters(spec, dtype=torch.float32, seed=0):
    module = base.network(spec, CPU)
    params = base.fresh_parameters(module, torch.Generator().manual_seed(seed))
    return module, {name: value.to(dtype) for name, value in params.items()}


def _textbook_distance(first, second):
    total = 0.0
    for a, b in zip(first, second, strict=True):
        if a.ndim == 1:
            continue
        a, b = a.flatten(1), b.flatten(1)
        total = total + sum(
            1 - (x @ y) / (x.norm() * y.norm() + 1e-6) for x, y in zip(a, b, strict=True)
        )
    return total


@pytest.mark.slow
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("ipc", [1, 3])
def test_the_vmapped_image_gradient_is_that_of_a_loop_over_classes(dtype, tolerance, ipc):
    generator = torch.Generator().manual_seed(1)
    classes = SPEC.classes
    module, params = _parameters(SPEC, dtype)
    apply, _ = networks.functional(module)
    real = torch.randn(classes, 6, 1, 28, 28, generator=generator, dtype=dtype)
    synthetic = torch.randn(classes, ipc, 1, 28, 28, generator=generator, dtype=dtype)
    labels = torch.arange(classes)[:, None].expand(classes, 6).contiguous()

    # The module as it was built, without the rearranged convolutions, in plain automatic
    # differentiation.
    plain = networks.build("ConvNet", channels=1, size=28, classes=classes, **SPEC.options).to(
        dtype
    )
    plain.load_state_dict(params)
    expected, losses = torch.empty_like(synthetic), []
    for c in range(classes):
        weights = list(plain.parameters())
        target = torch.autograd.grad(functional.cross_entropy(plain(real[c]), labels[c]), weights)
        leaf = synthetic[c].clone().requires_grad_()
        loss = functional.cross_entropy(plain(leaf), labels[c, :ipc])
        loss = _textbook_distance(torch.autograd.grad(loss, weights, create_graph=True), target)
        (expected[c],) = torch.autograd.grad(loss, leaf)
        losses.append(loss.detach())

    gradient = matching.class_gradient(apply)
    weights = torch.full((6,), 1 / 6, dtype=dtype)
    reals = [gradient(params, real[c], labels[c], weights) for c in range(classes)]
    reals = {name: torch.stack([one[name] for one in reals]) for name in params}
    found, distances = matching.image_gradient(apply)(params, synthetic, labels[:, :ipc], reals)
    assert float((found - expected).norm() / expected.norm()) < tolerance
    assert torch.allclose(distances, torch.stack(losses), rtol=max(tolerance, 1e-9) * 10)


class Recorder:
    def __init__(self):
        self.losses, self.images, self.step_sizes = [], [], []

    def iteration(self, iteration, loss, images, step_size=None, labels=None):
        assert iteration == len(self.losses)
        self.losses.append(float(loss))
        self.images.append(images.clone())
        self.step_sizes.append(None if step_size is None else float(step_size))


@pytest.mark.slow
def test_one_iteration_is_the_published_algorithm_written_out():
    """Two outer steps with a training epoch between them, all real images, so nothing but the
    network is random."""
    from distillery import streams

    generator = torch.Generator().manual_seed(2)
    classes, ipc = 3, 2
    real = torch.randn(12, 1, 8, 8, generator=generator)
    labels = torch.arange(classes).repeat(4)
    initial = torch.randn(classes * ipc, 1, 8, 8, generator=generator)
    spec = replace(SPEC, size=8)
    stream = lambda *identity: streams.generator(0, *identity)  # noqa: E731
    settings = {name: value["default"] for name, value in dc.SETTINGS.items()}
    settings |= {"iterations": 1, "outer": 2, "inner": 1, "lr_network": 0.1}
    task = base.Task(
        images=real,
        labels=labels,
        initial=initial,
        classes=classes,
        ipc=ipc,
        network=spec,
        settings=settings,
        stream=stream,
        compute=Compute("float32", "off"),
    )
    result = _driver.run(dc, task, Recorder())

    model = networks.build("ConvNet", channels=1, size=8, classes=classes, **spec.options)
    networks.initialise(model, stream("iteration", 1, "network"))
    weights = list(model.parameters())
    images = initial.clone().requires_grad_()
    optimiser = torch.optim.SGD([images], lr=0.1, momentum=0.5)
    targets = torch.arange(classes).repeat_interleave(ipc)
    for step in range(2):
        loss = 0.0
        for c in range(classes):
            of_class = labels == c
            goal = torch.autograd.grad(
                functional.cross_entropy(model(real[of_class]), labels[of_class]), weights
            )
            mine = functional.cross_entropy(model(images[targets == c]), targets[targets == c])
            loss = loss + _textbook_distance(
                torch.autograd.grad(mine, weights, create_graph=True), goal
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step == 0:
            inner = torch.optim.SGD(weights, lr=0.1)
            inner.zero_grad()
            functional.cross_entropy(model(images.detach()), targets).backward()
            inner.step()
    moved = (images.detach() - initial).norm()
    assert float((result.images - images.detach()).norm() / moved) < 1e-3


@pytest.mark.slow
def test_the_low_precision_gradient_points_where_the_float32_one_does():
    low = Compute().low_precision("cpu", expected_seconds=1e6)
    if low is None:
        pytest.skip("this CPU has no bfloat16 arithmetic, so DC does not use it here")
    digits = load_digits()
    chosen = torch.from_numpy(digits.target == 3).nonzero()[:64, 0]
    images = torch.from_numpy(digits.images).float()[chosen, None]
    images = functional.interpolate(images, size=(28, 28), mode="bilinear")
    images = (images - images.mean()) / images.std()
    spec = NetworkSpec("ConvNet", 1, 28, 10, {"width": 32})
    module, params = _parameters(spec)
    apply, _ = networks.functional(module)
    arguments = (params, images, torch.full((64,), 3), torch.full((64,), 1 / 64))
    exact, cheap = (
        matching.class_gradient(apply)(*arguments),
        matching.class_gradient(apply, low)(*arguments),
    )
    for name, value in exact.items():
        if value.ndim > 1:
            assert cheap[name].dtype == torch.float32
            assert (
                float(functional.cosine_similarity(value.flatten(), cheap[name].flatten(), dim=0))
                > 0.99
            ), name
