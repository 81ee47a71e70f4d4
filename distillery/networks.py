"""The networks: small image classifiers as pure functions, twice differentiable, vectorised over parameters, compiled.

The architectures are those of the dataset-distillation literature (Zhao, Mopuri and Bilen, *Dataset Condensation with
Gradient Matching*, ICLR 2021, section 4.1; Gidaris and Komodakis, CVPR 2018, for the three-block ConvNet), so that
parameter counts agree with the published studies: the ConvNet has 320,010 on CIFAR-10 and 317,706 on MNIST.

``NETWORKS`` is a literal, to be read without importing this module: a configuration is checked before torch is loaded.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as nn_functional

from distillery.errors import UserError

NETWORKS = {
    "ConvNet": {
        "minimum_size": 8,
        "options": {
            "width": {"type": "integer", "minimum": 1, "default": 128, "description": "Channels of every block."},
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
    },
    "MLP": {
        "minimum_size": 1,
        "options": {
            "width": {
                "type": "integer",
                "minimum": 1,
                "default": 128,
                "description": "Units of each hidden layer.",
            },
        },
    },
    "LeNet": {"minimum_size": 16, "options": {}},
    "AlexNet": {"minimum_size": 8, "options": {}},
    "VGG11": {
        "minimum_size": 28,
        "options": {
            "norm": {
                "type": "string",
                "enum": ["instance", "batch", "none"],
                "default": "instance",
                "description": "Normalisation after each convolution.",
            },
        },
    },
    "ResNet18": {
        "minimum_size": 16,
        "options": {
            "width": {"type": "integer", "minimum": 1, "default": 64, "description": "Channels of the first stage."},
        },
    },
    "ResNet18BN": {
        "minimum_size": 8,
        "options": {
            "width": {"type": "integer", "minimum": 1, "default": 64, "description": "Channels of the first stage."},
        },
    },
}


class _ConvolutionForCPU(nn.Conv2d):
    """The same convolution where the usual kernels are slow: padding wider than half the kernel, and a single input
    channel.

    Measured on 256 MNIST images (two AVX-512 cores, compiled bfloat16 gradient of the ConvNet): 0.40 s as written,
    0.235 s so.
    """

    def forward(self, x: Tensor) -> Tensor:
        usual = self.kernel_size[0] // 2
        extra = self.padding[0] - usual
        # A second, empty channel: with one, channels-last and channels-first strides coincide and the compiler picks
        # the slow one.
        more = 1 if self.in_channels == 1 else 0
        x = nn_functional.pad(x, (extra, extra, extra, extra, 0, more))
        weight = nn_functional.pad(self.weight, (0, 0, 0, 0, 0, more)) if more else self.weight
        return nn_functional.conv2d(x, weight, self.bias, self.stride, usual)


class InstanceNorm(nn.Module):
    """Normalises each (image, channel) plane to mean 0 and variance 1, then applies one scale and shift a channel.

    Equal to ``GroupNorm(channels, channels)``: no running statistics, so it is the same function in training and
    evaluation and vectorises over parameters. Ulyanov, Vedaldi and Lempitsky, *Instance Normalization*, 2016.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        # Two forms of one function. Compiled, the explicit form fuses with its neighbours; eager, the single kernel
        # wins. ConvNet on 64 CIFAR-10 images, one CPU core, gradient of the loss: compiled 251 ms explicit, 296 ms
        # group_norm; eager 529 ms explicit, 413 ms group_norm. Gradient of a product with that gradient: 787 and 822;
        # 2455 and 2232.
        if not torch.compiler.is_compiling():
            return torch.nn.functional.group_norm(x, x.shape[-3], self.weight, self.bias, self.eps)
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        variance, mean = torch.var_mean(wide, dim=(-2, -1), correction=0, keepdim=True)
        scale = torch.rsqrt(variance + self.eps) * self.weight[:, None, None]
        return ((wide - mean) * scale + self.bias[:, None, None]).to(x.dtype)


class Network(nn.Module):
    """A classifier: ``features`` makes the embedding, ``classifier`` is one linear layer on it."""

    def __init__(self, features: nn.Module, embedding: int, classes: int):
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(embedding, classes)

    def embed(self, images: Tensor) -> Tensor:
        """The pre-classifier features of ``images`` (N, C, H, W): (N, D)."""
        return self.features(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """The logits of ``images`` (N, C, H, W): (N, K)."""
        return self.classifier(self.embed(images))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut. He, Zhang, Ren and Sun, CVPR 2016, figure 2."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]):
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
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def build(name: str, *, channels: int, size: int, classes: int, **options) -> nn.Module:
    """The network ``name`` for ``channels`` x ``size`` x ``size`` images and ``classes`` classes: float32, on the CPU.

    Convolutional and linear parameters are zero until ``initialise`` draws them; no random number is drawn here.
    Images of 28 x 28 are padded to 32 x 32 by the first convolution.

    Args:
        options: those of ``NETWORKS[name]["options"]``; what is left out takes its default.

    Raises:
        UserError: the name or an option is unknown, an option's value is not allowed, or the image is too small.
    """
    settings = _resolve(name, options)
    for label, value in (("channels", channels), ("size", size), ("classes", classes)):
        if not (_is_integer(value) and value >= 1):
            raise UserError(f"network {name}: {label} must be a positive integer, not {value!r}")
    minimum = NETWORKS[name]["minimum_size"]
    if size < minimum:
        raise UserError(f"network {name} needs images of at least {minimum} x {minimum} pixels, not {size} x {size}")
    # Made on the meta device: torch's layers would otherwise draw their start values from the global generator.
    with torch.device("meta"):
        module = _BUILDERS[name](channels, size, classes, **settings)
    for layer in module.modules():
        # `to_empty` would do, but imports sympy to lay out what was on the meta device: half a second of every job.
        for name, parameter in list(layer.named_parameters(recurse=False)):
            setattr(layer, name, nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype)))
        for name, buffer in list(layer.named_buffers(recurse=False)):
            setattr(layer, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
        _reset_norm(layer)
    return module


def from_spec(spec: Mapping) -> nn.Module:
    """The network that ``spec`` describes: ``name``, ``channels``, ``size``, ``classes`` and optionally ``options``, as for :func:`build`."""
    return build(spec["name"], **{key: spec[key] for key in ("channels", "size", "classes")}, **spec.get("options", {}))


def initialise(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Draw all parameters of ``module`` anew, in place, with the distributions of torch's own layers.

    Weights and biases of convolutions and linear layers are uniform on ±1/√fan_in (He et al. 2015 with a = √5, torch's
    default); normalisations get scale 1 and shift 0, and their running statistics start over.

    Args:
        generator: on the CPU. Draws are made there whatever the module's device: a seed means the same everywhere.

    Returns:
        ``module``.

    Raises:
        TypeError: ``module`` has parameters in a layer of a kind that this function does not know.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    values = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                    with torch.no_grad():
                        parameter.copy_(values)
        elif not _reset_norm(layer) and any(True for _ in layer.parameters(recurse=False)):
            raise TypeError(f"no initial distribution is known for a {type(layer).__name__}")
    return module


def for_device(module: nn.Module, device: torch.device) -> nn.Module:
    """``module`` on ``device``, with the same layers in the form that is fastest there."""
    if device.type == "cpu":
        for layer in module.modules():
            if type(layer) is nn.Conv2d and layer.groups == 1 and layer.dilation == (1, 1):
                wide = layer.padding[0] > layer.kernel_size[0] // 2 and layer.padding[0] == layer.padding[1]
                plain = layer.padding[0] == layer.kernel_size[0] // 2
                if wide or (plain and layer.in_channels == 1):
                    layer.__class__ = _ConvolutionForCPU
    return module.to(device)


def count(module: nn.Module, image: Tensor) -> tuple[float, int]:
    """What one image (C, H, W) costs a network: ``(flops, activations)``.

    Returns:
        Floating-point operations of its convolutions and linear layers, forward, two a multiply-add (torch's ``FlopCounterMode`` counts the
        same but takes seconds to load); and how many numbers the layers put out, which a training step has to remember.
    """
    flops, activations = 0, 0

    def note(layer, inputs, output):
        nonlocal flops, activations
        activations += output.numel()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            flops += 2 * output.numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(note) for layer in module.modules() if not any(True for _ in layer.children())]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(image[None])  # training mode would touch running statistics
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return float(flops), activations


def functional(module: nn.Module) -> tuple[Callable[[Mapping[str, Tensor], Tensor], Tensor], tuple[str, ...]]:
    """``module`` as a pure function of its parameters.

    Returns:
        ``(apply, names)``: ``apply(params, images)`` gives the logits (N, K) of ``images`` (N, C, H, W) under
        ``params``, a dict from each of ``names`` (in the module's order) to a tensor. It may be differentiated twice,
        ``vmap``ped over stacked parameters and compiled. A network with running statistics (batch normalisation in
        training mode) updates in place those in ``params``, if they are there under their buffers' names, else the
        module's own; to ``vmap`` it, stack and pass them.
    """

    def apply(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        return torch.func.functional_call(module, params, (images,))

    return apply, tuple(name for name, _ in module.named_parameters())


def cast(apply: Callable[..., Tensor], low: torch.dtype | None, *, alone: bool = True) -> Callable[..., Tensor]:
    """``apply(params, images)`` with convolutions and matrix products in ``low`` (``torch.autocast``) and a float32 result; as it is for ``None``.

    Args:
        alone: not under ``vmap`` over parameters: channels-last is then the faster layout.
    """
    if low is None:
        return apply

    def lowered(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        if alone:
            images = images.to(memory_format=torch.channels_last)
            params = {n: p.to(memory_format=torch.channels_last) if p.ndim == 4 else p for n, p in params.items()}
        # No cache: it would keep cast weights beyond the transform that they belong to.
        with torch.autocast(images.device.type, dtype=low, cache_enabled=False):
            return apply(params, images).float()

    return lowered


def functional_embed(module: Network) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """``module.embed`` as a pure function: ``apply(params, images)`` gives the features (N, D). See ``functional``."""
    wrapper = _Embed(module)

    def apply(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        return torch.func.functional_call(
            wrapper, {f"network.{name}": value for name, value in params.items()}, (images,)
        )

    return apply


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Detached copies of the parameters of ``module`` by name, in the module's order."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """All parameters in one vector (P,), in the dict's order, each in C order."""
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``flatten``: views of ``vector`` (P,) with the names and shapes of ``like``.

    Raises:
        ValueError: the vector's length is not the number of parameters in ``like``.
    """
    sizes = [value.numel() for value in like.values()]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"a vector of shape {tuple(vector.shape)} cannot hold {sum(sizes)} parameters")
    parts = vector.split(sizes)
    return {name: part.view(value.shape) for (name, value), part in zip(like.items(), parts, strict=True)}


class _Embed(nn.Module):
    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.embed(images)


def _resolve(name: str, options: Mapping) -> dict:
    if name not in NETWORKS:
        raise UserError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    known = NETWORKS[name]["options"]
    for option, value in options.items():
        if option not in known:
            allowed = ", ".join(known) if known else "it has none"
            raise UserError(f"network {name} has no option {option!r}; its options: {allowed}")
        schema = known[option]
        if "enum" in schema and value not in schema["enum"]:
            raise UserError(
                f"network {name}: option {option} must be one of {', '.join(schema['enum'])}, not {value!r}"
            )
        if schema["type"] == "integer" and (
            not isinstance(value, int) or isinstance(value, bool) or value < schema["minimum"]
        ):
            raise UserError(
                f"network {name}: option {option} must be an integer of {schema['minimum']} or more, not {value!r}"
            )
    return {option: options.get(option, schema["default"]) for option, schema in known.items()}


def _is_integer(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _reset_norm(layer: nn.Module) -> bool:
    """Scale 1, shift 0, fresh running statistics; False for a layer that is no normalisation."""
    if not isinstance(layer, InstanceNorm | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
        return False
    with torch.no_grad():
        layer.weight.fill_(1)
        layer.bias.zero_()
    if isinstance(layer, nn.BatchNorm2d):
        layer.reset_running_stats()
    return True


def _padding(size: int, usual: int) -> int:
    """The first convolution's padding: two more on each side of a 28 x 28 image, so that it leaves as 32 x 32."""
    return usual + 2 if size == 28 else usual


def _normalisation(kind: str, channels: int, size: int) -> list[nn.Module]:
    if kind == "instance":
        return [InstanceNorm(channels)]
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]
    if kind == "layer":
        return [nn.LayerNorm([channels, size, size])]
    if kind == "group":
        return [nn.GroupNorm(4, channels)]
    return []


def _convnet(channels, size, classes, *, width, depth, norm, activation, pooling) -> Network:
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
        layers.append(nn.Conv2d(inputs, width, 3, padding=_padding(size, 1) if block == 0 else 1))
        layers += _normalisation(norm, width, side)
        layers.append(activations[activation]())
        if pooling != "none":
            layers.append(pools[pooling](2))
            side //= 2
        inputs = width
    return Network(nn.Sequential(*layers), width * side * side, classes)


def _mlp(channels, size, classes, *, width) -> Network:
    inputs = channels * size * size
    layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    return Network(layers, width, classes)


def _lenet(channels, size, classes) -> Network:
    """LeCun, Bottou, Bengio and Haffner 1998, with ReLU and max pooling as in the distillation literature."""
    side = 32 if size == 28 else size
    side = ((side - 4) // 2 - 4) // 2
    layers = nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=_padding(size, 0)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side * side, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return Network(layers, 84, classes)


def _alexnet(channels, size, classes) -> Network:
    """Krizhevsky, Sutskever and Hinton 2012, in the literature's small form: five convolutions, one linear layer."""
    side = (32 if size == 28 else size) // 8
    layers = nn.Sequential(
        nn.Conv2d(channels, 128, 5, padding=_padding(size, 2)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(192, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 192, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(192, 192, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return Network(layers, 192 * side * side, classes)


def _vgg11(channels, size, classes, *, norm) -> Network:
    """Simonyan and Zisserman 2015, configuration A, with a normalisation and one linear layer."""
    side = 32 if size == 28 else size
    if side < 32:
        raise UserError(f"network VGG11 needs images of 28 x 28, or of 32 x 32 and more; these are {size} x {size}")
    layers, inputs = [], channels
    for width, convolutions in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(convolutions):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1 if layers else _padding(size, 1)))
            layers += _normalisation(norm, width, side)
            layers.append(nn.ReLU())
            inputs = width
        layers.append(nn.MaxPool2d(2))
        side //= 2
    return Network(nn.Sequential(*layers), inputs * side * side, classes)


def _resnet18(channels, size, classes, *, width, norm) -> Network:
    """He et al. 2016 with the CIFAR stem: a 3 x 3 convolution of stride 1 and no pooling before the first stage."""
    layers = [nn.Conv2d(channels, width, 3, padding=_padding(size, 1), bias=False), norm(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        outputs = width * 2**stage
        layers.append(ResidualBlock(inputs, outputs, 1 if stage == 0 else 2, norm))
        layers.append(ResidualBlock(outputs, outputs, 1, norm))
        inputs = outputs
    layers.append(nn.AdaptiveAvgPool2d(1))
    return Network(nn.Sequential(*layers), inputs, classes)


_BUILDERS = {
    "ConvNet": _convnet,
    "MLP": _mlp,
    "LeNet": _lenet,
    "AlexNet": _alexnet,
    "VGG11": _vgg11,
    "ResNet18": lambda *shape, width: _resnet18(*shape, width=width, norm=InstanceNorm),
    "ResNet18BN": lambda *shape, width: _resnet18(*shape, width=width, norm=nn.BatchNorm2d),
}
