"""How fast a device makes passes of a network."""

from dataclasses import replace

import pytest
import torch

from distillery.errors import UserError
from distillery.estimate import rates
from distillery.estimate.rates import Counted, Rates, of_gpu
from distillery.estimate.sizes import ADJOINT, FORWARD, GRADIENT, KINDS, MATCHING, Part
from distillery.networks import NetworkSpec
from tests.unit.estimate.given import CALLS

COUNTED = Counted(flops=1e6, activations=1000, layers=5, parameters=10)


def test_a_network_is_counted_as_it_is_built():
    spec = NetworkSpec("ConvNet", 1, 8, 10, {"width": 4, "depth": 1})
    counted = Counted.of(spec)
    # A convolution, a normalisation, a nonlinearity and a pooling; then the linear layer.
    assert counted.layers == 5
    assert counted.flops == 2 * (8 * 8 * 4 * 9 + 4 * 16 * 10)
    assert counted.activations == 3 * 8 * 8 * 4 + 4 * 4 * 4 + 10
    assert counted.parameters == 4 * 9 + 4 + 2 * 4 + 64 * 10 + 10


def test_a_pass_takes_its_calls_operations_and_activations():
    known = Rates(0.0, dict.fromkeys(KINDS, 0.25), {GRADIENT: 3e-6}, {GRADIENT: 1e-3}, device="cpu")
    seconds = known.seconds([Part(GRADIENT, calls=2, images=10)], COUNTED, compiles=False)
    assert seconds == pytest.approx(2 * 5 * 0.25 + 20 * (1e6 * 3e-6 + 1000 * 1e-3))


def test_what_is_long_is_compiled_and_what_is_short_is_not():
    known = replace(CALLS, flop=dict.fromkeys(KINDS, 1e-10))
    short, long = Part(GRADIENT, 1, 1e3), Part(GRADIENT, 1, 1e6)
    for part, faster in ((short, False), (long, True)):
        plain = known.seconds([part], COUNTED, compiles=False)
        assert (known.seconds([part], COUNTED, compiles=True) < plain) is faster
        if not faster:
            assert known.seconds([part], COUNTED, compiles=True) == plain
    assert known.seconds([long._replace(eager=True)], COUNTED, compiles=True) == known.seconds(
        [long], COUNTED, compiles=False
    )
    low = known.seconds([long._replace(low=True)], COUNTED, compiles=True)
    assert low < known.seconds([long], COUNTED, compiles=True)


def test_a_compiled_adjoint_of_a_step_that_kept_its_results_takes_two_thirds_of_the_arithmetic():
    nothing = {kind: 0.0 for kind in KINDS}
    made = Rates(0.0, nothing, {kind: 1e-9 for kind in KINDS}, nothing)
    counted = Counted(1e9, 1, 1, 1)
    whole, kept = (Part(ADJOINT, 10_000, 10, kept=steps) for steps in (0, 20))

    def seconds(part, of=made, compiles=True):
        return of.seconds([part], counted, compiles)

    start = rates._COMPILING_SECONDS
    assert (seconds(kept) - start) / (seconds(whole) - start) == pytest.approx(2 / 3)
    assert seconds(kept, compiles=False) == seconds(whole, compiles=False)
    gpu = replace(made, device="cuda")
    assert seconds(kept, gpu) == seconds(whole, gpu)


def test_two_networks_tell_operations_from_activations():
    class Stub:
        images = 4

        def __init__(self, flops, activations):
            self.counted = replace(COUNTED, flops=flops, activations=activations)

        def seconds(self, kind):
            return self.images * (2e-9 * self.counted.flops + 3e-6 * self.counted.activations)

    flop, activation = rates._solved(Stub(1e6, 1000), Stub(1e4, 300), GRADIENT)
    assert (flop, activation) == pytest.approx((2e-9, 3e-6))


def test_a_disturbed_measurement_gives_no_negative_rate():
    class Stub:
        images = 1

        def __init__(self, flops, seconds):
            self.counted, self._seconds = replace(COUNTED, flops=flops), seconds

        def seconds(self, kind):
            return self._seconds

    for wide, narrow in ((1.0, 5.0), (5.0, 1e-3)):
        found = rates._solved(Stub(1e6, wide), Stub(1e4, narrow), FORWARD)
        assert min(found) >= 0 < found[0]


@pytest.mark.slow
def test_every_kind_of_pass_can_be_measured():
    passes = rates._Passes({"width": 4, "depth": 1}, 8, 10)
    before = torch.get_num_threads()
    taken = {kind: passes.seconds(kind) for kind in KINDS}
    assert torch.get_num_threads() == before
    assert 0 < taken[FORWARD] < taken[GRADIENT] < min(taken[ADJOINT], taken[MATCHING])


def test_one_thread_is_measured_where_others_use_the_machine(monkeypatch):
    asked = []

    def measured(threads):
        asked.append(threads)
        return replace(CALLS, flop={GRADIENT: 4.0}, activation={GRADIENT: 8.0}), threads > 1

    monkeypatch.setattr(rates, "_measured", measured)
    found = rates.measure(4)
    assert asked == [4, 1]
    share = 4**-rates._SPEED_UP
    assert found.flop == {GRADIENT: 4.0 * share} and found.activation == {GRADIENT: 8.0 * share}
    assert found.call == CALLS.call


def test_rates_are_read_as_they_were_kept():
    assert Rates.from_json(CALLS.as_json()) == CALLS


def test_a_faster_gpu_is_faster():
    parts = [Part(GRADIENT, 1e4, 256, low=True), Part(FORWARD, 1e3, 512, low=True)]
    counted = Counted(1e8, 500_000, 13, 300_000)
    taken = {name: of_gpu(name).seconds(parts, counted, True) for name in rates.GPUS}
    assert taken["h100"] < taken["a100"] < taken["t4"]
    assert taken["h200"] <= taken["h100"] and taken["rtx4090"] < taken["rtx3090"]


def test_an_unknown_gpu_is_refused():
    with pytest.raises(UserError, match=r"--gpu: 'h1000' is not known; known are h200, h100"):
        of_gpu("h1000")
