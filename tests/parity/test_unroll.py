"""The adjoint of an unrolled run, against automatic differentiation through the whole run and
finite differences."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from distillery import augmentations, networks
from distillery.methods import base
from distillery.methods._unroll import Unroll
from distillery.networks import NetworkSpec

SPEC = NetworkSpec("ConvNet", 2, 8, 3, {"width": 4, "depth": 2})
STEPS, COUNT = 5, 6


class Case:
    """A small run: a network, two parameter vectors, images, labels, and perhaps batches and
    augmentation."""

    def __init__(self, dtype, *, soft=False, batched=False, augmented=False, smooth=False):
        generator = torch.Generator().manual_seed(5)
        options = {**SPEC.options, **({"activation": "sigmoid"} if smooth else {})}
        module = base.network(replace(SPEC, options=options), torch.device("cpu"))
        self.apply, _ = networks.functional(module)
        self.like = base.fresh_parameters(module, generator)
        self.start = networks.flatten(self.like).to(dtype)
        self.target = self.start + 0.05 * torch.randn(self.start.shape, generator=generator).to(
            dtype
        )
        self.images = torch.randn(COUNT, 2, 8, 8, generator=generator).to(dtype)
        if soft:
            self.labels = torch.softmax(torch.randn(COUNT, 3, generator=generator), 1).to(dtype)
        else:
            self.labels = torch.arange(3).repeat(2)
        self.step_size = torch.tensor(0.3, dtype=dtype)
        self.batches = (
            [torch.randperm(COUNT, generator=generator)[:4] for _ in range(STEPS)]
            if batched
            else None
        )
        self.transform = self.draws = None
        if augmented:
            size = 4 if batched else COUNT
            self.draws = [
                augmentations.draw("dsa", size, generator, shape=(2, 8, 8), flip_allowed=True)
                for _ in range(STEPS)
            ]
            self.transform = lambda x, draw: augmentations.apply(draw[0], x, draw[1])

    def adjoint(self):
        unroll = Unroll(self.apply, self.like, transform=self.transform)
        return unroll(
            self.start,
            self.target,
            self.images,
            self.labels,
            self.step_size,
            steps=STEPS,
            batches=self.batches,
            draws=self.draws,
        )

    def loss(self, images, step_size, labels):
        """The loss with its whole graph."""
        theta = self.start.clone().requires_grad_()
        first = theta
        for i in range(STEPS):
            x, y = (
                (images, labels)
                if self.batches is None
                else (images[self.batches[i]], labels[self.batches[i]])
            )
            if self.transform is not None:
                x = self.transform(x, self.draws[i])
            value = functional.cross_entropy(self.apply(networks.unflatten(theta, self.like), x), y)
            (gradient,) = torch.autograd.grad(value, theta, create_graph=True)
            theta = theta - step_size * gradient
        return (theta - self.target).square().sum() / (first - self.target).detach().square().sum()


def _relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.slow
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("augmented", [False, True])
def test_the_adjoint_is_the_gradient_through_the_whole_run(
    dtype, tolerance, soft, batched, augmented
):
    case = Case(dtype, soft=soft, batched=batched, augmented=augmented)
    leaves = [case.images.clone().requires_grad_(), case.step_size.clone().requires_grad_()]
    leaves += [case.labels.clone().requires_grad_()] if soft else []
    loss = case.loss(leaves[0], leaves[1], leaves[2] if soft else case.labels)
    expected = torch.autograd.grad(loss, leaves)
    found = case.adjoint()
    assert found.images.dtype == dtype
    assert _relative(found.loss, loss.detach()) < tolerance
    assert _relative(found.images, expected[0]) < tolerance
    assert _relative(found.step_size, expected[1]) < tolerance
    if soft:
        assert _relative(found.labels, expected[2]) < tolerance
    else:
        assert found.labels is None


@pytest.mark.slow
def test_the_adjoint_agrees_with_finite_differences():
    case = Case(torch.float64, soft=True, batched=True, smooth=True)
    found = case.adjoint()
    generator = torch.Generator().manual_seed(9)
    h = 1e-5
    for name, gradient, point in (
        ("images", found.images, case.images),
        ("step_size", found.step_size, case.step_size),
        ("labels", found.labels, case.labels),
    ):
        direction = torch.randn(point.shape, generator=generator, dtype=torch.float64)
        values = []
        for sign in (1, -1):
            arguments = {"images": case.images, "step_size": case.step_size, "labels": case.labels}
            arguments[name] = point + sign * h * direction
            values.append(float(case.loss(**arguments)))
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(
            float((gradient * direction).sum()), rel=1e-5
        ), name


def test_inputs_are_left_as_they_were():
    case = Case(torch.float32, batched=True)
    before = [tensor.clone() for tensor in (case.start, case.target, case.images, case.step_size)]
    case.adjoint()
    after = (case.start, case.target, case.images, case.step_size)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_equal_start_and_target_give_a_loss_that_is_not_finite():
    case = Case(torch.float32)
    case.target = case.start.clone()
    assert not torch.isfinite(case.adjoint().loss)
