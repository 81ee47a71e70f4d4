"""ResNet-18, for the normalisations that its plug-ins give it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distillery.networks._layers import Network

# What the SPEC of every plug-in holds.
SPEC = {
    "options": {
        "width": {
            "type": "integer",
            "minimum": 1,
            "maximum": 512,
            "default": 64,
            "description": "Channels of the first stage.",
        },
    },
}


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut. He, Zhang, Ren and Sun, CVPR 2016, figure 2."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norm(outputs),
        )
        if stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18(channels: int, classes: int, width: int, norm: Callable[[int], nn.Module]) -> Network:
    """Build the network of He et al. 2016 with the CIFAR stem: a 3 x 3 convolution of stride 1 and
    no pooling before the first stage.

    It pads by 1 for images of every size, as the gradient-matching and trajectory-matching authors'
    code does: unlike their other networks it does not make 28 x 28 images into 32 x 32.
    """
    layers = [nn.Conv2d(channels, width, 3, padding=1, bias=False), norm(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        outputs = width * 2**stage
        layers.append(ResidualBlock(inputs, outputs, 1 if stage == 0 else 2, norm))
        layers.append(ResidualBlock(outputs, outputs, 1, norm))
        inputs = outputs
    layers.append(nn.AdaptiveAvgPool2d(1))
    return Network(nn.Sequential(*layers), inputs, classes)
