"""Whether code from outside can do what a study asks of it: tried in a process of its own before
any job starts, for it runs code that is not ours.

``python -m distillery.networks._trial ASKED ANSWER``: ``ASKED`` is a JSON list of blocks. One of a
network has the arguments of a ``NetworkSpec`` as ``network``, and truth values ``distils`` and
``embeds``; one of another plug-in its reference as ``source``. ``ANSWER`` becomes the list of what
is wrong with each, ``null`` for nothing.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nn_functional

from distillery import outside
from distillery.errors import UserError, first_line
from distillery.networks import _build, _functional, _layers, _outside
from distillery.networks._spec import NetworkSpec

_CANNOT = (
    "so nothing can be distilled with it; take it in evaluate.networks, and another as network"
)


def tried(asked: Mapping[str, Any]) -> str | None:
    """Say why a network cannot do what is asked of it, or a plug-in cannot be imported; ``None``
    where all is well.

    Args:
        asked: of a network ``network``, the arguments of a ``NetworkSpec``, ``distils``, whether
            sets are distilled with it, and ``embeds``, whether a method asks for its embedding; of
            another plug-in ``source``.
    """
    try:
        if "network" not in asked:
            outside.load(asked["source"])
            return None
        spec = NetworkSpec(**asked["network"])
        module = _build.from_spec(spec)
        problem = None
        if isinstance(module, _outside.OutsideNetwork):
            problem = _unrepeatable(spec, module)
        if problem is None and asked["distils"]:
            problem = _cannot_distil(spec, module)
        if problem is None and asked["embeds"]:
            _embeds(spec, module)
    except UserError as error:
        return str(error)
    return problem and f"network {spec.name} {problem}"


def _unrepeatable(spec: NetworkSpec, module: _outside.OutsideNetwork) -> str | None:
    """Say why the same seed would not give the same network, or another seed the same."""

    def started(seed: int) -> dict[str, Tensor]:
        fresh = _layers.initialise(module, torch.Generator().manual_seed(seed))
        return {name: value.clone() for name, value in _outside.values(fresh).items()}

    first, again, other = started(0), started(0), started(1)
    for name, value in first.items():
        if not torch.equal(value, again[name]):
            return (
                f"starts with another {name.removeprefix('network.')} each time, whatever the "
                "seed: its factory draws it from no stream of torch, NumPy or Python"
            )
    if all(torch.equal(value, other[name]) for name, value in first.items()):
        return (
            "starts with the same values whatever the seed: leave out learned weights, which no "
            "digest would cover"
        )
    images = _outside.images_for(spec, 2)
    with torch.no_grad():
        module.train()
        answers = []
        for _ in range(2):
            for name, value in _outside.values(module).items():
                value.copy_(first[name])
            answers.append(module(images))
    if not torch.equal(*answers):
        return "answers the same images differently each time, so no seed could repeat it"
    return None


def _cannot_distil(spec: NetworkSpec, module: nn.Module) -> str | None:
    """Say why nothing can be distilled with a network."""
    batch_norm = [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]
    if batch_norm:
        return (
            f"has batch normalisation ({batch_norm[0].removeprefix('network.')}), whose statistics "
            f"would mix the images of a batch, {_CANNOT}"
        )
    images = _outside.images_for(spec, 4)
    changed = images.flip(0)
    changed[0] = images[0]
    with torch.no_grad():
        ours, theirs = module.train()(images)[0], module(changed)[0]
        answers = ours, module.eval()(images)[0]
        module.train()
    if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5):
        return f"answers an image by the others of its batch, {_CANNOT}"
    if not torch.allclose(*answers, rtol=1e-3, atol=1e-5):
        return f"answers differently in training and in evaluation, {_CANNOT}"
    try:
        found = _second_derivative(spec, module, images)
    except Exception as error:
        said = " ".join(first_line(error).split())
        return f"cannot be differentiated twice or vectorised ({said}), {_CANNOT}"
    if not torch.isfinite(found).all():
        return f"has a second derivative that is not finite, {_CANNOT}"
    return None


def _second_derivative(spec: NetworkSpec, module: nn.Module, images: Tensor) -> Tensor:
    """Differentiate the squared gradient of the loss in the images, over two sets of parameters and
    two batches at once, as the methods do."""
    apply, _ = _functional.functional(module)
    params = _functional.parameters(module)
    stacked = {name: torch.stack([value, value]) for name, value in params.items()}
    labels = torch.arange(2) % spec.classes

    def loss(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return nn_functional.cross_entropy(apply(values, x), labels)

    def squared(values: dict[str, Tensor], x: Tensor) -> Tensor:
        gradient = torch.func.grad(loss)(values, x)
        return torch.stack([part.square().sum() for part in gradient.values()]).sum()

    batches = images.view(2, 2, *images.shape[1:])
    return torch.vmap(torch.func.grad(squared, argnums=1))(stacked, batches)


def _embeds(spec: NetworkSpec, module: Any) -> None:
    images = _outside.images_for(spec, 2)
    with torch.no_grad():
        features = module.eval().embed(images)
        fits = features.ndim == 2 and len(features) == 2
        fits = fits and torch.allclose(module.classifier(features), module(images))
    if not fits:
        raise UserError(
            f"network {spec.name} embeds 2 images as {tuple(features.shape)}, of which its last "
            "layer does not make its logits"
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    answers = [tried(each) for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
