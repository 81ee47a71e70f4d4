"""What is measured: the cases, the inputs that every side gets, and the arithmetic that a textbook
step takes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import textbook
from distillery import networks, streams
from distillery.methods import base
from distillery.networks import NetworkSpec

SHAPES = {"mnist": (1, 28), "cifar10": (3, 32), "tiny": (1, 8)}
KINDS = ("dc", "mtt", "experts", "evaluate")
CLASSES = 10
EPOCH = 50_000  # training images of CIFAR-10: an expert's epoch is measured on a part of them
TESTED = 10_000
# tests are of a fifth of the images again and again: one pass over them has the loss of the whole
REPEATED = 5
MODELS = 20
DC_LR_IMAGES = 0.1
LR_NETWORK = 0.01
EVALUATION = {
    "lr": LR_NETWORK,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 256,
    "decay": "half",
}
# The targets are not those of a real expert, so the published rate would throw the images far out;
# it changes no cost.
MTT_LR_IMAGES = 1e-3
MTT_STEP_SIZE = 0.01


@dataclass(frozen=True)
class Case:
    """One thing that is measured.

    Attributes:
        kind: ``dc``, ``mtt``, ``experts``, ``evaluate`` (training) or ``test`` (the testing part of
            an evaluation).
        data: a key of ``SHAPES``.
        ipc: synthetic images per class.
        steps: student steps of trajectory matching, N.
        inner: epochs of network training on the synthetic images that a step of gradient matching
            includes.
        real: real images per class (``dc``), or in all.
        batch: real images a step.
        width: channels of the network.
    """

    kind: str
    data: str = "cifar10"
    ipc: int = 0
    steps: int = 0
    inner: int = 0
    real: int = 256
    batch: int = 256
    width: int = 128

    @property
    def name(self) -> str:
        """What the case is called on the command line and in the results."""
        parts = ["evaluate" if self.kind == "test" else self.kind, self.data]
        parts += (
            ["test"]
            if self.kind == "test"
            else [f"ipc{self.ipc}"] * bool(self.ipc) + [f"n{self.steps}"] * bool(self.steps)
        )
        return "-".join(parts)

    @property
    def unit(self) -> str:
        """What the seconds are of."""
        return {
            "dc": "outer step" + (f" with {self.inner} inner epochs" if self.inner else ""),
            "mtt": f"iteration of {self.steps} student steps",
            "experts": f"epoch of {EPOCH:,} images, one expert",
            "evaluate": f"epoch of {MODELS} networks on {CLASSES * self.ipc} images",
            "test": f"test of {MODELS} networks on {TESTED:,} images",
        }[self.kind]

    @property
    def scale(self) -> float:
        """How many measured steps make the unit."""
        return {
            "experts": EPOCH / self.real,
            "evaluate": MODELS,
            "test": MODELS * TESTED / self.real,
        }.get(self.kind, 1)

    @property
    def network(self) -> NetworkSpec:
        """The network that is trained."""
        channels, size = SHAPES[self.data]
        depth = 2 if size < 16 else 3
        return NetworkSpec(
            "ConvNet", channels, size, CLASSES, {"width": self.width, "depth": depth}
        )

    def record(self) -> dict[str, Any]:
        """The case for JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "parameters": textbook.parameters(self.network),
            **asdict(self),
        }


def grid(quick: bool, tiny: bool) -> list[Case]:
    """The cases of a run, cheap ones first within a kind."""
    inner = 5 if quick or tiny else 50
    cases = [
        Case("dc", data, ipc, inner=inner if ipc > 1 else 0)
        for data in ("mnist", "cifar10")
        for ipc in (1, 10)
    ]
    cases += [Case("mtt", ipc=ipc, steps=steps) for ipc in (1, 10) for steps in (10, 20, 40, 80)]
    cases += [Case("experts", real=256 * (8 if quick else 16))]
    cases += [Case("evaluate", ipc=10), Case("test", ipc=1, real=TESTED)]
    if quick:
        kept = (
            "dc-cifar10-ipc1",
            "dc-cifar10-ipc10",
            "mtt-cifar10-ipc1-n10",
            "mtt-cifar10-ipc1-n80",
            "mtt-cifar10-ipc10-n10",
            "experts-cifar10",
        )
        cases = [case for case in cases if case.name in (*kept, "evaluate-cifar10-ipc10")]
    if tiny:
        cases = [
            replace(
                case,
                data="tiny",
                width=8,
                real=min(case.real, 64),
                batch=16 if case.kind == "experts" else 64,
            )
            for case in cases
        ]
        cases = list({case.name: case for case in cases}.values())
    return cases


def stream(*identity: str | int) -> torch.Generator:
    """The random streams of a benchmark, by purpose: the same for every side."""
    return streams.generator(0, *identity)


@dataclass
class Material:
    """The inputs of a case, the same tensors for every side.

    Attributes:
        images, labels: the real images.
        initial, targets: the synthetic images to begin with, class-ordered, and their labels.
        params: a network's first parameters, by name.
        start, goal: an expert's parameter vectors, (P,).
    """

    images: Tensor
    labels: Tensor
    initial: Tensor
    targets: Tensor
    params: Mapping[str, Tensor]
    start: Tensor
    goal: Tensor


def material(case: Case, device: torch.device) -> Material:
    """Draw the inputs of a case on ``device``."""
    channels, size = SHAPES[case.data]
    generator = stream("data", case.data)
    count = case.real * CLASSES if case.kind == "dc" else case.real
    repeats = REPEATED if case.kind == "test" else 1
    labels = torch.arange(CLASSES).repeat(-(-count // CLASSES))[: count // repeats]

    def draw(labels: Tensor) -> Tensor:
        # Smooth patterns, one a class, under smooth and fine noise: gradients then have a
        # direction, as those of photographs have.
        smooth = torch.randn(len(labels), channels, 4, 4, generator=generator) + patterns[labels]
        images = functional.interpolate(smooth, size=(size, size), mode="bilinear")
        return (images + 0.3 * torch.randn(images.shape, generator=generator)).to(device)

    patterns = torch.randn(CLASSES, channels, 4, 4, generator=generator)
    images, labels = draw(labels).repeat(repeats, 1, 1, 1), labels.repeat(repeats)
    targets = base.synthetic_labels(CLASSES, max(case.ipc, 1))
    initial = draw(targets)
    # dc's first network; those who train take it as their first, too.
    identity = ("iteration", 1, "network") if case.kind in ("dc", "mtt") else ("initialise", 0)
    params = base.fresh_parameters(base.network(case.network, device), stream(*identity))
    start = networks.flatten(params)
    goal = start + 0.01 * torch.randn(start.shape, generator=stream("goal")).to(device)
    return Material(images, labels.to(device), initial, targets.to(device), params, start, goal)


def flops(case: Case) -> float:
    """Floating-point operations of the case's unit as the textbook does it, counted by torch on one
    image and multiplied."""
    one = material(
        replace(case, ipc=1, real=1 if case.kind == "dc" else CLASSES), torch.device("cpu")
    )
    image, label = one.initial[:1], one.targets[:1]
    model = textbook.ConvNet(**textbook.shape(case.network))

    def counted(function: Callable) -> float:
        with FlopCounterMode(display=False) as counter:
            function()
        return float(counter.get_total_flops())

    first = counted(lambda: textbook.loss_gradient(model, image, label))
    if case.kind == "dc":
        target = [gradient.detach() for gradient in textbook.loss_gradient(model, image, label)]
        second = counted(
            lambda: textbook.match(model, image.clone().requires_grad_(), label, target).backward()
        )
        return (
            CLASSES * (case.batch * first + case.ipc * second)
            + case.inner * CLASSES * case.ipc * first
        )
    if case.kind == "mtt":
        alpha = torch.tensor(MTT_STEP_SIZE)
        few = [
            counted(
                lambda n=n: textbook.unrolled(
                    model, one.start, one.goal, image, label, alpha, steps=n
                )
            )
            for n in (2, 3)
        ]
        return CLASSES * case.ipc * (few[0] + (case.steps - 2) * (few[1] - few[0]))
    if case.kind == "test":
        with torch.no_grad():
            return MODELS * TESTED * counted(lambda: model(image))
    return first * (EPOCH if case.kind == "experts" else MODELS * CLASSES * case.ipc)
