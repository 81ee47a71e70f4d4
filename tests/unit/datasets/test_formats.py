"""Each published format is decoded to the same arrays, or refused by the name of its file."""

import gzip
import hashlib
import io
import json
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from distillery.datasets import _archives, _formats, cifar100, svhn
from distillery.errors import UserError
from tests.unit.datasets.toys import (
    COLOUR,
    GREY,
    python2_batch,
    python3_batch,
    same,
    toy,
    write_cifar,
    write_idx,
)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(tmp_path, packed):
    raw = toy(GREY)
    write_idx(tmp_path, raw, packed)
    assert same(_formats.read_idx(_archives.in_folder(tmp_path), GREY), raw)


def test_idx_header_is_the_published_format():
    # Magic 0x00000803 is uint8 in three dimensions, then each size, big-endian.
    content = _formats.raw_bytes(np.zeros((2, 1, 4, 4), np.uint8), "idx")
    assert content[:16] == struct.pack(">4I", 0x803, 2, 4, 4) and len(content) == 16 + 32
    assert _formats.raw_bytes(np.zeros(2, np.uint8), "idx")[:8] == struct.pack(">2I", 0x801, 2)


def test_bad_idx_is_refused_by_name(tmp_path):
    name = _formats.IDX_FILES[0]
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
            _formats.read_idx(_archives.in_folder(tmp_path), GREY)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        _formats.read_idx(_archives.in_folder(tmp_path), GREY)


@pytest.mark.slow
def test_gzip_that_is_cut_short_or_unpacks_to_far_more_is_refused(tmp_path):
    write_idx(tmp_path, toy(GREY), packed=True)
    path = tmp_path / f"{_formats.IDX_FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="cut short"):
        _formats.read_idx(_archives.in_folder(tmp_path), GREY)
    path.write_bytes(gzip.compress(bytes(1 << 24)))
    with pytest.raises(UserError, match="more than 112 bytes"):
        _formats.read_idx(_archives.in_folder(tmp_path), GREY)


def read_toy_cifar(read, spec=COLOUR):
    return _formats.read_cifar(read, spec, ("one", "two"), ("test",), "labels")


@pytest.mark.parametrize(
    "batch", [python2_batch, python3_batch, lambda *a: python3_batch(*a, protocol=4)]
)
def test_cifar_round_trip(tmp_path, batch):
    raw = toy(COLOUR)
    write_cifar(tmp_path, raw, batch)
    assert same(read_toy_cifar(_archives.in_folder(tmp_path)), raw)


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
            read_toy_cifar(_archives.in_folder(tmp_path))
    write_cifar(tmp_path, raw)
    with pytest.raises(UserError, match="two: its MD5"):
        read_toy_cifar(_archives.in_folder(tmp_path), {**COLOUR, "md5": {"two": "0" * 32}})


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
    return _formats.read_png_rows(
        _archives.in_folder(folder),
        COLOUR,
        ("one.png", "two.png"),
        ("test.png",),
        ("train.json", "test.json"),
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
    found = _formats.read_svhn(
        _archives.in_folder(tmp_path), published_mat(tmp_path), "train.mat", "test.mat"
    )
    assert same(found, raw) and 0 in found[1]


def test_bad_svhn_is_refused_by_name(tmp_path):
    raw = toy(COLOUR)
    write_mat(tmp_path / "test.mat", *raw[2:])
    write_mat(tmp_path / "train.mat", raw[0][:5], raw[1])
    read = _archives.in_folder(tmp_path)
    with pytest.raises(UserError, match=r"train.mat: `X` is uint8 \(4, 4, 3, 5\)"):
        _formats.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    write_mat(tmp_path / "train.mat", raw[0], raw[1] + 11)
    with pytest.raises(UserError, match=r"train\.mat: `y`"):
        _formats.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    (tmp_path / "train.mat").write_bytes((tmp_path / "train.mat").read_bytes()[:200])
    with pytest.raises(UserError, match=r"train\.mat: is not a MATLAB file"):
        _formats.read_svhn(read, published_mat(tmp_path), "train.mat", "test.mat")
    with pytest.raises(UserError, match=r"train_32x32\.mat: its MD5"):
        (tmp_path / "train_32x32.mat").write_bytes(b"other")
        _formats.read_svhn(read, svhn.SPEC, *svhn.FILES)


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
        _formats.read_svhn(
            _archives.in_folder(tmp_path), {**COLOUR, "md5": {}}, "train.mat", "test.mat"
        )
    content = (tmp_path / "train.mat").read_bytes()
    (tmp_path / "train.mat").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"train\.mat: its MD5 is "):
        _formats.read_svhn(_archives.in_folder(tmp_path), spec, "train.mat", "test.mat")
