"""LeNet: two convolutions and two linear layers before the last."""

from torch import nn

from distillery.limits import Size, padded
from distillery.networks._layers import Network, padding

SPEC = {
    "name": "LeNet",
    "minimum_size": 16,
    "options": {},
}


def build(channels: int, size: Size, classes: int) -> Network:
    """Build the network of LeCun, Bottou, Bengio and Haffner 1998, with ReLU and max pooling as in
    the distillation literature."""
    height, width = (((side - 4) // 2 - 4) // 2 for side in padded(size))
    layers = nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=padding(size, 0)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * height * width, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return Network(layers, 84, classes)
