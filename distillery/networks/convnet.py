"""The ConvNet: blocks of a convolution, a normalisation, a nonlinearity and a pooling, then one
linear layer."""

from torch import nn

from distillery.limits import Size, padded
from distillery.networks._layers import Network, normalisation, padding

SPEC = {
    "name": "ConvNet",
    "minimum_size": 8,
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "maximum": 4096,
            "default": 128,
            "description": "Channels of every block.",
        },
        "depth": {
            "type": "integer",
            "minimum": 1,
            "maximum": 32,
            "default": 3,
            "description": "Blocks, each halving the image; unless named as many as leave 4 pixels "
            "of its smaller side: 3 at 28 and 32, 4 at 64, 5 at 128 and 224.",
        },
        "norm": {
            "type": "string",
            "enum": ["instance", "batch", "layer", "group", "none"],
            "default": "instance",
            "description": "Normalisation after each convolution; group: four groups of channels.",
        },
        "activation": {
            "type": "string",
            "enum": ["relu", "leaky_relu", "sigmoid", "silu"],
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
    "batch_norm": {"norm": ["batch"]},
    "by_size": {"depth": 4},
    "halvings": {"option": "depth", "unless": {"pooling": ["none"]}},
    "multiples": [{"option": "width", "of": 4, "when": {"norm": ["group"]}}],
}


def build(
    channels: int,
    size: Size,
    classes: int,
    *,
    width: int,
    depth: int,
    norm: str,
    activation: str,
    pooling: str,
) -> Network:
    """Build ``depth`` blocks of convolution, normalisation, activation and pooling."""
    activations = {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "sigmoid": nn.Sigmoid,
        "silu": nn.SiLU,
    }
    pools = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
    left = padded(size)
    layers, inputs = [], channels
    for block in range(depth):
        layers.append(nn.Conv2d(inputs, width, 3, padding=padding(size, 1) if block == 0 else 1))
        layers += normalisation(norm, width, left)
        layers.append(activations[activation]())
        if pooling != "none":
            layers.append(pools[pooling](2))
            left = left[0] // 2, left[1] // 2
        inputs = width
    return Network(nn.Sequential(*layers), width * left[0] * left[1], classes)
