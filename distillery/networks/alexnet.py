"""AlexNet in the small form of the distillation literature."""

from torch import nn

from distillery.limits import Size, padded
from distillery.networks._layers import Network, padding

SPEC = {
    "name": "AlexNet",
    "minimum_size": 8,
    "options": {},
}


def build(channels: int, size: Size, classes: int) -> Network:
    """Build the network of Krizhevsky, Sutskever and Hinton 2012 in the literature's small form:
    five convolutions, one linear layer."""
    height, width = padded(size)
    layers = nn.Sequential(
        nn.Conv2d(channels, 128, 5, padding=padding(size, 2)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(192, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 192, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(192, 192, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return Network(layers, 192 * (height // 8) * (width // 8), classes)
