"""The MLP: two hidden layers."""

from torch import nn

from distillery.limits import Size, sides
from distillery.networks._layers import Network

SPEC = {
    "name": "MLP",
    "minimum_size": 1,
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "maximum": 16384,
            "default": 128,
            "description": "Units of each hidden layer.",
        },
    },
}


def build(channels: int, size: Size, classes: int, *, width: int) -> Network:
    """Build two hidden layers of ``width`` units."""
    rows, columns = sides(size)
    inputs = channels * rows * columns
    layers = nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
    )
    return Network(layers, width, classes)
