"""ResNet-18 with instance normalisation."""

from distillery.limits import Size
from distillery.networks import _residual
from distillery.networks._layers import InstanceNorm, Network

SPEC = {
    "name": "ResNet18",
    "minimum_size": 16,
    **_residual.SPEC,
}


def build(channels: int, size: Size, classes: int, *, width: int) -> Network:
    """Build the ResNet-18 with instance normalisation."""
    return _residual.resnet18(channels, classes, width, InstanceNorm)
