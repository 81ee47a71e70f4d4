"""What methods share: their task, their start, their view of the real images by class."""

import importlib
from dataclasses import replace

import pytest
import torch

from distillery import networks, plugins
from distillery.errors import UserError
from distillery.methods import (
    base,
    dc,
    dm,
    dsa,
    herding,
    mtt,
    ncfm,
    tesla,
)
from distillery.networks import NetworkSpec
from distillery.store import tree
from tests.unit.methods.conftest import CLASSES, SIZE, SPEC, blobs, run, task_of


def test_every_method_declares_settings_whose_defaults_its_own_schema_accepts():
    import jsonschema

    found = plugins.methods()
    assert {"dc", "dsa", "dm", "mtt", "tesla", "ncfm", "random", "herding"} <= set(found)
    for name, method in found.items():
        for setting, schema in method.settings.items():
            assert schema["description"], (name, setting)
            jsonschema.validate(schema["default"], schema)
    assert found["mtt"].needs_experts and not found["dc"].needs_experts
    assert {"random", "herding"} <= {name for name, method in found.items() if method.is_coreset}
    assert not found["dc"].is_coreset and not found["mtt"].is_coreset


QUICK = {
    "iterations": 2,
    "outer": 1,
    "inner": 1,
    "syn_steps": 2,
    "expert_epochs": 1,
    "max_start_epoch": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, method in plugins.methods().items() if not method.is_coreset]
)
def test_noise_starts_more_images_of_a_class_than_there_are_real_ones(experts, name):
    module = importlib.import_module(f"distillery.methods.{name}")
    changes = {key: value for key, value in QUICK.items() if key in module.SETTINGS}
    result, _ = run(module, ipc=7, data=blobs(a_class=3), experts=experts, **changes)
    assert len(result.images) == 7 * CLASSES and torch.isfinite(result.images).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, method in plugins.methods().items() if not method.is_coreset]
)
def test_a_step_leaves_the_state_before_it_and_the_task_as_they_are(experts, name):
    """But for the generators that the state holds."""
    module = importlib.import_module(f"distillery.methods.{name}")
    changes = {key: value for key, value in QUICK.items() if key in module.SETTINGS} | {
        key: value
        for key, value in {"outer": 2, "lr_labels": 0.5, "sampling": "learned"}.items()
        if key in module.SETTINGS
    }
    task = task_of(module, ipc=2, experts=experts, **changes)
    initial, method = task.initial.clone(), module.build(task)
    state = method.init()
    for t in (1, 2):
        before = {key: value.clone() for key, value in tree.take_apart(state)[0].items()}
        after, _ = method.step(state, t)
        for key, value in tree.take_apart(state)[0].items():
            assert key.startswith("streams/") or torch.equal(value, before[key]), key
        state = after
    assert torch.equal(task.initial, initial)
    assert not torch.equal(method.result(after).images, initial)


def test_real_start_takes_different_training_images_of_the_right_class():
    images, labels = blobs()
    ipc = 7
    start = base.initial_images(
        "real", images, labels, CLASSES, ipc, torch.Generator().manual_seed(1)
    )
    assert start.shape == (CLASSES * ipc, 1, SIZE, SIZE)
    numbers = [(images == row).flatten(1).all(1).nonzero().item() for row in start]
    assert len(set(numbers)) == len(numbers)
    assert torch.equal(labels[numbers], base.synthetic_labels(CLASSES, ipc))
    other = base.initial_images(
        "real", images, labels, CLASSES, ipc, torch.Generator().manual_seed(2)
    )
    assert not torch.equal(start, other)


def test_real_start_can_take_a_whole_class_and_no_more():
    images, labels = blobs(a_class=4)
    start = base.initial_images(
        "real", images, labels, CLASSES, 4, torch.Generator().manual_seed(1)
    )
    for c in range(CLASSES):
        assert torch.allclose(
            start[4 * c : 4 * c + 4].sum(0), images[labels == c].sum(0), atol=1e-5
        )
    with pytest.raises(UserError, match="has only 4"):
        base.initial_images("real", images, labels, CLASSES, 5, torch.Generator())


def test_noise_start_is_standard_gaussian():
    images, labels = torch.zeros(3, 3, 32, 32), torch.arange(3)
    noise = base.initial_images(
        "noise", images, labels, CLASSES, 20, torch.Generator().manual_seed(1)
    )
    assert noise.dtype == torch.float32 and noise.shape == (60, 3, 32, 32)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert float((noise**4).mean()) == pytest.approx(3, abs=0.1)


def test_unknown_start_and_empty_class_are_refused():
    images, labels = blobs()
    with pytest.raises(UserError, match="real, noise"):
        base.initial_images("zeros", images, labels, CLASSES, 1, torch.Generator())
    with pytest.raises(UserError, match="class 3"):
        base.ClassIndex(labels, CLASSES + 1)


def test_real_batches_are_of_their_class_without_repeats_and_weigh_one():
    labels = torch.tensor([0, 1, 0, 0, 1, 2, 0, 0])
    index = base.ClassIndex(labels, 3)
    chosen, weights = index.draw(4, torch.Generator().manual_seed(0))
    assert chosen.shape == weights.shape == (3, 4)
    assert torch.allclose(weights.sum(1), torch.ones(3))
    assert (weights > 0).sum(1).tolist() == [4, 2, 1]
    for c in range(3):
        assert (labels[chosen[c]] == c).all()
        used = chosen[c][weights[c] > 0].tolist()
        assert len(set(used)) == len(used)


@pytest.mark.parametrize(
    "size, channels, name",
    [(28, 1, "ConvNet"), (32, 3, "ConvNet"), (28, 1, "AlexNet"), (28, 1, "LeNet")],
)
def test_the_network_that_distils_is_the_network_that_was_asked_for(size, channels, name):
    options = {"width": 4} if name == "ConvNet" else {}
    spec = NetworkSpec(name, channels, size, 3, options)
    ours = base.network(spec, torch.device("cpu"))
    plain = networks.build(name, channels=channels, size=size, classes=3, **spec.options)
    params = base.fresh_parameters(ours, torch.Generator().manual_seed(0))
    assert list(params) == [parameter for parameter, _ in plain.named_parameters()]
    plain.load_state_dict(params)
    images = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(ours(images), plain(images), atol=1e-5)


@pytest.mark.parametrize("module", [dc, dm, dsa, mtt, ncfm, tesla, herding])
def test_batch_normalisation_is_refused(module, experts):
    spec = replace(SPEC, options={"width": 8, "depth": 2, "norm": "batch"})
    with pytest.raises(UserError, match="batch normalisation"):
        run(module, network=spec, experts=experts)


def test_siamese_augmentation_changes_real_and_synthetic_images_alike_and_returns_derivatives():
    images = torch.randn(
        CLASSES, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    for seed in range(6):  # six draws meet several of the operations
        siamese = base.Siamese("dsa", CLASSES, torch.Generator().manual_seed(seed), images[0], True)
        seen, pull = siamese.synthetic(images)
        assert all(torch.equal(seen[c], siamese.real(c, images[c])) for c in range(CLASSES))
        weights = torch.randn(
            images.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64
        )
        leaf = images.clone().requires_grad_()
        (expected,) = torch.autograd.grad((siamese.synthetic(leaf)[0] * weights).sum(), leaf)
        assert torch.allclose(pull(weights), expected, atol=1e-12)
    assert not torch.equal(seen, images)


def test_no_siamese_augmentation_draws_nothing():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    images = torch.randn(CLASSES, 2, 1, 8, 8)
    seen, _ = base.Siamese("none", CLASSES, generator, images[0], False).synthetic(images)
    assert seen is images and torch.equal(generator.get_state(), before)
