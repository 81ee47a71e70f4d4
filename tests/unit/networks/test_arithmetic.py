"""What networks take in arithmetic: fvcore's count, which is reported, and this project's own
beside it."""

import logging
from dataclasses import replace

import pytest
import torch

from distillery import networks, plugins
from distillery.errors import UserError
from distillery.networks import NetworkSpec
from distillery.store.metrics import Metrics

CONVNET = NetworkSpec("ConvNet", 3, 32, 10)


def convnet_macs(channels, classes, width=128, depth=3, side=32, norm=5):
    """Convolutions and the linear layer, and ``norm`` operations an element of what is
    added."""
    total, inputs = 0, channels
    for _ in range(depth):
        total += inputs * width * 9 * side**2 + norm * width * side**2
        inputs, side = width, side // 2
    return total + width * side**2 * classes


@pytest.mark.parametrize(
    "network, expected",
    [
        (CONVNET, convnet_macs(3, 10)),
        (replace(CONVNET, channels=1, size=28), convnet_macs(1, 10)),
        (replace(CONVNET, classes=100), convnet_macs(3, 100)),
        (replace(CONVNET, size=8, options={"width": 8, "depth": 2}), convnet_macs(3, 10, 8, 2, 8)),
        (replace(CONVNET, options={"norm": "none"}), convnet_macs(3, 10, norm=0)),
        (replace(CONVNET, options={"norm": "group"}), convnet_macs(3, 10)),
        (replace(CONVNET, options={"norm": "layer"}), convnet_macs(3, 10)),
        (
            NetworkSpec("MLP", 1, 28, 10),
            784 * 128 + 128 * 128 + 128 * 10,
        ),
    ],
)
def test_multiply_accumulates_are_those_of_the_layers(network, expected):
    assert networks.macs(network) == expected


def test_the_convnet_takes_51_6_million():
    assert networks.macs(CONVNET) == pytest.approx(51.6e6, abs=0.05e6)


def test_counting_leaves_no_trace():
    state, level = torch.get_rng_state(), logging.getLogger("fvcore").level
    networks.macs(replace(CONVNET, size=8))
    assert torch.equal(torch.get_rng_state(), state) and logging.getLogger("fvcore").level == level
    with pytest.raises(UserError, match="unknown network"):
        networks.macs(replace(CONVNET, name="Conv"))


def test_training_takes_three_passes_of_two_operations_a_multiply_accumulate():
    assert networks.training_flops(51_000_000, 7) == 2 * 3 * 51_000_000 * 7
    assert isinstance(networks.training_flops(torch.tensor(5), torch.tensor(2)), int)


def test_what_training_takes_is_recorded():
    network = replace(CONVNET, size=8, options={"width": 8, "depth": 2})
    metrics = Metrics(dataset="toy")
    networks.record_training(metrics, network, images=50, epochs=4)
    macs = convnet_macs(3, 10, 8, 2, 8)
    parameters = (3 * 8 * 9 + 3 * 8) + (8 * 8 * 9 + 3 * 8) + (8 * 4 * 10 + 10)
    assert {row["measure"]: row["value"] for row in metrics.rows} == {
        "macs_per_image": macs,
        "parameters": parameters,
        "images_seen": 200,
        "training_flops": 6 * macs * 200,
    }
    assert all(row["dataset"] == "toy" for row in metrics.rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", plugins.networks())
def test_the_reported_count_is_the_projects_own_and_what_fvcore_adds(name):
    """Two ways to the same convolutions and linear layers; a plug-in that only one of them sees
    would be reported, or compiled for, wrongly."""
    size = max(32, plugins.networks()[name].minimum_size)
    spec = NetworkSpec(name, 3, size, 10)
    module, added = networks.from_spec(spec), 0

    def note(layer, inputs, output):
        nonlocal added
        if isinstance(layer, torch.nn.BatchNorm2d):
            added += 2 * output.numel()
        elif isinstance(layer, networks.InstanceNorm | torch.nn.GroupNorm):
            added += 5 * output.numel()
        elif isinstance(layer, torch.nn.AdaptiveAvgPool2d):
            added += inputs[0].numel()

    hooks = [layer.register_forward_hook(note) for layer in module.modules()]
    flops, activations = networks.count(module, torch.zeros(3, size, size))
    for hook in hooks:
        hook.remove()
    assert networks.macs(spec) == flops / 2 + added
    assert activations > 0
