"""Networks from outside this library: of a factory of the user's, of torchvision or of timm."""

import contextlib
import functools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distillery import outside
from distillery.errors import UserError, hint
from distillery.networks._spec import NetworkSpec

# Layers of others that draw random numbers while training, and what says how much.
_SHARES = {"StochasticDepth": "p", "DropPath": "drop_prob", "MultiheadAttention": "dropout"}
# Options of torchvision and timm that the workflow sets, or that would bring learned weights.
_SET_HERE = ("num_classes", "in_chans")
_LEARNED = ("pretrained", "weights", "weights_backbone", "checkpoint_path", "pretrained_cfg")


class OutsideNetwork(nn.Module):
    """A network that was made by code from outside, with what ours ask of one.

    It starts as its factory starts it: made once more, with torch's, NumPy's and Python's own
    random numbers seeded by one draw of our generator, and its values copied. So layers of any kind
    start as their author meant, the same seed gives the same values, and the global streams stay
    where they were.

    Args:
        name: in the config.
        network: from images to logits.
        made: re-creates it from a seed.
    """

    def __init__(self, name: str, network: nn.Module, made: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.network = network
        self._name, self._made, self._head = name, made, ""

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (N, K) of ``images`` (N, C, H, W)."""
        return self.network(images)

    def restart(self, generator: torch.Generator) -> None:
        """Draw all values again, in place."""
        fresh = values(self._made(int(torch.randint(2**31, (), generator=generator))))
        with torch.no_grad():
            for name, value in values(self.network).items():
                value.copy_(fresh[name])

    def find_head(self, images: Tensor) -> None:
        """Look for the layer whose input is the embedding: the linear layer whose output is the
        network's, as it is, and that is given one row an image."""
        heads = {layer: name for name, layer in self.network.named_modules()}
        seen: list[tuple[nn.Module, Tensor]] = []

        def note(layer: nn.Module, _: Any, output: Tensor) -> None:
            seen.append((layer, output))

        hooks = [layer.register_forward_hook(note) for layer in heads if type(layer) is nn.Linear]
        try:
            with torch.no_grad():
                logits = self.network(images)
        finally:
            for hook in hooks:
                hook.remove()
        last = [layer for layer, output in seen if output is logits]
        if len(last) != 1 or sum(layer is last[0] for layer, _ in seen) != 1:
            return
        self._head = heads[last[0]]
        last[0].__class__ = _Head

    @property
    def classifier(self) -> "_Head":
        """The linear layer on the embedding.

        Raises:
            UserError: there is none.
        """
        head = self.network.get_submodule(self._head) if self._head else None
        if not isinstance(head, _Head):
            raise UserError(
                f"network {self._name} has no embedding, which this method needs: its output must "
                "be that of one nn.Linear on a row of features for each image"
            )
        return head

    def embed(self, images: Tensor) -> Tensor:
        """Compute the pre-classifier features (N, D) of ``images`` (N, C, H, W).

        Raises:
            UserError: there are none.
        """
        head = self.classifier
        head.open = True
        try:
            return self.network(images)
        finally:
            head.open = False


class _Head(nn.Linear):
    """A linear layer that hands on what it is given while it is open."""

    open = False

    def forward(self, x: Tensor) -> Tensor:
        return x if self.open else super().forward(x)


def values(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module by name; they share its memory."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def images_for(spec: NetworkSpec, count: int) -> Tensor:
    """Return images (N, C, H, W) float32 that differ, for a trial; no random number is drawn."""
    shape = (count, *spec.image)
    return torch.linspace(0, 50, math.prod(shape)).sin().reshape(shape)


def build(spec: NetworkSpec) -> OutsideNetwork:
    """Build a network by its factory: float32, on the CPU.

    It has the values of one fixed seed until ``initialise`` draws them.

    Raises:
        UserError: the factory is missing or fails; what it gives is no network for such images and
            classes, or none that can be repeated.
    """
    made = functools.partial(_made, spec)
    network = made(0)
    module = OutsideNetwork(spec.name, network, made)
    before = {name: value.clone() for name, value in values(network).items()}
    images = images_for(spec, 2)
    logits = _answer(spec, network.train(), images)
    module.find_head(images)
    with torch.no_grad():  # the trial has moved running statistics
        for name, value in values(network).items():
            value.copy_(before[name])
    if tuple(logits.shape) != (2, spec.classes):
        raise UserError(
            f"network {spec.name} answers 2 images with {tuple(logits.shape)}, not with logits "
            f"{(2, spec.classes)}"
        )
    return module


def _answer(spec: NetworkSpec, network: nn.Module, images: Tensor) -> Tensor:
    """Make one forward pass as it is, and find out whether it draws random numbers."""
    drawn = _states()
    shown = "x".join(map(str, images.shape[1:]))
    with outside.running(f"network {spec.name} fails on images of {shown}"), torch.no_grad():
        logits = network(images)
    if not _same_states(drawn, _states()):
        _restore(drawn)
        raise UserError(f"network {spec.name} {_says_random(network)}")
    if not isinstance(logits, Tensor):
        raise UserError(
            f"network {spec.name} answers with {type(logits).__name__}, not with a tensor of logits"
        )
    return logits


# ---- making --------------------------------------------------------------------------------------


def _made(spec: NetworkSpec, seed: int) -> nn.Module:
    """Call the factory, with every random number that it may draw from a seed."""
    adapt = {"@torchvision": _of_torchvision, "@timm": _of_timm}.get(spec.source, _of_user)
    what = f"network {spec.name}: {outside.shown(spec.source)}:{spec.factory} fails"
    with _seeded(seed):
        network = adapt(spec, what)
        if not isinstance(network, nn.Module):
            kind = getattr(network, "__name__", type(network).__name__)
            raise UserError(
                f"network {spec.name}: {outside.shown(spec.source)}:{spec.factory} returns {kind}, "
                "not a torch.nn.Module"
            )
        if any(map(torch.nn.parameter.is_lazy, network.parameters())):
            with outside.running(what), torch.no_grad():
                network(images_for(spec, 2))
    if not spec.dropout:
        _without_dropout(network)
    problem = _unfit(network)
    if problem:
        raise UserError(f"network {spec.name} {problem}")
    return network


def _of_user(spec: NetworkSpec, what: str) -> Any:
    found: Any = outside.load(spec.source)
    for part in spec.factory.split("."):
        if not hasattr(found, part):
            raise UserError(
                f"network {spec.name}: {outside.shown(spec.source)} has no {spec.factory!r}"
            )
        found = getattr(found, part)
    with outside.running(what):
        return found(spec.channels, spec.size, spec.classes, **spec.options)


def _of_torchvision(spec: NetworkSpec, what: str) -> nn.Module:
    from torchvision import models

    _check_named(spec, models.list_models(module=models))
    with outside.running(what):
        network = models.get_model(
            spec.factory, weights=None, num_classes=spec.classes, **spec.options
        )
        if spec.channels != 3:
            _replace_stem(spec, network)
    return network


def _replace_stem(spec: NetworkSpec, network: nn.Module) -> None:
    """Give a network of torchvision, which are all of three channels, a first convolution of the
    images' channels, which starts as torch starts one."""
    for name, layer in network.named_modules():
        if type(layer) is nn.Conv2d and layer.in_channels == 3 and layer.groups == 1:
            above, _, last = name.rpartition(".")
            stem = nn.Conv2d(
                spec.channels,
                layer.out_channels,
                layer.kernel_size,  # pyright: ignore[reportArgumentType]
                layer.stride,  # pyright: ignore[reportArgumentType]
                layer.padding,  # pyright: ignore[reportArgumentType]
                layer.dilation,  # pyright: ignore[reportArgumentType]
                bias=layer.bias is not None,
                padding_mode=layer.padding_mode,
            )
            setattr(network.get_submodule(above), last, stem)
            return
    raise UserError(
        f"network {spec.name}: torchvision's {spec.factory} takes images of 3 channels, not of "
        f"{spec.channels}, and has no first convolution that could be replaced"
    )


def _of_timm(spec: NetworkSpec, what: str) -> nn.Module:
    try:
        import timm  # pyright: ignore[reportMissingImports]  # an extra
    except ImportError as error:
        raise UserError(
            f"network {spec.name}: timm cannot be imported ({error}); install it: pip install "
            "'dataset-distillery[timm]'"
        ) from error
    _check_named(spec, timm.list_models())
    with outside.running(what):
        return timm.create_model(
            spec.factory,
            pretrained=False,
            num_classes=spec.classes,
            in_chans=spec.channels,
            **spec.options,
        )


def _check_named(spec: NetworkSpec, known: list[str]) -> None:
    library = outside.shown(spec.source)
    # timm's names may end in those of learned weights.
    if spec.factory.partition(".")[0] not in known:
        raise UserError(
            f"network {spec.name}: {library} has no model {spec.factory!r}; "
            f"{hint(spec.factory, known)}it lists {len(known)}"
        )
    for name in spec.options:
        if name in _LEARNED:
            raise UserError(
                f"network {spec.name}: option {name!r}: networks start from random values, not "
                "from learned ones; leave it out"
            )
        if name in _SET_HERE:
            raise UserError(
                f"network {spec.name}: option {name!r} is set by the dataset; leave it out"
            )


def _unfit(network: nn.Module) -> str | None:
    """Say what keeps a network from being trained as ours are; ``None`` where nothing does."""
    parameters = dict(network.named_parameters())
    if not parameters:
        return "has no parameters to train"
    for name, value in parameters.items():
        if value.dtype != torch.float32 or value.device.type != "cpu":
            return (
                f"has the parameter {name} as {value.dtype} on {value.device}; make it float32 on "
                "the CPU"
            )
        if not value.requires_grad:
            return (
                f"has the parameter {name} without a gradient, and all parameters are trained; "
                "make it a buffer (register_buffer)"
            )
    return None


# ---- random numbers ------------------------------------------------------------------------------


def _states() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _same_states(one: tuple[Tensor, Any, Any], other: tuple[Tensor, Any, Any]) -> bool:
    return (
        torch.equal(one[0], other[0])
        and np.array_equal(one[1][1], other[1][1])
        and one[1][2:] == other[1][2:]
        and one[2] == other[2]
    )


def _restore(states: tuple[Tensor, Any, Any]) -> None:
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global streams within the block, and leave them as they were."""
    before = _states()
    # Not `torch.manual_seed`, which would seed the devices too.
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        _restore(before)


def _randoms(network: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Find the layers that draw random numbers while training, and what says how much."""
    found = {}
    for name, layer in network.named_modules():
        key = _SHARES.get(type(layer).__name__)
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            key = "p"
        if key and getattr(layer, key, 0):
            found[name] = (layer, key)
    return found


def _without_dropout(network: nn.Module) -> None:
    for layer, key in _randoms(network).values():
        setattr(layer, key, 0.0)


def _says_random(network: nn.Module) -> str:
    randoms: Mapping[str, tuple[nn.Module, str]] = _randoms(network)
    said = "draws random numbers in its forward pass"
    why = "so the same seed would give other figures"
    if not randoms:
        return f"{said}, {why}; leave that out"
    name, (layer, _) = next(iter(randoms.items()))
    return (
        f"{said} ({name or 'at the top'}: {type(layer).__name__}), {why}; `dropout: off` in its "
        "block takes such layers out"
    )
