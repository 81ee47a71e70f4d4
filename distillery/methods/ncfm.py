"""NCFM: matching characteristic functions of features (Wang et al., CVPR 2025, arXiv 2502.20653,
equations 5 to 7).

The characteristic function of a class's features f, normalised to length 1, at frequencies t is
Phi(t) = mean of exp(i <t, f>). With Phi_T of real and Phi_S of synthetic images, both under one
Siamese augmentation a class, the distance is the mean over t of

    sqrt( a (|Phi_T| - |Phi_S|)^2 + (1 - a) 2 |Phi_T| |Phi_S| (1 - cos(angle between them)) ),

amplitudes weighted by a and phases by 1 - a. The images minimise 300 times its sum over classes
and, weighted by ``calibration``, the cross-entropy of their labels under a trained network. The
features are those of a network between a random and a trained one, at a share drawn anew each
iteration; here both are an expert's, before its first epoch and after its last.

The frequencies are Gaussian, or with ``sampling: learned`` a scale mixture, t = sigma * e with e
Gaussian and the scales sigma made from noise by a small network that maximises the distance (the
min-max game of the paper).

DEVIATES: one image step for all classes an iteration instead of one a class; images are not clipped
to the range of pixels; a set holds as many images as it says (the authors store four in one,
``factor`` 2). The evaluation protocol is the literature's, not the authors' own (AdamW with CutMix
for 2000 epochs). The loop is ``_distribution_matching``'s.
"""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distillery import networks
from distillery.methods import _distribution_matching, base

TITLE = "NCFM"
KIND = "distilled"
ORDER = 60
COLOUR = 6
NEEDS_EXPERTS = True
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
        "description": "Real images of a class a step.",
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
}
PROTOCOL = {**base.AUGMENTED, "models": 5}

SCALE = 300.0
# How many frequencies share one scale of the sampling network.
_SHARED = 16


def distill(task: base.Task) -> base.Result:
    """Distil a set by matching characteristic functions; errors are those of
    ``_distribution_matching.distill``.

    Raises:
        UserError: besides, there are no experts, or they are of another network.
    """
    settings, experts, targets, device = task.settings, task.experts, task.targets, task.device

    def make(module: nn.Module) -> _distribution_matching.Matching:
        apply, _ = networks.functional(module)
        like = networks.parameters(module)
        base.fitting("ncfm", experts, like, task.network)
        size = module.classifier.in_features
        sampler = (
            Sampler(size, settings["lr_sampling"], task.stream("sampling")).to(device)
            if settings["sampling"] == "learned"
            else None
        )

        def chosen(drawn) -> tuple[Tensor, Tensor, float]:
            generator = drawn("expert")
            expert = int(torch.randint(experts.number, (), generator=generator))
            return *experts.pair(expert, 0, experts.epochs), float(
                torch.rand((), generator=generator)
            )

        def feature_network(iteration, drawn):
            first, last, share = chosen(drawn)
            return networks.unflatten(torch.lerp(first, last, share), like)

        def given(iteration, drawn) -> dict[str, Any]:
            generator = drawn("frequencies")
            count = settings["frequencies"]
            noise = torch.randn(count, size, generator=generator).to(device)
            found: dict[str, Any] = {
                "noise": noise,
                "frequencies": noise,
                "trained": networks.unflatten(chosen(drawn)[1], like),
            }
            if sampler is not None:
                found["seeds"] = torch.randn(-(-count // _SHARED), size, generator=generator).to(
                    device
                )
                with torch.no_grad():
                    found["frequencies"] = sampler(found["seeds"], noise)
            return found

        def distances(features: Tensor, statistics: Tensor, frequencies: Tensor) -> Tensor:
            return torch.stack(
                [
                    _of_features(own, real, frequencies, settings["amplitude"])
                    for own, real in zip(features, statistics, strict=True)
                ]
            )

        def loss(
            features: Tensor, statistics: Tensor, seen: Tensor, given: Mapping[str, Any]
        ) -> Tensor:
            total = SCALE * distances(features, statistics, given["frequencies"])
            if settings["calibration"]:
                logits = apply(given["trained"], seen.flatten(0, 1))
                losses = functional.cross_entropy(logits, targets, reduction="none")
                total = total + settings["calibration"] * losses.view(task.classes, task.ipc).mean(
                    1
                )
            return total

        def after(features: Tensor, statistics: Tensor, given: Mapping[str, Any]) -> None:
            sampler.ascend(
                lambda frequencies: distances(features, statistics, frequencies).sum(), given
            )

        if sampler is None:
            return _distribution_matching.Matching("ncfm", feature_network, _features, loss, given)
        return _distribution_matching.Matching(
            "ncfm", feature_network, _features, loss, given, after, sampler.state, sampler.restore
        )

    descent = functools.partial(torch.optim.AdamW, lr=settings["lr_images"])
    return _distribution_matching.distill(make, descent, task)


def _features(features: Tensor, weights: Tensor, given: Mapping[str, Any]) -> Tensor:
    """The statistic of a class is its features themselves, (B, D + 1), each with its weight behind
    it: the sampling network asks for their characteristic function at frequencies of its own."""
    return torch.cat([functional.normalize(features.float(), dim=1), weights[:, None]], 1)


def _of_features(own: Tensor, real: Tensor, frequencies: Tensor, amplitude: float) -> Tensor:
    """The distance of synthetic features (I, D), not yet normalised, from what :func:`_features`
    gave."""
    weights = torch.full((len(own),), 1 / len(own), dtype=own.dtype, device=own.device)
    first = characteristic(functional.normalize(own, dim=1), weights, frequencies)
    return distance(first, characteristic(real[:, :-1], real[:, -1], frequencies), amplitude)


def characteristic(features: Tensor, weights: Tensor, frequencies: Tensor) -> Tensor:
    """The empirical characteristic function of ``features`` (B, D) with ``weights`` (B,) at
    ``frequencies`` (F, D): (2, F), real and imaginary."""
    angles = frequencies @ features.T
    return torch.stack([angles.cos() @ weights, angles.sin() @ weights])


def distance(first: Tensor, second: Tensor, amplitude: float) -> Tensor:
    """The mean over frequencies of the distance of two characteristic functions (2, F); the formula
    is at the head of this module."""
    sizes = [(part.square().sum(0) + 1e-24).sqrt() for part in (first, second)]
    # 2 |a| |b| (1 - cos) without the angle, which has no derivative at zero.
    phases = 2 * (sizes[0] * sizes[1] - (first * second).sum(0))
    squares = amplitude * (sizes[0] - sizes[1]).square() + (1 - amplitude) * phases
    return squares.clamp_min(1e-12).sqrt().mean()


class Sampler(nn.Module):
    """Frequencies as a scale mixture of normals whose scales a small network makes from noise, and
    which learn to tell real from synthetic.

    Args:
        size: of the features, D.
        rate: learning rate (Adam).
        generator: draws the initial weights; on the CPU.
    """

    def __init__(self, size: int, rate: float, generator: torch.Generator):
        super().__init__()
        with torch.device("meta"):
            layers = nn.Sequential(
                nn.Linear(size, size),
                nn.LeakyReLU(0.2),
                nn.Linear(size, size),
                nn.LeakyReLU(0.2),
                nn.Linear(size, size),
            )
        self.layers = networks.initialise(layers.to_empty(device="cpu"), generator)
        self._rate = rate
        self._optimiser: torch.optim.Optimizer | None = None

    def forward(self, seeds: Tensor, noise: Tensor) -> Tensor:
        """Noise ``seeds`` (S, D) and ``noise`` (F, D), Gaussian, to frequencies (F, D): each seed's
        scales serve F / S of them. Scales lie between 0 and 2, 1 where the network says nothing."""
        scales = 1 + torch.tanh(self.layers(seeds))
        return scales.repeat_interleave(_SHARED, 0)[: len(noise)] * noise

    def ascend(self, distance, given: Mapping[str, Tensor]) -> None:
        """One step up ``distance(frequencies)``."""
        optimiser = self._descent()
        with torch.enable_grad():
            optimiser.zero_grad(set_to_none=True)
            (-distance(self(given["seeds"], given["noise"]))).backward()
        optimiser.step()

    def _descent(self) -> torch.optim.Optimizer:
        if self._optimiser is None:
            self._optimiser = torch.optim.Adam(self.layers.parameters(), lr=self._rate)
        return self._optimiser

    def state(self) -> dict[str, Tensor]:
        found = {f"weight.{name}": value.detach() for name, value in self.layers.named_parameters()}
        for name, parameter in self.layers.named_parameters():
            found |= {
                f"{part}.{name}": value for part, value in self._descent().state[parameter].items()
            }
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.layers.named_parameters():
                parameter.copy_(tensors[f"weight.{name}"])
                parts = {
                    part: tensors[f"{part}.{name}"]
                    for part in ("step", "exp_avg", "exp_avg_sq")
                    if f"{part}.{name}" in tensors
                }
                self._descent().state[parameter].update(
                    {
                        part: value.cpu() if part == "step" else value
                        for part, value in parts.items()
                    }
                )
