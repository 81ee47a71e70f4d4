"""The distance of gradients, against what it says and a plain loop."""

import math

import pytest
import torch

from distillery.methods import _gradient_distance as matching


def _pair(dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    shapes = {"conv": (4, 2, 3, 3), "bias": (4,), "linear": (5, 7)}

    def draw():
        return {
            name: torch.randn(shape, generator=generator, dtype=dtype)
            for name, shape in shapes.items()
        }

    return draw(), draw()


def test_a_gradient_has_almost_no_distance_from_itself_and_two_a_row_from_its_opposite():
    first, _ = _pair()
    rows = 4 + 5
    assert float(matching.distance(first, first)) == pytest.approx(0, abs=1e-5)
    opposite = {name: -value for name, value in first.items()}
    assert float(matching.distance(first, opposite)) == pytest.approx(2 * rows, abs=1e-5)


def test_orthogonal_rows_are_one_apart():
    first = {"w": torch.tensor([[1.0, 0.0], [0.0, 2.0]])}
    second = {"w": torch.tensor([[0.0, 5.0], [3.0, 0.0]])}
    assert float(matching.distance(first, second)) == pytest.approx(2.0)


def test_epsilon_joins_the_product_of_the_norms():
    first, second = {"w": torch.tensor([[1e-3, 0.0]])}, {"w": torch.tensor([[2e-3, 0.0]])}
    assert float(matching.distance(first, second)) == pytest.approx(
        1 - 2e-6 / (2e-6 + 1e-6), rel=1e-5
    )


def test_distance_is_the_sum_over_rows_and_tensors_and_skips_vectors():
    first, second = _pair()
    expected = 0.0
    for name in ("conv", "linear"):
        for a, b in zip(first[name].tolist(), second[name].tolist(), strict=True):
            a, b = (
                torch.tensor(a).double().flatten().tolist(),
                torch.tensor(b).double().flatten().tolist(),
            )
            inner = sum(x * y for x, y in zip(a, b, strict=True))
            norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
            expected += 1 - inner / (norms + 1e-6)
    # tolist() and back goes through Python floats, and torch.tensor makes float32 of them.
    assert float(matching.distance(first, second)) == pytest.approx(expected, rel=1e-6)
    moved = {**first, "bias": first["bias"] + 1}
    assert float(matching.distance(moved, second)) == float(matching.distance(first, second))


def test_a_dead_row_counts_one_and_has_a_finite_derivative():
    first = {"w": torch.zeros(1, 3, dtype=torch.float64)}
    second = {"w": torch.ones(1, 3, dtype=torch.float64)}
    gradient, value = torch.func.grad_and_value(lambda a: matching.distance(a, second))(first)
    assert float(value) == 1.0
    assert torch.isfinite(gradient["w"]).all()


def test_the_derivative_agrees_with_finite_differences():
    first, second = _pair()
    inputs = [value.requires_grad_() for value in first.values()]
    assert torch.autograd.gradcheck(
        lambda *values: matching.distance(dict(zip(first, values, strict=True)), second), inputs
    )


def test_vmap_gives_one_distance_a_pair():
    pairs = [_pair(), _pair()[::-1]]
    stacked = [
        {n: torch.stack([pair[side][n] for pair in pairs]) for n in pairs[0][0]} for side in (0, 1)
    ]
    together = torch.vmap(matching.distance)(*stacked)
    assert torch.allclose(
        together, torch.stack([matching.distance(*pair) for pair in pairs]), rtol=1e-12
    )


def test_weighted_gradient_is_that_of_the_mean_over_the_weighted_images():
    generator = torch.Generator().manual_seed(0)
    weight = {"w": torch.randn(3, 4, generator=generator, dtype=torch.float64)}
    images = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1])
    gradient = matching.class_gradient(lambda params, x: x @ params["w"].T)
    padded = gradient(
        weight, images, labels, torch.tensor([1 / 3] * 3 + [0.0] * 2, dtype=torch.float64)
    )
    w = weight["w"].clone().requires_grad_()
    torch.nn.functional.cross_entropy(images[:3] @ w.T, labels[:3]).backward()
    assert torch.allclose(padded["w"], w.grad, rtol=1e-12)
