"""Small images, networks and experts, and what runs a method on them."""

import pytest
import torch

from distillery import networks, streams
from distillery.compute.device import Compute
from distillery.methods import (
    _driver,
    base,
)
from distillery.networks import NetworkSpec

CLASSES, SIZE = 3, 8
SPEC = NetworkSpec("ConvNet", 1, SIZE, CLASSES, {"width": 8, "depth": 2})


def blobs(a_class=20, seed=0):
    """Blobs at a place of their own for each class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat(a_class)[
        torch.randperm(CLASSES * a_class, generator=generator)
    ]
    images = 0.5 * torch.randn(len(labels), 1, SIZE, SIZE, generator=generator)
    for c in range(CLASSES):
        images[labels == c, :, 2 * c : 2 * c + 3, 2 * c : 2 * c + 3] += 2
    return images, labels


class Recorder:
    def __init__(self):
        self.losses, self.images, self.step_sizes, self.labels = [], [], [], []

    def iteration(self, iteration, loss, images, step_size=None, labels=None):
        assert iteration == len(self.losses)
        self.labels.append(labels)
        self.losses.append(float(loss))
        self.images.append(images.clone())
        self.step_sizes.append(None if step_size is None else float(step_size))


def settings_of(module, **changes):
    return {name: value["default"] for name, value in module.SETTINGS.items()} | changes


def task_of(
    module, *, seed=0, ipc=1, experts=None, initial=None, data=None, network=SPEC, **changes
):
    images, labels = data or blobs()
    if initial is None:
        initial = base.initial_images(
            "noise", images, labels, CLASSES, ipc, streams.generator(seed, "initial")
        )
    return base.Task(
        images=images,
        labels=labels,
        initial=initial,
        classes=CLASSES,
        ipc=ipc,
        network=network,
        settings=settings_of(module, **changes),
        stream=lambda *identity: streams.generator(seed, *identity),
        compute=Compute("float32", "off"),
        experts=experts,
    )


def run(module, **of_task):
    recorder = Recorder()
    return _driver.run(module, task_of(module, **of_task), recorder), recorder


class Experts:
    """Trajectories of small networks trained on the data, all images a step."""

    def __init__(self, number=2, epochs=3, steps=10, rate=0.1):
        images, labels = blobs()
        module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
        self.number, self.epochs, self._rows = number, epochs, []
        for expert in range(number):
            networks.initialise(module, torch.Generator().manual_seed(expert))
            optimiser = torch.optim.SGD(module.parameters(), lr=rate)
            rows = [networks.flatten(networks.parameters(module))]
            for _ in range(epochs):
                for _ in range(steps):
                    optimiser.zero_grad()
                    torch.nn.functional.cross_entropy(module(images), labels).backward()
                    optimiser.step()
                rows.append(networks.flatten(networks.parameters(module)))
            self._rows.append(rows)

    def pair(self, expert, start, stop):
        return self._rows[expert][start], self._rows[expert][stop]


class Moved:
    """Experts whose parameters lie on a device."""

    def __init__(self, experts, device):
        self._experts, self._device = experts, device
        self.number, self.epochs = experts.number, experts.epochs

    def pair(self, *which):
        return tuple(vector.to(self._device) for vector in self._experts.pair(*which))


# Settings of methods whose own would be long on these images.
SMALL = {
    "mtt": {"max_start_epoch": 2, "expert_epochs": 1, "syn_steps": 2},
    "tesla": {"max_start_epoch": 2, "expert_epochs": 1, "syn_steps": 2, "lr_labels": 1.0},
    "rat_bptt": {"unroll": 4, "window": 2, "batch_real": 8},
    "soft_random": {"teacher_epoch": 1},
}


@pytest.fixture(scope="session")
def experts():
    return Experts()
