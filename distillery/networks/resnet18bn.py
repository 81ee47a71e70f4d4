"""ResNet-18 with batch normalisation, for evaluation alone."""

from torch import nn

from distillery.limits import Size
from distillery.networks import _residual
from distillery.networks._layers import Network

SPEC = {
    "name": "ResNet18BN",
    "minimum_size": 8,
    **_residual.SPEC,
    "batch_norm": True,
}


def build(channels: int, size: Size, classes: int, *, width: int) -> Network:
    """Build the ResNet-18 with batch normalisation."""
    return _residual.resnet18(channels, classes, width, nn.BatchNorm2d)
