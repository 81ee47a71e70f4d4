"""ResNet-18 with batch normalisation, for evaluation alone."""

from torch import nn

from distillery.networks._layers import Network
from distillery.networks._residual import resnet18

SPEC = {
    "name": "ResNet18BN",
    "minimum_size": 8,
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "default": 64,
            "description": "Channels of the first stage.",
        },
    },
    "batch_norm": True,
}


def build(channels, size, classes, *, width) -> Network:
    return resnet18(channels, classes, width, nn.BatchNorm2d)
