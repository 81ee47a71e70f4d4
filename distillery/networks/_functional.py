"""Networks as pure functions of their parameters: twice differentiable, vectorised over parameters,
compiled."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from distillery.networks._layers import Network


def functional(
    module: nn.Module,
) -> tuple[Callable[[Mapping[str, Tensor], Tensor], Tensor], tuple[str, ...]]:
    """Turn ``module`` into a pure function of its parameters.

    Returns:
        ``(apply, names)``: ``apply(params, images)`` gives the logits (N, K) of ``images`` (N, C,
        H, W) under ``params``, a dict from each of ``names`` (in the module's order) to a tensor.
        It may be differentiated twice, ``vmap``ped over stacked parameters and compiled. A network
        with running statistics (batch normalisation in training mode) updates in place those in
        ``params``, if they are there under their buffers' names, else the module's own; to ``vmap``
        it, stack and pass them.
    """

    def apply(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        # It takes any mapping: to make it a dict would be work in every compiled step.
        values: Any = params
        return torch.func.functional_call(module, values, (images,))

    return apply, tuple(name for name, _ in module.named_parameters())


def cast(
    apply: Callable[..., Tensor], low: torch.dtype | None, *, alone: bool = True
) -> Callable[..., Tensor]:
    """Give ``apply(params, images)`` with convolutions and matrix products in ``low``
    (``torch.autocast``) and a float32 result; as it is for ``None``.

    Args:
        apply: a network as a pure function.
        low: the dtype of convolutions and products, or ``None``.
        alone: not under ``vmap`` over parameters: channels-last is then the faster layout.
    """
    if low is None:
        return apply

    def lowered(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        if alone:
            images = images.to(memory_format=torch.channels_last)
            params = {
                n: p.to(memory_format=torch.channels_last) if p.ndim == 4 else p
                for n, p in params.items()
            }
        # No cache: it would keep cast weights beyond the transform that they belong to.
        with torch.autocast(images.device.type, dtype=low, cache_enabled=False):
            return apply(params, images).float()

    return lowered


def functional_embed(module: Network) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """Turn ``module.embed`` into a pure function: ``apply(params, images)`` gives the features
    (N, D). See ``functional``."""
    wrapper = _Embed(module)

    def apply(params: Mapping[str, Tensor], images: Tensor) -> Tensor:
        return torch.func.functional_call(
            wrapper, {f"network.{name}": value for name, value in params.items()}, (images,)
        )

    return apply


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Copy the parameters of ``module``, detached, by name, in the module's order."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """Join all parameters in one vector (P,), in the dict's order, each in C order."""
    return torch.cat([value.reshape(-1) for value in params.values()])


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo ``flatten``: views of ``vector`` (P,) with the names and shapes of ``like``.

    Raises:
        ValueError: the vector's length is not the number of parameters in ``like``.
    """
    sizes = [value.numel() for value in like.values()]
    if vector.shape != (sum(sizes),):
        raise ValueError(
            f"a vector of shape {tuple(vector.shape)} cannot hold {sum(sizes)} parameters"
        )
    parts = vector.split(sizes)
    return {
        name: part.view(value.shape)
        for (name, value), part in zip(like.items(), parts, strict=True)
    }


class _Embed(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network.embed(images)
