"""Published implementations beside ours, from a checkout that the user has; none of their code is
here.

The steps below are our own loops around these names of theirs:

- VICO-UoE/DatasetCondensation: ``utils.get_network(model, channel, num_classes, im_size)``,
  ``utils.match_loss(gw_syn, gw_real, args)`` with ``args.dis_metric`` and ``args.device``,
  ``utils.epoch(mode, loader, net, optimizer, criterion, args, aug)`` and
  ``utils.TensorDataset(images, labels)``.
- GeorgeCazenavette/mtt-distillation: ``networks.ConvNet(channel, num_classes, net_width, net_depth,
  net_act, net_norm, net_pooling, im_size)`` and ``reparam_module.ReparamModule(module)``, called
  with ``flat_param=``.
"""

import importlib
import importlib.util
import sys
from argparse import Namespace
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks import textbook
from benchmarks.cases import CLASSES, LR_NETWORK, MTT_STEP_SIZE, Case, Material
from distillery.methods import _gradient_matching


def _module(folder: str, name: str, needed: tuple[str, ...]) -> ModuleType:
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if importlib.util.find_spec("scipy.ndimage.interpolation") is None:
        # A name that SciPy drops; they import it for an augmentation that is not used here.
        import scipy.ndimage

        sys.modules["scipy.ndimage.interpolation"] = scipy.ndimage
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        sys.exit(f"error: {folder}: {name}.py cannot be imported ({error})")
    missing = [wanted for wanted in needed if not hasattr(module, wanted)]
    if missing:
        sys.exit(f"error: {module.__file__} has no {', '.join(missing)}")
    return module


def prepare(
    folder: str, case: Case, inputs: Material, gate: Any, device: torch.device
) -> Callable[[], None]:
    """The peer's side of a case: a function that runs until the gate stops it. Ends the process
    with one line where ``folder`` lacks a name."""
    if case.kind == "dc":
        utils = _module(folder, "utils", ("get_network", "match_loss", "epoch", "TensorDataset"))
        return lambda: _dc(utils, case, inputs, gate, device)
    theirs = (
        _module(folder, "networks", ("ConvNet",)),
        _module(folder, "reparam_module", ("ReparamModule",)),
    )
    return lambda: _mtt(*theirs, case, inputs, gate, device)


def _dc(utils: ModuleType, case: Case, inputs: Material, gate: Any, device: torch.device) -> None:
    arguments = Namespace(dis_metric="ours", device=str(device))
    criterion = nn.CrossEntropyLoss()
    outer, _ = _gradient_matching.loops(case.ipc)
    members = [(inputs.labels == label).nonzero().flatten() for label in range(CLASSES)]
    synthetic = inputs.initial.clone().requires_grad_()
    optimiser = torch.optim.SGD([synthetic], lr=0.1, momentum=0.5)
    taken = 0
    while True:
        if taken % outer == 0:
            model = utils.get_network(
                "ConvNet", inputs.images.shape[1], CLASSES, tuple(inputs.images.shape[2:])
            )
            if taken == 0:
                textbook.load(model, inputs.params)
            trainer = torch.optim.SGD(model.parameters(), lr=LR_NETWORK)
        taken += 1
        loss = torch.zeros((), device=device)
        for label, rows in enumerate(members):
            real = inputs.images[rows[torch.randperm(len(rows), device=device)][: case.batch]]
            target = [
                g.detach()
                for g in textbook.loss_gradient(
                    model, real, torch.full((len(real),), label, device=device)
                )
            ]
            mine = inputs.targets == label
            loss = loss + utils.match_loss(
                textbook.loss_gradient(
                    model, synthetic[mine], inputs.targets[mine], create_graph=True
                ),
                target,
                arguments,
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert synthetic.grad is not None  # after `backward`
        gradient = synthetic.grad.clone()
        dataset = utils.TensorDataset(synthetic.detach().clone(), inputs.targets)
        loader = torch.utils.data.DataLoader(dataset, batch_size=256, shuffle=True)
        for _ in range(case.inner):
            utils.epoch("train", loader, model, trainer, criterion, arguments, False)
        gate(gradient=gradient)


def _mtt(
    networks: ModuleType,
    reparam: ModuleType,
    case: Case,
    inputs: Material,
    gate: Any,
    device: torch.device,
) -> None:
    steps = min(case.steps, 2)
    while True:
        size = tuple(inputs.initial.shape[2:])
        student = networks.ConvNet(
            inputs.initial.shape[1],
            CLASSES,
            case.width,
            case.network.options["depth"],
            "relu",
            "instancenorm",
            "avgpooling",
            size,
        )
        student = reparam.ReparamModule(student.to(device))
        images = inputs.initial.clone().requires_grad_()
        alpha = torch.tensor(MTT_STEP_SIZE, device=device, requires_grad=True)
        theta = inputs.start.clone().requires_grad_()
        for _ in range(steps):
            loss = functional.cross_entropy(student(images, flat_param=theta), inputs.targets)
            (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)
            theta = theta - alpha * gradient
        (
            (theta - inputs.goal).square().sum() / (inputs.start - inputs.goal).square().sum()
        ).backward()
        gate(gradient=images.grad)
        steps = case.steps
