"""Whitening against its closed form; images there and back; sets that live in whitened space and
stay usable alone."""

import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from distillery import streams
from distillery.datasets import digits
from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.images import normalization, whitening
from distillery.report import charts
from distillery.report import page as report
from distillery.run import job
from distillery.sets import synthetic
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.study.params import RULES
from distillery.study.params import names as names_of_params

ROOT = Path(__file__).resolve().parents[3]
CELL = {"dataset": "digits", "method": "random", "init": "real", "ipc": 1, "seed": 0}


def photographs(count=300, seed=0, shape=(3, 5, 4)):
    """Correlated uint8 images: few patterns, a little noise, and a border that never varies."""
    draw = torch.Generator().manual_seed(seed)
    size = int(np.prod(shape))
    patterns = torch.randn(6, size, generator=torch.Generator().manual_seed(99))
    pixels = (
        0.5
        + 0.15 * torch.randn(count, 6, generator=draw) @ patterns
        + 0.03 * torch.randn(count, size, generator=draw)
    )
    images = normalization.to_bytes(pixels.view(count, *shape))
    images[:, :, 0] = 7
    return images


def textbook(images, eps):
    """Mean, covariance, whitening matrix and its inverse in float64 from the definition (NumPy's
    singular values, not eigenvalues)."""
    rows = images.flatten(1).numpy().astype(np.float64) / 255
    covariance = np.cov(rows, rowvar=False)  # over n - 1, as kornia's
    vectors, values, _ = np.linalg.svd(covariance, hermitian=True)
    return (
        rows.mean(0),
        covariance,
        vectors / np.sqrt(values + eps) @ vectors.T,
        vectors * np.sqrt(values + eps) @ vectors.T,
    )


# ---- the mathematics -----------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0.1, 0.001])
def test_whitened_images_and_their_covariance_are_the_closed_form(eps):
    images = photographs()
    found = whitening.fit(images, eps).apply(images)
    mean, covariance, matrix, _ = textbook(images, eps)
    assert found.dtype == torch.float32 and found.shape == images.shape
    expected = (images.flatten(1).numpy() / 255 - mean) @ matrix
    np.testing.assert_allclose(found.flatten(1).numpy(), expected, atol=2e-4)
    np.testing.assert_allclose(
        np.cov(found.flatten(1).double().numpy(), rowvar=False),
        matrix @ covariance @ matrix,
        atol=1e-4,
    )
    assert found.mean(0).abs().max() < 1e-4


def test_the_covariance_is_over_n_minus_1():
    """With two images of one pixel, 0 and 255, the variance is 1/2, where over n it would be
    1/4."""
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    fitted = whitening.fit(images, 0.1)
    assert fitted.values.item() == pytest.approx(0.5) and fitted.mean.item() == 0.5
    assert fitted.apply(images).flatten().tolist() == pytest.approx(
        [-0.5 / 0.6**0.5, 0.5 / 0.6**0.5]
    )


def test_images_come_back():
    images = photographs()
    fitted = whitening.fit(images)
    back = fitted.invert(fitted.apply(images))
    torch.testing.assert_close(back, images / 255, rtol=0, atol=1e-5)
    # Any image does, also what no whitening gives and no screen shows.
    far = torch.randn(5, 3, 5, 4, generator=torch.Generator().manual_seed(1))
    found = fitted.invert(far)
    assert found.min() < 0 and found.max() > 1
    torch.testing.assert_close(fitted.apply(found), far, rtol=0, atol=1e-4)
    mean, _, _, inverse = textbook(images, 0.1)
    np.testing.assert_allclose(
        found.flatten(1).numpy(), far.flatten(1).numpy() @ inverse + mean, atol=1e-4
    )


def test_no_images_are_none_there_and_back():
    # A study without validation images has none to whiten.
    fitted = whitening.fit(photographs(), 0.1)
    none = fitted.apply(photographs()[:0])
    assert none.shape == fitted.invert(none).shape == (0, 3, 5, 4)


def test_pixels_as_bytes_and_as_floats_are_the_same_images():
    images = photographs(20)
    fitted = whitening.fit(images)
    torch.testing.assert_close(fitted.apply(images / 255), fitted.apply(images))


def test_neither_blocks_nor_the_order_of_images_change_the_covariance(monkeypatch):
    """Sums of products of whole numbers are exact, so not even the last bit."""
    images = photographs(100)
    whole = whitening.fit(images)
    monkeypatch.setattr(whitening, "_BLOCK", 7)
    parts = whitening.fit(images[torch.randperm(100, generator=torch.Generator().manual_seed(2))])
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, parts.tensors[name]), name
    torch.testing.assert_close(parts.apply(images), whole.apply(images))


def test_a_whitening_comes_back_from_its_file_and_the_same_images_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        whitening.fit(photographs()).save(tmp_path / name, {"dataset": "toy"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    fitted, found = whitening.fit(photographs()), whitening.given([tmp_path / "a"])
    assert torch.equal(found.apply(photographs()), fitted.apply(photographs()))
    # The digest that a set names is the one that the whitening's file states.
    assert found.normalization == {
        "kind": "zca",
        "eps": 0.1,
        "whitening": artefact.digests([tmp_path / "a"])[0],
    }
    assert whitening.given([]) is None
    artefact.save(tmp_path / "c", {"images": torch.zeros(1)}, {})
    with pytest.raises(UserError, match=r"c: is not a whitening.*the rule whiten"):
        whitening.load(tmp_path / "c")


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(5, 3, 4, 4),
        torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
        torch.zeros(5, 4, 4, dtype=torch.uint8),
    ],
)
def test_what_cannot_be_fitted_is_refused(images):
    with pytest.raises(UserError, match=r"uint8 \(N, C, H, W\) with N > 1 is needed"):
        whitening.fit(images)


def test_images_of_another_shape_and_an_eps_of_nothing_are_refused():
    with pytest.raises(UserError, match=r"fitted on images of shape \(3, 5, 4\)"):
        whitening.fit(photographs()).apply(photographs(shape=(3, 4, 5)))
    with pytest.raises(UserError, match="eps must be above 0"):
        whitening.fit(photographs(), 0)


def test_an_unknown_space_and_a_whitening_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="unknown kind 'pca'; known are channel, zca"):
        normalization.normalise(photographs(), {"kind": "pca"})
    with pytest.raises(UserError, match="the whitening is not there"):
        normalization.pixels(torch.zeros(1, 3, 5, 4), {"kind": "zca", "eps": 0.1, "whitening": "0"})


# ---- sets ----------------------------------------------------------------------------------------


@pytest.fixture
def toy():
    """A dataset that its networks see whitened."""
    images = photographs(40)
    source = data.Dataset(
        "toy",
        images,
        torch.arange(40) % 2,
        photographs(10, 5),
        torch.arange(10) % 2,
        ("a", "b"),
        (0.5,) * 3,
        (0.2,) * 3,
        "",
        "",
        False,
    )
    source.whitening = whitening.fit(images)
    return source


def set_of(source, images, labels, **cell):
    about = synthetic.header(
        source,
        {**CELL, "dataset": "toy", **cell},
        settings={},
        network=None,
        iterations=0,
        code="c0de",
    )
    return SyntheticSet(images, labels, None, about, source.whitening)


def test_a_whitened_set_is_usable_alone(toy, tmp_path):
    set_of(toy, toy.normalise(toy.images[:4]), toy.labels[:4]).save(tmp_path / "set.safetensors")
    found = SyntheticSet.load(tmp_path / "set.safetensors")
    assert torch.equal(found.pixels(), toy.images[:4])
    assert torch.equal(found.normalise(toy.test_images), toy.whitening.apply(toy.test_images))
    torch.testing.assert_close(
        toy.denormalise(found.images), toy.images[:4] / 255, rtol=0, atol=1e-5
    )
    assert found.header["normalization"] == toy.whitening.normalization


def test_a_set_without_its_whitening_or_with_another_is_refused(toy):
    whitened = set_of(toy, toy.normalise(toy.images[:4]), toy.labels[:4])
    with pytest.raises(UserError, match="the whitening is not there"):
        SyntheticSet(whitened.images, whitened.labels, None, whitened.header)
    with pytest.raises(UserError, match="the whitening is another one"):
        SyntheticSet(
            whitened.images,
            whitened.labels,
            None,
            whitened.header,
            whitening.fit(photographs(40, 3)),
        )


def test_a_set_that_is_not_whitened_carries_nothing_and_is_as_it_was(toy, tmp_path):
    toy.whitening = None
    plain = set_of(toy, toy.normalise(toy.images[:4]), toy.labels[:4])
    plain.save(tmp_path / "set.safetensors")
    tensors, header = artefact.load(tmp_path / "set.safetensors", rule="distill")
    assert tensors.keys() == {"images", "labels"} and header["normalization"] == {
        "kind": "channel",
        "mean": [0.5] * 3,
        "std": [0.2] * 3,
    }
    assert torch.equal(
        plain.normalise(toy.test_images), toy.normalise(toy.test_images)
    ) and torch.equal(plain.pixels(), toy.images[:4])


@pytest.mark.slow
def test_the_report_shows_whitened_sets_and_their_snapshots_in_pixel_space(
    toy, tmp_path, monkeypatch
):
    whitened = set_of(toy, toy.normalise(toy.images[:2]), toy.labels[:2], method="mtt")
    whitened.save(tmp_path / "set.safetensors")
    frames = {
        "images": torch.stack([whitened.images, toy.normalise(toy.images[2:4])]),
        "iterations": torch.tensor([0, 9]),
    }
    artefact.save(tmp_path / "evolution.safetensors", frames, whitened.header)
    shown = []
    strip = charts.strip
    monkeypatch.setattr(
        charts,
        "strip",
        lambda pixels: shown.append(np.round(pixels * 255).astype(np.uint8)) or strip(pixels),
    )
    report.build(
        metrics=[],
        costs=[],
        sets=[tmp_path / "set.safetensors"],
        evolutions=[tmp_path / "evolution.safetensors"],
        data=[],
        config={},
        output=tmp_path / "report.html",
        provenance={},
    )
    tables = [images.reshape(-1, *images.shape[-3:]) for images in shown]
    assert {image.tobytes() for images in tables for image in images} >= {
        image.numpy().tobytes() for image in toy.images[:4]
    }
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "whitened (ZCA), shown as pixels" in page and "stretched to its own range" not in page


# ---- the jobs ------------------------------------------------------------------------------------


def script(name):
    """The function of a workflow script."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"workflow/scripts/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


class Names(types.SimpleNamespace):
    """As Snakemake hands inputs and outputs to a script."""

    def keys(self):
        return vars(self).keys()

    def items(self):
        return vars(self).items()


def asked(rule, job=(), **params):
    """What a study asks of a job on the digits."""
    shared = {"code": "c0de", "seed": 0, "network": NETWORK, "compute": COMPUTE, "teacher": None}
    shared["checkpoint"] = "/nowhere/state.safetensors"  # written after a minute at the earliest
    known = {name: value for name, value in shared.items() if name in names_of_params(rule)}
    return RULES[rule](job={"dataset": "digits", **dict(job)}, **{**known, **params})


@pytest.fixture(scope="module")
def run():
    return job.Run(torch.device("cpu"), None)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A dataset file as small as the digits' shape allows: images that differ by class."""
    folder = tmp_path_factory.mktemp("images")
    draw, arrays, spec = (
        np.random.default_rng(0),
        {},
        {**digits.SPEC, "train": 200, "test": 50, "smallest_class": 20},
    )
    for part in ("train", "test"):
        labels = (np.arange(spec[part]) % 10).astype(np.uint8)
        pixels = draw.integers(0, 60, (spec[part], 1, 8, 8))
        for row, label in enumerate(labels):
            pixels[row, 0, label % 4 : label % 4 + 4, label // 4 : label // 4 + 3] += 150
        arrays |= {f"{part}_images": pixels.astype(np.uint8), f"{part}_labels": labels}
    data.write(
        data.Arrays(spec=spec, **arrays, source="test", digests={}), folder / "dataset.safetensors"
    )
    return folder / "dataset.safetensors", arrays, spec


def whitened(images, folder, validation=0.1):
    path = folder / "whitening.safetensors"
    run = job.Run(torch.device("cpu"), None)
    outputs = Names(whitening=path)
    script("whiten")(run, asked("whiten", validation=validation), Names(data=images), outputs)
    return path


def fitted(path):
    """What was fitted. The header says which file was read, and so differs with the rest of it."""
    tensors, header = artefact.load(path, rule="whiten")
    return artefact.digest(tensors), header["images"]


def test_a_whitening_is_fitted_to_the_images_that_distillation_sees_and_to_no_other(
    images, tmp_path
):
    path, arrays, spec = images
    dataset = data.load(path)
    rows = data.split(dataset, 0.1, 0).train_index
    expected = whitening.fit(dataset.images[rows])
    first = whitened(path, tmp_path)
    assert (
        0 < len(rows) < len(dataset.images) == 200
        and whitening.load(first).normalization == expected.normalization
    )
    before = fitted(first)
    # Neither the test images nor those held out have a say.
    held = data.split(dataset, 0.1, 0).validation_index.numpy()
    changed = {name: array.copy() for name, array in arrays.items()}
    changed["test_images"][:] = 255 - changed["test_images"]
    changed["train_images"][held] = 0
    data.write(
        data.Arrays(spec=spec, **changed, source="test", digests={}),
        tmp_path / "changed.safetensors",
    )
    assert fitted(whitened(tmp_path / "changed.safetensors", tmp_path)) == before
    changed["train_images"][int(rows[0])] = 0
    data.write(
        data.Arrays(spec=spec, **changed, source="test", digests={}),
        tmp_path / "changed.safetensors",
    )
    assert fitted(whitened(tmp_path / "changed.safetensors", tmp_path)) != before
    assert (
        whitening.load(whitened(path, tmp_path, 0)).normalization
        == whitening.fit(dataset.images).normalization
    )


NETWORK = {
    "name": "ConvNet",
    "channels": 1,
    "size": 8,
    "classes": 10,
    "options": {"width": 4, "depth": 1},
}
COMPUTE = {"precision": "float32", "compile": "off", "threads": 1}


def distilled(run, path, given, folder):
    names = (
        "synthetic.safetensors",
        "evolution.safetensors",
        "synthetic.png",
        "metrics.csv",
        "cost.json",
    )
    outputs = Names(
        **{
            name: str(folder / file)
            for name, file in zip(
                ("synthetic", "evolution", "picture", "metrics", "cost"), names, strict=True
            )
        }
    )
    folder.mkdir(exist_ok=True)
    script("distill")(
        run,
        asked(
            "distill",
            cell=dict(CELL),
            start=None,
            module=CELL["method"],
            source=f"methods/{CELL['method']}.py",
            settings={},
            protocol=None,
            snapshots=1,
            validation=0.1,
            checkpoint=str(folder / "checkpoint.safetensors"),
        ),
        Names(data=path, whitening=given, experts=[]),
        outputs,
    )
    return outputs


def test_distill_whitens_where_it_is_given_a_whitening_and_shows_what_it_made_in_pixel_space(
    run, images, tmp_path
):
    path = images[0]
    plain = distilled(run, path, [], tmp_path / "plain")
    other = distilled(run, path, [whitened(path, tmp_path)], tmp_path / "whitened")
    sets = [SyntheticSet.load(outputs.synthetic) for outputs in (plain, other)]
    assert sets[0].whitening is None and sets[0].header["normalization"]["kind"] == "channel"
    assert (
        sets[1].header["normalization"]
        == whitening.load(tmp_path / "whitening.safetensors").normalization
    )
    # The coreset is the same images, each in its own space; and so is the picture.
    assert torch.equal(sets[0].pixels(), sets[1].pixels()) and not torch.allclose(
        sets[0].images, sets[1].images, atol=0.1
    )
    torch.testing.assert_close(sets[1].normalise(sets[0].pixels()), sets[1].images)
    pictures = [np.asarray(Image.open(outputs.picture)) for outputs in (plain, other)]
    assert np.array_equal(*pictures) and pictures[0].std() > 10
    # Snapshots say which whitening they are of and do not repeat it.
    tensors, about = artefact.load(other.evolution, rule="distill")
    assert about["normalization"] == sets[1].header["normalization"] and tensors.keys() == {
        "images",
        "iterations",
    }


SETTINGS = {
    "epochs": 15,
    "lr": 0.02,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch": 10,
    "decay": "half",
    "augment": "none",
    "models": 2,
    "curve": 0,
}


@pytest.mark.slow
def test_a_whitened_set_is_tested_on_test_images_that_are_whitened_alike(
    run, images, tmp_path, monkeypatch
):
    path = images[0]
    outputs = distilled(run, path, [whitened(path, tmp_path)], tmp_path / "set")
    seen = {}
    module = importlib.import_module("distillery.evaluation.evaluate")
    measure, select = module.measure, module.select

    def measured(bench, recipe, images, splits, *rest):
        seen.update(test=splits["test"].images, validation=splits["validation"].images)
        return measure(bench, recipe, images, splits, *rest)

    def selected(bench, snapshots, held, tested, *rest):
        seen.update(held=held.images, selected_test=tested.images)
        return select(bench, snapshots, held, tested, *rest)

    monkeypatch.setattr(module, "measure", measured)
    monkeypatch.setattr(module, "select", selected)
    settings = {
        **SETTINGS,
        "selection": {"models": 1, "test": True},
        "labels": ["own"],
        "first": [],
    }
    script("evaluate_synthetic")(
        run,
        asked("evaluate_synthetic", cell=dict(CELL), settings=settings, validation=0.1),
        Names(data=path, synthetic=outputs.synthetic, evolution=outputs.evolution, experts=[]),
        Names(
            metrics=str(tmp_path / "metrics.csv"),
            confusion=str(tmp_path / "confusion.safetensors"),
        ),
    )
    dataset, fitted = data.load(path), whitening.load(tmp_path / "whitening.safetensors")
    held = data.split(dataset, 0.1, 0).validation_index
    assert torch.equal(seen["test"], fitted.apply(dataset.test_images)) and torch.equal(
        seen["selected_test"], seen["test"]
    )
    assert torch.equal(seen["held"], fitted.apply(dataset.images[held]))


@pytest.mark.slow
def test_continual_learning_sees_real_images_as_its_memory_set_is(
    run, images, tmp_path, monkeypatch
):
    path = images[0]
    given = [whitened(path, tmp_path)]
    memory = distilled(run, path, given, tmp_path / "set").synthetic
    dataset, fitted = data.load(path), whitening.load(given[0])
    settings = {
        "epochs": 1,
        "afterwards_epochs": 1,
        "afterwards_batch": 20,
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 0,
        "batch": 50,
        "augment": "none",
        "models": 1,
        "images_per_class": 0,
        "replay_batch": 5,
    }
    module = importlib.import_module("distillery.evaluation.continual")
    seen, learn, afterwards = [], module.learn, module.afterwards
    monkeypatch.setattr(
        module,
        "learn",
        lambda *a, **k: seen.append((a[3].images, a[4].images)) or learn(*a, **k),
    )
    monkeypatch.setattr(
        module,
        "afterwards",
        lambda *a, **k: seen.append((a[2].images, a[4].images)) or afterwards(*a, **k),
    )

    left = str(tmp_path / "finetuned.safetensors")

    def learned(rule, strategy, **inputs):
        groups = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
        about = {"strategy": strategy, "memory": "given", "steps": "2", "order": "0"}
        params = asked(rule, about, groups=groups, settings=settings)
        outputs = Names(metrics=str(tmp_path / "metrics.csv"), finetuned=left)
        script(rule)(run, params, Names(data=path, **inputs), outputs)

    learned("continual_alone", "finetune", whitening=given)
    learned("continual_memory", "replay", memory=[memory], finetuned=[])
    learned("continual_memory", "afterwards", memory=[memory], finetuned=[left])
    learned("continual_alone", "finetune", whitening=[])
    real, test = fitted.apply(dataset.images), fitted.apply(dataset.test_images)
    for (shown, tested), expected in zip(seen[:2], [real, real], strict=True):
        assert torch.equal(shown, expected) and torch.equal(tested, test)
    assert torch.equal(seen[2][0], SyntheticSet.load(memory).images) and torch.equal(
        seen[2][1], test
    )
    assert torch.equal(seen[3][0], dataset.normalise(dataset.images))


def test_experts_learn_from_whitened_images(run, images, tmp_path, monkeypatch):
    path = images[0]
    given = [whitened(path, tmp_path)]
    module, seen = importlib.import_module("distillery.training.experts"), []
    train = module.train_experts
    monkeypatch.setattr(
        module, "train_experts", lambda *a, **k: seen.append(a[2].images) or train(*a, **k)
    )
    settings = {
        "epochs": 1,
        "lr": 0.01,
        "momentum": 0,
        "weight_decay": 0,
        "batch": 50,
        "augment": "none",
    }
    script("train_experts")(
        run,
        asked(
            "train_experts",
            {"recipe": "zca"},
            numbers=[0],
            settings=settings,
            validation=0.1,
            checkpoint=str(tmp_path / "checkpoint.safetensors"),
        ),
        Names(data=path, whitening=given),
        Names(
            trajectories=str(tmp_path / "trajectories.safetensors"),
            metrics=str(tmp_path / "metrics.csv"),
        ),
    )
    dataset = data.load(path)
    assert torch.equal(
        seen[0],
        whitening.load(given[0]).apply(dataset.images[data.split(dataset, 0.1, 0).train_index]),
    )


def test_a_released_set_that_is_said_to_be_whitened_takes_the_whitening_with_it(images, tmp_path):
    path = images[0]
    given = [whitened(path, tmp_path, 0)]
    released = torch.randn(10, 1, 8, 8, generator=streams.generator(0, "released"))
    torch.save({"data": [[released, torch.arange(10)]]}, tmp_path / "released.pt")
    entry = {
        "name": "released",
        "dataset": "digits",
        "file": str(tmp_path / "released.pt"),
        "ipc": 1,
        "sets": 1,
        "normalization": "zca",
    }
    cell = {**CELL, "method": "released", "init": "imported"}
    script("import_synthetic")(
        job.Run(torch.device("cpu"), None),
        asked("import_synthetic", cell=cell, entry=entry),
        Names(data=path, whitening=given, files=[entry["file"]]),
        Names(synthetic=tmp_path / "set.safetensors"),
    )
    found, dataset = SyntheticSet.load(tmp_path / "set.safetensors"), data.load(path)
    assert torch.equal(found.images, released) and torch.equal(
        found.normalise(dataset.test_images), whitening.load(given[0]).apply(dataset.test_images)
    )
