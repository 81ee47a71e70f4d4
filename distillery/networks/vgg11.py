"""VGG11 with a normalisation and one linear layer."""

from torch import nn

from distillery.errors import UserError
from distillery.networks._layers import Network, normalisation, padding

SPEC = {
    "name": "VGG11",
    "minimum_size": 28,
    "options": {
        "norm": {
            "type": "string",
            "enum": ["instance", "batch", "none"],
            "default": "instance",
            "description": "Normalisation after each convolution.",
        },
    },
}


def build(channels, size, classes, *, norm) -> Network:
    """Simonyan and Zisserman 2015, configuration A, with a normalisation and one linear layer."""
    side = 32 if size == 28 else size
    if side < 32:
        raise UserError(f"network VGG11 needs images of 28 x 28, or of 32 x 32 and more; these are {size} x {size}")
    layers, inputs = [], channels
    for width, convolutions in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1 if layers else padding(size, 1)))
            layers += normalisation(norm, width, side)
            layers.append(nn.ReLU())
            inputs = width
        layers.append(nn.MaxPool2d(2))
        side //= 2
    return Network(nn.Sequential(*layers), inputs * side * side, classes)
