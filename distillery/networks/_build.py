"""A network by its name and its options, for images of a size."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from distillery import limits, outside
from distillery.errors import UserError
from distillery.networks import _layers, _outside
from distillery.networks._layers import Network
from distillery.networks._spec import NetworkSpec


def build(
    name: str,
    *,
    channels: int,
    size: limits.Size,
    classes: int,
    source: str = "",
    **options: Any,
) -> Network:
    """Build the network ``name`` for images of a shape and for ``classes`` classes: float32, on the
    CPU.

    Parameters are zero until ``initialise`` draws them; no random number is drawn here.

    Args:
        name: of the plug-in, in its own capitals.
        channels: of the images.
        size: of the images: pixels a side, or height and width.
        classes: how many classes it tells apart.
        source: the reference of a plug-in from outside; empty for one of this library.
        options: those of the plug-in's ``SPEC["options"]``; what is left out takes its default for
            images of this size.

    Raises:
        UserError: the name or an option is unknown, an option's value is not allowed, or the image
            is too small; or the plug-in breaks its contract (see :mod:`distillery.networks`): a
            layer that does not say how it starts, or that draws random numbers in its forward pass.
    """
    plugin: Any = outside.load(source) if source else _plugin(name)
    size = limits.plain(size)
    for label, value in (
        ("channels", channels),
        *(("size", side) for side in limits.sides(size)),
        ("classes", classes),
    ):
        if not (_is_integer(value) and value >= 1):
            raise UserError(f"network {name}: {label} must be a positive integer, not {value!r}")
    settings = limits.defaults(plugin.SPEC, size) | _checked(
        name, plugin.SPEC.get("options", {}), options
    )
    clash, small = (
        limits.clash(plugin.SPEC, settings),
        limits.too_small(plugin.SPEC, settings, size),
    )
    if clash:
        raise UserError(f"network {name}: {clash}")
    if small:
        raise UserError(f"network {name} {small}, not {limits.by(size)}")
    # Made on the meta device: torch's layers would otherwise draw their start values from the
    # global generator.
    with torch.device("meta"):
        module = plugin.build(channels, size, classes, **settings)
    if not (isinstance(module, nn.Module) and callable(getattr(module, "embed", None))):
        raise UserError(
            f"network {name}: build gives no module with a method `embed`; return a "
            "Network(features, embedding, classes)"
        )
    _fill(name, module)
    _try(name, module, torch.zeros(2, channels, *limits.sides(size)), classes)
    for layer in module.modules():
        _layers.reset_normalisation(layer)  # the trial has moved running statistics
    return cast(Network, module)  # or what has the same methods


def _fill(name: str, module: nn.Module) -> None:
    """Give a module that was made on the meta device zeros on the CPU, and fresh normalisations.

    Raises:
        UserError: a layer does not say how it starts, or draws random numbers.
    """
    # One that several layers share stays one.
    zeros: dict[nn.Parameter, nn.Parameter] = {}
    for path, layer in module.named_modules():
        problem = _layers.problem(layer)
        if problem:
            raise UserError(
                f"network {name}: the layer {path or 'at the top'} ({type(layer).__name__}) "
                f"{problem}"
            )
        # `to_empty` would do, but imports sympy to lay out what was on the meta device: half a
        # second of every job.
        for key, parameter in list(layer.named_parameters(recurse=False)):
            setattr(
                layer,
                key,
                zeros.setdefault(
                    parameter, nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype))
                ),
            )
        for key, buffer in list(layer.named_buffers(recurse=False)):
            setattr(layer, key, torch.zeros(buffer.shape, dtype=buffer.dtype))
        _layers.reset_normalisation(layer)


def from_spec(spec: NetworkSpec) -> Network:
    """Build the network that ``spec`` describes, as :func:`build` does, or by its factory."""
    if spec.factory:
        return cast(Network, _outside.build(spec))  # which has the same methods
    return build(
        spec.name,
        channels=spec.channels,
        size=spec.size,
        classes=spec.classes,
        source=spec.source,
        **spec.options,
    )


def _plugin(name: str) -> ModuleType:
    """Import the module of the network ``name``: the file of that name in lower case."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    module = (
        importlib.import_module(f"distillery.networks.{name.lower()}")
        if str(name).lower() in files
        else None
    )
    if module is None or module.SPEC["name"] != name:
        known = [
            importlib.import_module(f"distillery.networks.{file}").SPEC["name"] for file in files
        ]
        raise UserError(f"unknown network {name!r}; known are {', '.join(known)}")
    return module


def _try(name: str, module: nn.Module, images: torch.Tensor, classes: int) -> None:
    """Make one forward pass as in training, to find out before hours are spent whether it works and
    whether it draws random numbers."""
    state = torch.get_rng_state()
    try:
        with torch.no_grad():
            logits = module.train()(images)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"network {name} fails on images of {tuple(images.shape[1:])}: {type(error).__name__}: "
            f"{reason}"
        ) from error
    drew = not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)
    if drew:
        raise UserError(
            f"network {name} draws random numbers in its forward pass, so the same seed would give "
            "other figures; leave that out"
        )
    if tuple(logits.shape) != (len(images), classes):
        raise UserError(
            f"network {name} answers {len(images)} images with {tuple(logits.shape)}, not with "
            f"logits {(len(images), classes)}"
        )


def _checked(name: str, known: Mapping, options: dict[str, Any]) -> dict[str, Any]:
    for option, value in options.items():
        if option not in known:
            allowed = ", ".join(known) if known else "it has none"
            raise UserError(f"network {name} has no option {option!r}; its options: {allowed}")
        schema = known[option]
        if "enum" in schema and value not in schema["enum"]:
            raise UserError(
                f"network {name}: option {option} must be one of {', '.join(schema['enum'])}, not "
                f"{value!r}"
            )
        if schema["type"] == "integer":
            low, high = schema["minimum"], schema["maximum"]
            if not (_is_integer(value) and low <= value <= high):
                raise UserError(
                    f"network {name}: option {option} must be an integer from {low} to {high}, not "
                    f"{value!r}"
                )
    return options


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
