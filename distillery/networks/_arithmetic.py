"""What a network and its training take in arithmetic, counted and not measured."""

import logging
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from distillery.networks import _build
from distillery.networks._spec import NetworkSpec

if TYPE_CHECKING:
    from distillery.store.metrics import Metrics

# One forward pass and a backward pass of twice its cost (gradients of the activations and of the
# parameters).
_PASSES_OF_A_TRAINING_STEP = 3
_FLOPS_OF_A_MAC = 2


def macs(network: NetworkSpec) -> int:
    """Count the multiply-accumulates of one forward pass of one image, by fvcore.

    Counted: convolutions, linear layers, and what fvcore adds for normalisations (5 per element for
    instance, group and layer norm, less for batch norm) and adaptive pooling. Not counted:
    activations, fixed pooling, additions (residuals, biases). The count does not change with the
    machine, the precision or compilation. Of a network from outside that fvcore cannot follow, the
    convolutions and linear layers alone are counted.

    Raises:
        UserError: the network cannot be built.
    """
    from fvcore.nn import FlopCountAnalysis

    module = _build.from_spec(network).eval()
    images = torch.zeros(1, *network.image)
    tracing = logging.getLogger("fvcore")
    level = tracing.level
    tracing.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analysis = (
                FlopCountAnalysis(module, images)
                .unsupported_ops_warnings(False)
                .uncalled_modules_warnings(False)
            )
            return int(analysis.total())
    except Exception:
        if not network.factory:
            raise
        return int(count(module, images[0])[0]) // _FLOPS_OF_A_MAC
    finally:
        tracing.setLevel(level)


def training_flops(macs: int, images_seen: int) -> int:
    """Count the floating-point operations of training on ``images_seen`` images (with repetition),
    forward and backward.

    2 x 3 x ``macs`` x ``images_seen``: a multiply-accumulate is two operations, and a backward pass
    costs two forward passes.
    """
    return _FLOPS_OF_A_MAC * _PASSES_OF_A_TRAINING_STEP * int(macs) * int(images_seen)


def record_training(metrics: "Metrics", network: NetworkSpec, images: int, epochs: int) -> None:
    """Note what training one network on ``images`` images for ``epochs`` epochs takes.

    ``macs_per_image`` (multiply-accumulates, forward), ``parameters``, ``images_seen`` and
    ``training_flops`` (floating-point operations).
    """
    per_image = macs(network)
    module = _build.from_spec(network)
    metrics.add("macs_per_image", per_image)
    metrics.add("parameters", sum(parameter.numel() for parameter in module.parameters()))
    metrics.add("images_seen", images * epochs)
    metrics.add("training_flops", training_flops(per_image, images * epochs))


def count(module: nn.Module, image: Tensor) -> tuple[float, int]:
    """Count what one image (C, H, W) costs a network: ``(flops, activations)``.

    Returns:
        Floating-point operations of its convolutions and linear layers, forward, two per
        multiply-add (torch's ``FlopCounterMode`` counts the same but takes seconds to load); and
        how many numbers the layers put out, which a training step has to remember.
    """
    flops, activations = 0, 0

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        nonlocal flops, activations
        if not isinstance(output, Tensor):  # a layer of others may put out several
            return
        activations += output.numel()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            flops += 2 * output.numel() * layer.weight[0].numel()

    hooks = [
        layer.register_forward_hook(note)
        for layer in module.modules()
        if not any(True for _ in layer.children())
    ]
    was_training = module.training
    try:
        with torch.no_grad():
            module.eval()(image[None])  # training mode would touch running statistics
    finally:
        module.train(was_training)
        for hook in hooks:
            hook.remove()
    return float(flops), activations
