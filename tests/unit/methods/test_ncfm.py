"""NCFM is what its paper says."""

from dataclasses import replace

import pytest
import torch

from distillery.errors import UserError
from distillery.methods import (
    ncfm,
)
from tests.unit.methods.conftest import SPEC, run


def test_the_characteristic_function_is_the_mean_of_the_exponentials():
    generator = torch.Generator().manual_seed(0)
    features, frequencies = (
        torch.randn(5, 3, generator=generator, dtype=torch.float64),
        torch.randn(7, 3, generator=generator, dtype=torch.float64),
    )
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0], dtype=torch.float64)
    found = ncfm.characteristic(features, weights, frequencies)
    expected = (torch.exp(1j * (frequencies @ features.T)) * weights).sum(1)
    assert torch.allclose(torch.complex(*found), expected)


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 0.5, 1.0])
def test_the_distance_of_characteristic_functions_is_its_formula(amplitude):
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.randn(2, 9, generator=generator, dtype=torch.float64) for _ in range(2))
    x, y = torch.complex(*a), torch.complex(*b)
    phases = 2 * x.abs() * y.abs() * (1 - torch.cos(x.angle() - y.angle()))
    expected = (amplitude * (x.abs() - y.abs()) ** 2 + (1 - amplitude) * phases).sqrt().mean()
    assert float(ncfm.distance(a, b, amplitude)) == pytest.approx(float(expected), abs=1e-9)
    if amplitude == 0.5:  # equal weights: the distance of two points of the plane
        assert float(expected) == pytest.approx(float((x - y).abs().mean() / 2**0.5))


NCFM_SMALL = {"frequencies": 64, "batch_real": 16, "lr_images": 0.05}


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["gaussian", "learned"])
def test_ncfm_reduces_its_loss(experts, sampling):
    _, recorder = run(ncfm, ipc=2, experts=experts, iterations=40, sampling=sampling, **NCFM_SMALL)
    losses = recorder.losses[1:]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_sampling_network_learns_frequencies_that_tell_more(experts):
    generator = torch.Generator().manual_seed(0)
    sampler = ncfm.Sampler(6, 1e-2)
    learned = sampler.init(generator, "cpu")
    first, second = (
        torch.randn(20, 6, generator=generator),
        torch.randn(20, 6, generator=generator) + torch.tensor([2.0, 0, 0, 0, 0, 0]),
    )
    given = {
        "seeds": torch.randn(4, 6, generator=generator),
        "noise": torch.randn(64, 6, generator=generator),
    }
    weights = torch.full((20,), 1 / 20)

    def distance(t):
        return ncfm.distance(
            ncfm.characteristic(first, weights, t), ncfm.characteristic(second, weights, t), 0.5
        )

    before = float(distance(sampler(learned["weights"], given["seeds"], given["noise"])))
    for _ in range(30):
        learned = sampler.ascend(learned, distance, given)
    after = float(distance(sampler(learned["weights"], given["seeds"], given["noise"])))
    assert after > before + 0.01


def test_ncfm_refuses_experts_that_do_not_fit(experts):
    with pytest.raises(UserError, match="none were given"):
        run(ncfm, iterations=1)
    with pytest.raises(UserError, match="same network"):
        run(
            ncfm,
            experts=experts,
            iterations=1,
            network=replace(SPEC, options={"width": 4, "depth": 2}),
        )
