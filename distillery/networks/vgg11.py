"""VGG11 with a normalisation and one linear layer."""

from torch import nn

from distillery.limits import Size, padded
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
    "batch_norm": {"norm": ["batch"]},
    "halvings": 5,
}


def build(channels: int, size: Size, classes: int, *, norm: str) -> Network:
    """Build configuration A of Simonyan and Zisserman 2015, with a normalisation and one linear
    layer."""
    left = padded(size)
    layers, inputs = [], channels
    for width, convolutions in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1 if layers else padding(size, 1)))
            layers += normalisation(norm, width, left)
            layers.append(nn.ReLU())
            inputs = width
        layers.append(nn.MaxPool2d(2))
        left = left[0] // 2, left[1] // 2
    return Network(nn.Sequential(*layers), inputs * left[0] * left[1], classes)
