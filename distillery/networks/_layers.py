"""The layers that networks are made of, how they start, and the form that is fastest on a
device."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as nn_functional

from distillery.errors import UserError
from distillery.limits import Size, padded, sides

Module = TypeVar("Module", bound=nn.Module)


class _ConvolutionForCPU(nn.Conv2d):
    """The same convolution where the usual kernels are slow: padding wider than half the kernel,
    and a single input channel.

    Measured on 256 MNIST images (two AVX-512 cores, compiled bfloat16 gradient of the ConvNet):
    0.40 s as written, 0.235 s so.
    """

    def forward(self, x: Tensor) -> Tensor:
        usual = self.kernel_size[0] // 2
        extra = int(self.padding[0]) - usual
        # A second, empty channel: with one, channels-last and channels-first strides coincide and
        # the compiler picks the slow one.
        more = 1 if self.in_channels == 1 else 0
        x = nn_functional.pad(x, (extra, extra, extra, extra, 0, more))
        weight = nn_functional.pad(self.weight, (0, 0, 0, 0, 0, more)) if more else self.weight
        return nn_functional.conv2d(x, weight, self.bias, self.stride, usual)


class InstanceNorm(nn.Module):
    """Normalises each (image, channel) plane to mean 0 and variance 1, then applies one scale and
    shift per channel.

    Equal to ``GroupNorm(channels, channels)``: no running statistics, so it is the same function in
    training and evaluation and vectorises over parameters. Ulyanov, Vedaldi and Lempitsky,
    *Instance Normalization*, 2016.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H, W)."""
        # Two forms of one function. Compiled, the explicit form fuses with its neighbours; eager,
        # the single kernel wins. ConvNet on 64 CIFAR-10 images, one CPU core, gradient of the loss:
        # compiled 251 ms explicit, 296 ms group_norm; eager 529 ms explicit, 413 ms group_norm.
        # Gradient of a product with that gradient: 787 and 822; 2455 and 2232.
        if not torch.compiler.is_compiling():
            return torch.nn.functional.group_norm(x, x.shape[-3], self.weight, self.bias, self.eps)
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        variance, mean = torch.var_mean(wide, dim=(-2, -1), correction=0, keepdim=True)
        scale = torch.rsqrt(variance + self.eps) * self.weight[:, None, None]
        return ((wide - mean) * scale + self.bias[:, None, None]).to(x.dtype)


class Network(nn.Module):
    """A classifier: ``features`` makes the embedding, ``classifier`` is one linear layer on it."""

    def __init__(self, features: nn.Module, embedding: int, classes: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(embedding, classes)

    def embed(self, images: Tensor) -> Tensor:
        """Compute the pre-classifier features (N, D) of ``images`` (N, C, H, W)."""
        return self.features(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (N, K) of ``images`` (N, C, H, W)."""
        return self.classifier(self.embed(images))


# Layers whose start is known: uniform on ±1/√fan_in, and scale 1, shift 0 and fresh statistics.
_WITH_FAN_IN = (nn.modules.conv._ConvNd, nn.Linear)
_NORMALISATIONS = (InstanceNorm, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU, nn.FractionalMaxPool2d)


def _own(layer: nn.Module) -> list[str]:
    """List the names of the parameters and buffers of a layer itself."""
    return [
        name
        for part in (layer.named_parameters, layer.named_buffers)
        for name, _ in part(recurse=False)
    ]


def problem(layer: nn.Module) -> str | None:
    """Say what keeps a network with this layer from being repeated, and what to do; ``None``:
    nothing that its kind tells."""
    if isinstance(layer, _RANDOM) and getattr(layer, "p", 1):
        return (
            "draws random numbers in its forward pass, so the same seed would give other figures; "
            "leave it out"
        )
    if (
        _own(layer)
        and not callable(getattr(layer, "reset", None))
        and not isinstance(layer, _WITH_FAN_IN + _NORMALISATIONS)
    ):
        return (
            f"has {', '.join(_own(layer))} of its own, and nothing says how they start; "
            "give the layer a method `reset(generator)` that fills them in place"
        )
    return None


def reset_normalisation(layer: nn.Module) -> bool:
    """Set scale 1, shift 0 and fresh running statistics. Return whether the layer is a
    normalisation."""
    if not isinstance(layer, _NORMALISATIONS):
        return False
    with torch.no_grad():
        if layer.weight is not None:
            layer.weight.fill_(1)
        if layer.bias is not None:
            layer.bias.zero_()
    if isinstance(layer, nn.modules.batchnorm._NormBase):
        layer.reset_running_stats()
    return True


def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw all parameters of ``module`` again, in place, with the distributions of torch's own
    layers.

    Weights and biases of convolutions and linear layers are uniform on ±1/√fan_in (He et al. 2015
    with a = √5, torch's default); normalisations get scale 1 and shift 0, and their running
    statistics start over; any other layer is asked by ``reset(generator)``.

    Args:
        module: a network or a part of one.
        generator: on the CPU. Draws are made there whatever the module's device: a seed means the
            same everywhere.

    Returns:
        ``module``.

    Raises:
        UserError: ``module`` has parameters in a layer of a kind that this function does not know.
    """
    restart = getattr(module, "restart", None)
    if callable(restart):  # a network from outside, which knows how it starts as a whole
        restart(generator)
        return module
    for layer in module.modules():
        reset = getattr(layer, "reset", None)
        if callable(reset):
            with torch.no_grad():
                reset(generator)
        elif isinstance(layer, _WITH_FAN_IN):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    values = torch.empty(parameter.shape).uniform_(
                        -bound, bound, generator=generator
                    )
                    with torch.no_grad():
                        parameter.copy_(values)
        elif not reset_normalisation(layer) and _own(layer):
            raise UserError(f"the layer {type(layer).__name__} {problem(layer)}")
    return module


def for_device(module: Module, device: torch.device) -> Module:
    """Move ``module`` to ``device``, with the same layers in the form that is fastest there."""
    if device.type == "cpu":
        for layer in module.modules():
            if (
                type(layer) is nn.Conv2d
                and layer.groups == 1
                and layer.dilation == (1, 1)
                and layer.padding_mode == "zeros"
                and not isinstance(layer.padding, str)
            ):
                half, padding = layer.kernel_size[0] // 2, layer.padding
                even = padding[0] == padding[1] and len(set(layer.kernel_size)) == 1
                wide, plain = padding[0] > half, padding[0] == half
                if even and (wide or (plain and layer.in_channels == 1)):
                    layer.__class__ = _ConvolutionForCPU
    return module.to(device)


def padding(size: Size, usual: int) -> tuple[int, int]:
    """Choose the first convolution's padding, so that an image leaves it at its padded size (two
    more on each side of a 28 x 28 image, which leaves as 32 x 32)."""
    rows, columns = (
        usual + (after - before) // 2
        for before, after in zip(sides(size), padded(size), strict=True)
    )
    return rows, columns


def normalisation(kind: str, channels: int, size: Size) -> list[nn.Module]:
    if kind == "instance":
        return [InstanceNorm(channels)]
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "layer":
        return [nn.LayerNorm([channels, *sides(size)])]
    if kind == "group":
        return [nn.GroupNorm(4, channels)]
    return []
