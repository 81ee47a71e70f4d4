"""The ConvNet: blocks of a convolution, a normalisation, a nonlinearity and a pooling, then one linear layer."""

from torch import nn

from distillery.errors import UserError
from distillery.networks._layers import Network, normalisation, padding

SPEC = {
    "name": "ConvNet",
    "minimum_size": 8,
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "default": 128,
            "description": "Channels of every block.",
        },
        "depth": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "Blocks, each halving the image.",
        },
        "norm": {
            "type": "string",
            "enum": ["instance", "batch", "layer", "group", "none"],
            "default": "instance",
            "description": "Normalisation after each convolution; group means four groups of channels.",
        },
        "activation": {
            "type": "string",
            "enum": ["relu", "leaky_relu", "sigmoid"],
            "default": "relu",
            "description": "Nonlinearity of each block.",
        },
        "pooling": {
            "type": "string",
            "enum": ["avg", "max", "none"],
            "default": "avg",
            "description": "Pooling at the end of each block, 2 x 2.",
        },
    },
}


def build(channels, size, classes, *, width, depth, norm, activation, pooling) -> Network:
    if norm == "group" and width % 4:
        raise UserError(f"network ConvNet: with norm group the width must be a multiple of 4, not {width}")
    activations = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid}
    pools = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
    side = 32 if size == 28 else size
    if pooling != "none" and side < 2**depth:
        raise UserError(
            f"network ConvNet: depth {depth} needs images of at least {2**depth} x {2**depth}, not {size} x {size}"
        )
    layers, inputs = [], channels
    for block in range(depth):
        layers.append(nn.Conv2d(inputs, width, 3, padding=padding(size, 1) if block == 0 else 1))
        layers += normalisation(norm, width, side)
        layers.append(activations[activation]())
        if pooling != "none":
            layers.append(pools[pooling](2))
            side //= 2
        inputs = width
    return Network(nn.Sequential(*layers), width * side * side, classes)
