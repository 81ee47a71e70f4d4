"""The window of RaT-BPTT: its adjoint against automatic differentiation through the same steps of
torch's own Adam rule, and against finite differences."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from distillery import networks
from distillery.errors import UserError
from distillery.methods import base, rat_bptt
from tests.unit.methods.conftest import SPEC, blobs, run, task_of

RATE = 0.05


class Case:
    """A training of a smooth network on six images, and a batch of real ones."""

    def __init__(self, *, before, window, batched=False):
        self.before, self.window = before, window
        generator = torch.Generator().manual_seed(3)
        options = {**SPEC.options, "activation": "sigmoid"}
        module = base.network(replace(SPEC, options=options), torch.device("cpu"))
        self.apply, _ = networks.functional(module)
        self.like = base.fresh_parameters(module, generator)
        self.start = networks.flatten(self.like).double()
        self.images = torch.randn(6, 1, 8, 8, generator=generator).double()
        self.labels = torch.arange(3).repeat_interleave(2)
        real, truth = blobs()
        self.real, self.truth = real[:12].double(), truth[:12]
        self.rows = [
            torch.randperm(6, generator=generator)[:4] if batched else torch.arange(6)
            for _ in range(before + window)
        ]

    def adjoint(self):
        def seen(i):
            rows = self.rows[i]
            return (
                self.images[rows],
                self.labels[rows],
                lambda part: torch.zeros_like(self.images).index_add(0, rows, part),
            )

        walk = rat_bptt.Window(self.apply, self.like, RATE)
        return walk(self.start, seen, self.before, self.window, self.real, self.truth)

    def loss(self, images):
        """The end cost with its graph over the window; what lies before it is a constant."""
        theta = self.start.clone()
        first, second = torch.zeros_like(theta), torch.zeros_like(theta)
        for i, rows in enumerate(self.rows):
            x = images if i >= self.before else images.detach()
            if theta.grad_fn is None:
                theta = theta.detach().requires_grad_()
            value = functional.cross_entropy(
                self.apply(networks.unflatten(theta, self.like), x[rows]), self.labels[rows]
            )
            (gradient,) = torch.autograd.grad(value, theta, create_graph=i >= self.before)
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            first_hat, second_hat = first / (1 - 0.9 ** (i + 1)), second / (1 - 0.999 ** (i + 1))
            theta = theta - RATE * first_hat / (second_hat.sqrt() + 1e-8)
            if i < self.before:
                theta, first, second = theta.detach(), first.detach(), second.detach()
        return functional.cross_entropy(
            self.apply(networks.unflatten(theta, self.like), self.real), self.truth
        )


@pytest.mark.parametrize(
    "before, window, batched", [(0, 1, False), (0, 4, False), (3, 3, False), (2, 4, True)]
)
def test_the_window_s_derivative_is_that_of_the_whole_graph(before, window, batched):
    case = Case(before=before, window=window, batched=batched)
    images = case.images.clone().requires_grad_()
    expected = case.loss(images)
    (derivative,) = torch.autograd.grad(expected, images)
    loss, ours = case.adjoint()
    assert torch.allclose(loss, expected.detach(), rtol=1e-12)
    assert float((ours - derivative).norm() / derivative.norm()) < 1e-9


def test_a_window_from_the_beginning_has_the_derivative_of_finite_differences():
    case = Case(before=0, window=3)
    _, ours = case.adjoint()
    direction = torch.randn(
        case.images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    step = 1e-5
    with torch.enable_grad():
        ahead, behind = (case.loss(case.images + sign * step * direction) for sign in (1, -1))
    expected = float((ahead - behind).detach()) / (2 * step)
    assert float((ours * direction).sum()) == pytest.approx(expected, rel=1e-5)


def test_a_training_is_that_of_torch_s_adam():
    case = Case(before=5, window=1)
    module = networks.from_spec(
        replace(SPEC, options={**SPEC.options, "activation": "sigmoid"})
    ).double()
    with torch.no_grad():
        for name, value in networks.unflatten(case.start, case.like).items():
            module.get_parameter(name).copy_(value)
    optimiser = torch.optim.Adam(module.parameters(), lr=RATE)
    for _ in range(6):
        optimiser.zero_grad()
        functional.cross_entropy(module(case.images), case.labels).backward()
        optimiser.step()
    with torch.no_grad():
        expected = functional.cross_entropy(module(case.real), case.truth)
    assert torch.allclose(case.adjoint()[0], expected, rtol=1e-6)


@pytest.mark.slow
def test_windows_end_at_every_step_from_the_window_to_the_unrolled_end(monkeypatch):
    ends = []
    plain = rat_bptt.Window.__call__

    def noted(self, theta, seen, before, window, *rest):
        ends.append((before, window))
        return plain(self, theta, seen, before, window, *rest)

    monkeypatch.setattr(rat_bptt.Window, "__call__", noted)
    run(rat_bptt, iterations=60, unroll=5, window=2, batch_real=6)
    assert set(ends) == {(before, 2) for before in range(4)}


@pytest.mark.slow
def test_images_learn_what_random_ones_do_not_know():
    settings = {"iterations": 40, "unroll": 12, "window": 6, "lr_images": 0.05, "lr_network": 0.02}
    result, noted = run(rat_bptt, **settings)
    first, last = noted.losses[1:6], noted.losses[-5:]
    assert sum(last) < 0.7 * sum(first)
    assert torch.equal(result.labels, torch.arange(3))


def test_a_derivative_is_clipped_to_twice_its_running_norm(monkeypatch):
    sizes = iter([1.0, 1.0, 100.0])
    seen = []

    def fixed(self, theta, seen_, before, window, real, labels):
        return torch.zeros(()), torch.full((3, 1, 8, 8), next(sizes))

    def noted(self, params, gradients, moments):
        seen.append(gradients["images"].norm())
        return dict(params), {}

    monkeypatch.setattr(rat_bptt.Window, "__call__", fixed)
    monkeypatch.setattr(base.Descent, "__call__", noted)
    run(rat_bptt, iterations=3, unroll=2, window=1)
    one = (3 * 64) ** 0.5
    mean = one + 0.1 * (100 * one - one)
    assert seen == [pytest.approx(value, rel=1e-5) for value in (one, one, 2 * mean)]


def test_a_window_longer_than_the_training_is_refused():
    with pytest.raises(UserError, match="rat_bptt: window 3 is longer than unroll 2"):
        rat_bptt.build(task_of(rat_bptt, unroll=2, window=3))
