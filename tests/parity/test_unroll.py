"""The adjoint of an unrolled run, against automatic differentiation through the whole run and
finite differences."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from distillery import augmentations, networks
from distillery.methods import _halves, _unroll, base
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

    def adjoint(self, compute=None):
        unroll = Unroll(self.apply, self.like, transform=self.transform, compute=compute)
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


class Halved:
    """Computes as if it compiled: the functions that would be compiled run as they are. Counts the
    calls of each."""

    def __init__(self):
        self.calls = {}

    def compiles(self, device, expected_seconds):
        return True

    def compiled(self, function, **options):
        def counted(*inputs):
            self.calls[function] = self.calls.get(function, 0) + 1
            return function(*inputs)

        return counted

    def graphs(self):
        """Calls by the number of inputs, of graphs alone."""
        return {
            len([node for node in function.graph.nodes if node.op == "placeholder"]): count
            for function, count in self.calls.items()
            if isinstance(function, torch.fx.GraphModule)
        }


@pytest.fixture
def kept(monkeypatch):
    """Have the results of the second convolution kept, whose numbers take 36 multiply-adds; the
    first's take 18."""
    monkeypatch.setattr(_halves, "WORTH", 20)


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_results_that_are_kept_give_the_gradient_through_the_whole_run(soft, batched, kept):
    case, compute = Case(torch.float64, soft=soft, batched=batched, augmented=True), Halved()
    leaves = [case.images.clone().requires_grad_(), case.step_size.clone().requires_grad_()]
    leaves += [case.labels.clone().requires_grad_()] if soft else []
    loss = case.loss(leaves[0], leaves[1], leaves[2] if soft else case.labels)
    expected = torch.autograd.grad(loss, leaves)
    found = case.adjoint(compute)
    # The adjoint takes two results; each step was computed once, and nothing else.
    assert compute.graphs() == {3: STEPS, 6: STEPS}
    assert sum(compute.calls.values()) == 2 * STEPS
    assert _relative(found.images, expected[0]) < 1e-11
    assert _relative(found.step_size, expected[1]) < 1e-11
    if soft:
        assert _relative(found.labels, expected[2]) < 1e-11


def test_the_bound_on_what_is_kept_changes_no_bit(kept, monkeypatch):
    case, compute = Case(torch.float32, batched=True), Halved()
    free = case.adjoint()
    found = case.adjoint(Halved())
    # Both results are of 4 images, 4 channels and 4 x 4 pixels: two steps fit.
    monkeypatch.setattr(_unroll, "KEPT_BYTES", 2.5 * 2 * 4 * 4 * 16 * 4)
    bound = case.adjoint(compute)
    assert compute.graphs() == {3: STEPS + 3, 6: STEPS}
    for name in ("loss", "images", "step_size", "end"):
        assert torch.equal(getattr(found, name), getattr(bound, name)), name
        assert _relative(getattr(found, name), getattr(free, name)) < 1e-4


def test_what_is_kept_is_not_computed_again(kept):
    case = Case(torch.float64)
    _, gradient, _ = _unroll.pieces(case.apply, case.like)
    inputs = case.start, case.images, case.labels

    def convolutions(function):
        return sum("convolution" in str(node.target) for node in function.graph.nodes)

    step, back = _halves.halves(gradient, *inputs)
    assert [tuple(each.shape) for each in step(*inputs)[1]] == [(COUNT, 4, 4, 4)] * 2
    # Of two layers forwards and back the adjoint has the first layer's forwards, and eight of its
    # own.
    assert (convolutions(step), convolutions(back)) == (4, 1 + 8)
    assert not torch.compiler.is_compiling()


def test_a_network_that_cannot_be_traced_is_differentiated_whole(kept):
    case, compute = Case(torch.float64), Halved()
    expected, apply = case.adjoint(), case.apply

    def by_value(params, images):
        return apply(params, images) * (1 if torch.isfinite(images.detach().sum()) else 2)

    case.apply = by_value
    found = case.adjoint(compute)
    assert compute.graphs() == {} and sum(compute.calls.values()) == 2 * STEPS
    assert torch.equal(found.images, expected.images)
