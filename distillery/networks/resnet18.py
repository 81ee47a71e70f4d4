"""ResNet-18 with instance normalisation."""

from distillery.networks._layers import InstanceNorm, Network
from distillery.networks._residual import resnet18

SPEC = {
    "name": "ResNet18",
    "minimum_size": 16,
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "default": 64,
            "description": "Channels of the first stage.",
        },
    },
}


def build(channels, size, classes, *, width) -> Network:
    return resnet18(channels, classes, width, InstanceNorm)
