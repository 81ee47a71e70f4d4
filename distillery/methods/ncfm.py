"""NCFM: matching characteristic functions of features (Wang et al., CVPR 2025, arXiv 2502.20653,
equations 5 to 7).

The characteristic function of a class's features f, normalised to length 1, at frequencies t is
Phi(t) = mean of exp(i <t, f>). With Phi_T of real and Phi_S of synthetic images, both under one
Siamese augmentation per class, the distance is the mean over t of

    sqrt( a (|Phi_T| - |Phi_S|)^2 + (1 - a) 2 |Phi_T| |Phi_S| (1 - cos(angle between them)) ),

amplitudes weighted by a and phases by 1 - a. The images minimise 300 times its sum over classes
and, weighted by ``calibration``, the cross-entropy of their labels under a trained network. The
features are those of a network between a random and a trained one, at a share drawn in each
iteration; here both are an expert's, before its first epoch and after its last.

The frequencies are Gaussian, or with ``sampling: learned`` a scale mixture, t = sigma * e with e
Gaussian and the scales sigma made from noise by a small network that maximises the distance (the
min-max game of the paper).

DEVIATES: one image step per iteration for all classes instead of one per class; images are not
clipped to the range of pixels; a stored image is one itself (the authors' hold four, as the setting
``factor: 2`` does). The loop is ``_distribution_matching``'s.

The protocol is that of the authors' code (``condenser/evaluate.py`` and ``config/ipc10`` of its
first version): AdamW at torch's weight decay, the rate halved after each fifth of 2000 epochs, DSA
and CutMix. DEVIATES: the authors mix every second step, and report the best epoch on the test
images.
"""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillery import networks
from distillery.methods import _distribution_matching, _representative, base
from distillery.methods._distribution_matching import Parameters, Stream

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "NCFM"
KIND = "distilled"
CITATION = {
    "authors": "Wang, Shaobo and others",
    "title": "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective",
    "venue": "CVPR",
    "year": 2025,
    "arxiv": "2502.20653",
}
ORDER = 60
FACTORED = True
COLOUR = 6
NEEDS_EXPERTS = True
NEEDS_EMBEDDING = True
SETTINGS = {
    "iterations": {
        "type": "integer",
        "minimum": 1,
        "default": 20000,
        "description": "Iterations, each with one expert.",
    },
    "lr_images": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.01,
        "description": "Learning rate of the images (AdamW).",
    },
    "batch_real": {
        "type": "integer",
        "minimum": 1,
        "default": 1024,
        "description": "Real images per class and step.",
    },
    "frequencies": {
        "type": "integer",
        "minimum": 16,
        "default": 4096,
        "description": "Frequencies at which the functions are compared.",
    },
    "amplitude": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "description": "Weight of the amplitudes; the phases have the rest.",
    },
    "calibration": {
        "type": "number",
        "minimum": 0,
        "default": 1.0,
        "description": "Weight of the cross-entropy under a trained network.",
    },
    "sampling": {
        "type": "string",
        "enum": ["gaussian", "learned"],
        "default": "gaussian",
        "description": "Where the frequencies come from.",
    },
    "lr_sampling": {
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.001,
        "description": "Learning rate of the sampling network (Adam).",
    },
    "augment": {"type": "string", "default": "dsa", "description": "Siamese augmentation."},
    **_representative.SETTINGS,
}
PROTOCOL = {
    **base.AUGMENTED,
    "models": 5,
    "epochs": 2000,
    "lr": 0.001,
    "weight_decay": 0.01,
    "batch": 128,
    "decay": "fifths",
    "optimiser": "adamw",
    "mix": "cutmix",
}

SCALE = 300.0
# How many frequencies share one scale of the sampling network.
_SHARED = 16


class CharacteristicFunctions(_distribution_matching.DistributionMatching):
    """Matches characteristic functions; errors are those of ``_distribution_matching``.

    Raises:
        UserError: besides, there are no experts, or they are of another network.
    """

    def __init__(self, task: base.Task) -> None:
        super().__init__(task, functools.partial(torch.optim.AdamW, lr=task.settings["lr_images"]))
        self._apply, _ = networks.functional(self.module)
        self._like = networks.parameters(self.module)
        base.fitting("ncfm", task.experts, self._like, task.network)
        self._size = self.module.classifier.in_features
        self._sampler = (
            Sampler(self._size, task.settings["lr_sampling"])
            if task.settings["sampling"] == "learned"
            else None
        )

    def start(self) -> dict[str, Any]:
        """Return the sampling network at its start; nothing where frequencies are Gaussian."""
        if self._sampler is None:
            return {}
        return self._sampler.init(self.task.stream("sampling"), self.task.device)

    def network(self, t: int, drawn: Stream) -> Parameters:
        """Return parameters between an expert's first and last, at a random share of the way."""
        first, last, share = self._expert(drawn)
        return networks.unflatten(torch.lerp(first, last, share), self._like)

    def given(self, learned: dict[str, Any], t: int, drawn: Stream) -> dict[str, Any]:
        """Draw the frequencies, and the expert whose last parameters calibrate."""
        generator, device, size = drawn("frequencies"), self.task.device, self._size
        count = self.task.settings["frequencies"]
        noise = torch.randn(count, size, generator=generator).to(device)
        _, last, _ = self._expert(drawn)
        given = {
            "noise": noise,
            "frequencies": noise,
            "trained": networks.unflatten(last, self._like),
        }
        if self._sampler is not None:
            given["seeds"] = torch.randn(-(-count // _SHARED), size, generator=generator).to(device)
            with torch.no_grad():
                given["frequencies"] = self._sampler(learned["weights"], given["seeds"], noise)
        return given

    def summary(self, features: Tensor, weights: Tensor, given: Mapping[str, Any]) -> Tensor:
        """Return a class's statistic, its features themselves, (B, D + 1), each with its weight
        behind it: the sampling network asks for their characteristic function at frequencies of its
        own."""
        return torch.cat([functional.normalize(features.float(), dim=1), weights[:, None]], 1)

    def loss(
        self, features: Tensor, statistics: Tensor, images: Tensor, given: Mapping[str, Any]
    ) -> Tensor:
        """Return the distance of each class, with the calibration's cross-entropy, (K,)."""
        task, weight = self.task, self.task.settings["calibration"]
        total = SCALE * self._distances(features, statistics, given["frequencies"])
        if weight:
            logits = self._apply(given["trained"], images.flatten(0, 1))
            losses = functional.cross_entropy(logits, task.seen_targets, reduction="none")
            total = total + weight * losses.view(task.classes, task.seen_ipc).mean(1)
        return total

    def learn(
        self,
        learned: dict[str, Any],
        features: Tensor,
        statistics: Tensor,
        given: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Take a step of the sampling network towards frequencies that tell more."""
        if self._sampler is None:
            return learned
        return self._sampler.ascend(
            learned,
            lambda frequencies: self._distances(features, statistics, frequencies).sum(),
            given,
        )

    def _expert(self, drawn: Stream) -> tuple[Tensor, Tensor, float]:
        """Return an expert's first and last parameters, and the share of the way between them."""
        generator, experts = drawn("expert"), self.task.experts
        expert = int(torch.randint(experts.number, (), generator=generator))
        first, last = experts.pair(expert, 0, experts.epochs)
        return first, last, float(torch.rand((), generator=generator))

    def _distances(self, features: Tensor, statistics: Tensor, frequencies: Tensor) -> Tensor:
        """Return the distance of each class's synthetic features (I, D) from its real ones,
        (K,)."""
        amplitude = self.task.settings["amplitude"]
        return torch.stack(
            [
                _of_features(synthetic, real, frequencies, amplitude)
                for synthetic, real in zip(features, statistics, strict=True)
            ]
        )


build = CharacteristicFunctions


def _of_features(synthetic: Tensor, real: Tensor, frequencies: Tensor, amplitude: float) -> Tensor:
    """Return the distance of synthetic features (I, D), not yet normalised, from a class's
    statistic."""
    count = len(synthetic)
    weights = torch.full((count,), 1 / count, dtype=synthetic.dtype, device=synthetic.device)
    first = characteristic(functional.normalize(synthetic, dim=1), weights, frequencies)
    return distance(first, characteristic(real[:, :-1], real[:, -1], frequencies), amplitude)


def characteristic(features: Tensor, weights: Tensor, frequencies: Tensor) -> Tensor:
    """Return the empirical characteristic function of ``features`` (B, D) with ``weights`` (B,) at
    ``frequencies`` (F, D): (2, F), real and imaginary."""
    angles = frequencies @ features.T
    return torch.stack([angles.cos() @ weights, angles.sin() @ weights])


def distance(first: Tensor, second: Tensor, amplitude: float) -> Tensor:
    """Return the mean over frequencies of the distance of two characteristic functions (2, F); the
    formula is at the head of this module."""
    sizes = [(part.square().sum(0) + 1e-24).sqrt() for part in (first, second)]
    # 2 |a| |b| (1 - cos) without the angle, which has no derivative at zero.
    phases = 2 * (sizes[0] * sizes[1] - (first * second).sum(0))
    squares = amplitude * (sizes[0] - sizes[1]).square() + (1 - amplitude) * phases
    return squares.clamp_min(1e-12).sqrt().mean()


class Sampler:
    """Frequencies as a scale mixture of normals whose scales a small network makes from noise, and
    which learn to tell real from synthetic.

    What it learns is a dict of its ``weights``, by name, and the ``moments`` of Adam.

    Args:
        size: of the features, D.
        rate: learning rate (Adam).
    """

    def __init__(self, size: int, rate: float) -> None:
        with torch.device("meta"):
            self._layers = nn.Sequential(
                nn.Linear(size, size),
                nn.LeakyReLU(0.2),
                nn.Linear(size, size),
                nn.LeakyReLU(0.2),
                nn.Linear(size, size),
            )
        self._descent = base.Descent(functools.partial(torch.optim.Adam, lr=rate))

    def init(self, generator: torch.Generator, device: torch.device | str) -> dict[str, Any]:
        """Return what it has learned at the start: weights drawn by ``generator``, on the CPU."""
        layers = networks.initialise(copy.deepcopy(self._layers).to_empty(device="cpu"), generator)
        weights = {name: value.detach() for name, value in layers.to(device).named_parameters()}
        return {"weights": weights, "moments": {}}

    def __call__(self, weights: Mapping[str, Tensor], seeds: Tensor, noise: Tensor) -> Tensor:
        """Turn noise, ``seeds`` (S, D) and ``noise`` (F, D), Gaussian, to frequencies (F, D): each
        seed's scales serve F / S of them. Scales lie between 0 and 2, 1 where the network says
        nothing."""
        scales = 1 + torch.tanh(torch.func.functional_call(self._layers, dict(weights), (seeds,)))
        return scales.repeat_interleave(_SHARED, 0)[: len(noise)] * noise

    def ascend(
        self,
        learned: dict[str, Any],
        distance: Callable[[Tensor], Tensor],
        given: Mapping[str, Tensor],
    ) -> dict[str, Any]:
        """Take one step up ``distance(frequencies)``; returns what it has learned then."""
        leaves = {
            name: value.detach().requires_grad_() for name, value in learned["weights"].items()
        }
        with torch.enable_grad():
            loss = -distance(self(leaves, given["seeds"], given["noise"]))
            gradients = torch.autograd.grad(loss, list(leaves.values()))
        weights, moments = self._descent(
            learned["weights"], dict(zip(leaves, gradients, strict=True)), learned["moments"]
        )
        return {"weights": weights, "moments": moments}


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    settings, passes = sizes.settings, _distribution_matching.expected_work(sizes)
    if settings["calibration"]:
        passes.append(("gradient", settings["iterations"], sizes.classes * sizes.seen_ipc))
    return passes
