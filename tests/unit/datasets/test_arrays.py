"""Images and labels that come as arrays."""

import os
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from distillery.datasets import _arrays, _prepare
from distillery.errors import UserError
from tests.unit.datasets import drawn

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 10, 3)).astype(np.uint8)
LABELS = np.arange(30) % 3


def settings(**changes):
    return drawn.settings(kind="arrays", **({"size": None} | changes))


def scan(path, **changes):
    return _arrays.scan("config: datasets.pets", {"path": str(path)}, settings(**changes))


def prepare(path, **changes):
    return _prepare.prepare(
        "pets",
        {"path": str(path)},
        settings(**changes),
        listing=scan(path, **changes).digest(),
        workers=2,
        progress=lambda total: lambda number: None,
    )


def every(arrays):
    return np.concatenate([arrays.train_images, arrays.test_images])


def refusal(path, of=scan, **changes):
    with pytest.raises(UserError) as caught:
        of(path, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def npz(path, compress=False, **arrays):
    (np.savez_compressed if compress else np.savez)(path, **arrays)
    return path


def folder(path, **arrays):
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def safetensors(path, **arrays):
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return path


FORMS = {
    "npz": lambda root, **arrays: npz(root / "a.npz", **arrays),
    "npz, compressed": lambda root, **arrays: npz(root / "a.npz", True, **arrays),
    "npy": lambda root, **arrays: folder(root / "a", **arrays),
    "safetensors": lambda root, **arrays: safetensors(root / "a.safetensors", **arrays),
}


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_each_form_gives_the_pixels_and_labels_that_were_written(write, order, tmp_path):
    path = write(tmp_path, images=np.asarray(IMAGES, order=order), labels=LABELS)
    found = scan(path)
    assert found.labels == LABELS.tolist() and found.classes == ["0", "1", "2"]
    assert found.about == {"size": [8, 10], "channels": 3, "layout": "nhwc"}
    arrays = prepare(path)
    assert arrays.train_images.shape == (24, 3, 8, 10) and len(arrays.test_labels) == 6
    given = {(image.tobytes(), label) for image, label in zip(IMAGES, LABELS, strict=True)}
    labels = np.concatenate([arrays.train_labels, arrays.test_labels])
    assert {
        (np.moveaxis(image, 0, 2).tobytes(), label)
        for image, label in zip(every(arrays), labels, strict=True)
    } == given
    assert arrays.spec["kind"] == "arrays" and arrays.source == "arrays"


def test_the_layout_of_medmnist(tmp_path):
    """Six keys, labels (N, 1) uint8, grey images without an axis of channels."""
    random = np.random.default_rng(1)
    parts = {"train": 20, "val": 6, "test": 8}
    arrays = {
        f"{part}_labels": np.arange(n)[:, None].astype(np.uint8) % 2 for part, n in parts.items()
    }
    arrays |= {
        f"{part}_images": random.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        for part, n in parts.items()
    }
    path = npz(tmp_path / "breastmnist.npz", **arrays)
    made = prepare(path, names=["malignant", "normal"])
    assert made.spec["classes"] == ["malignant", "normal"] and made.spec["size"] == 28
    assert (made.spec["train"], made.spec["validation"], made.spec["test"]) == (26, 6, 8)
    assert np.array_equal(made.train_images[:20, 0], arrays["train_images"])
    assert np.array_equal(made.train_images[20:, 0], arrays["val_images"])
    assert np.array_equal(made.test_images[:, 0], arrays["test_images"])
    assert made.test_labels.tolist() == [0, 1] * 4 and not made.spec["horizontal_flip"]


def test_the_names_that_others_have_and_any_that_are_named(tmp_path):
    path = npz(
        tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:6], y_test=LABELS[:6]
    )
    assert prepare(path).spec["test"] == 6
    path = npz(tmp_path / "b.npz", pixels=IMAGES, kind=LABELS, x=IMAGES[:3])
    assert len(scan(path, keys={"images": "pixels", "labels": "kind"}).files) == 30
    assert "keys.labels: " in refusal(path, keys={"labels": "kinds"})
    assert "has no array 'kinds'; did you mean 'kind'? there are" in refusal(
        path, keys={"labels": "kinds"}
    )


@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "<i2", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "?"]
)
def test_labels_of_any_type_that_are_whole(write, dtype, tmp_path):
    labels = (LABELS % 2).astype(dtype)
    assert scan(write(tmp_path, images=IMAGES, labels=labels)).labels == (LABELS % 2).tolist()


def test_labels_of_the_other_byte_order_and_texts(tmp_path):
    path = npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS.astype(">i4"))
    assert scan(path).labels == LABELS.tolist()
    names = np.array(["eel", "Éléphant", "cat"])
    for number, texts in enumerate((names[LABELS], names[LABELS].astype(">U8"))):
        found = scan(npz(tmp_path / f"{number}.npz", images=IMAGES, labels=texts))
        assert found.classes == ["cat", "eel", "Éléphant"]
        assert [found.classes[label] for label in found.labels] == names[LABELS].tolist()


def test_labels_keep_their_order_and_may_leave_numbers_out(tmp_path):
    labels = np.array([10, 2, -1])[LABELS]
    assert scan(npz(tmp_path / "a.npz", images=IMAGES, labels=labels)).classes == ["-1", "2", "10"]
    path = npz(tmp_path / "b.npz", images=IMAGES, labels=np.array([3, 0, 1])[LABELS])
    assert scan(path, names=["z", "y", "x", "w"]).classes == ["z", "y", "w"]


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype, top, given",
    [
        ("f4", 1, None),
        ("f8", 1, None),
        ("u2", 65535, None),
        ("i8", 255, None),
        ("?", 1, None),
        ("f4", 255, [0, 255]),
        ("u1", 16, [0, 16]),
    ],
)
def test_values_become_eight_bits(dtype, top, given, tmp_path):
    steps = np.linspace(0, top, 17).astype(dtype)
    images = np.resize(steps, (30, 8, 8))
    made = prepare(npz(tmp_path / "a.npz", images=images, labels=LABELS), range=given)
    wanted = np.clip(np.rint(steps.astype(float) * 255 / top), 0, 255)
    assert set(np.unique(every(made))) == set(wanted)


def test_values_that_say_nothing_of_black_and_white_are_refused(tmp_path):
    cases = {
        "float32 from -1 to 1, and without `range: [low, high]` 0 is black and 1 white": (
            "f4",
            -1,
            1,
        ),
        "float32 from 0 to 255": ("f4", 0, 255),
        "int32 from -5 to 9": ("i4", -5, 9),
        "float32 from nan to nan": ("f4", np.nan, 1),
    }
    for number, (words, (dtype, low, high)) in enumerate(cases.items()):
        images = np.linspace(low, high, 30 * 64).reshape(30, 8, 8)
        path = npz(tmp_path / f"{number}.npz", images=np.rint(images).astype(dtype), labels=LABELS)
        assert f"datasets.pets.range: the images are {words}" in refusal(path, prepare)


# ---- channels and shapes -------------------------------------------------------------------------


def test_channels_may_come_first_and_grey_becomes_colour(tmp_path):
    path = npz(tmp_path / "a.npz", images=IMAGES.transpose(0, 3, 1, 2), labels=LABELS)
    assert scan(path).about == {"size": [8, 10], "channels": 3, "layout": "nchw"}
    last = npz(tmp_path / "b.npz", images=IMAGES, labels=LABELS)
    assert np.array_equal(prepare(path).train_images, prepare(last).train_images)
    grey = prepare(last, channels=1)
    luma = np.tensordot([0.299, 0.587, 0.114], prepare(last).train_images, (0, 1))
    assert np.abs(grey.train_images[:, 0] - luma).max() <= 0.5
    one = npz(tmp_path / "c.npz", images=IMAGES[..., 0], labels=LABELS)
    three = prepare(one, channels=3).train_images
    assert (three == three[:, :1]).all() and three.shape[1] == 3
    assert "the images have 3, of which 4 cannot be made" in refusal(last, channels=4)


def test_an_axis_that_could_be_another_is_asked_for(tmp_path):
    path = npz(tmp_path / "a.npz", images=np.zeros((30, 3, 9, 3), np.uint8), labels=LABELS)
    assert "which axis of (3, 9, 3) is the axis of channels?" in refusal(path, size=8)
    assert scan(path, size=8, layout="nchw").about["size"] == [9, 3]
    path = npz(tmp_path / "b.npz", images=np.zeros((30, 9, 9, 7), np.uint8), labels=LABELS)
    assert "say nhwc where they come last" in refusal(path)
    assert "which axis of (9, 9, 7) is nhwc?" in refusal(path, layout="nhwc")


def test_arrays_are_resized_each_channel_by_itself(tmp_path):
    """Four channels need not have alpha among them."""
    images = np.concatenate([IMAGES, np.zeros_like(IMAGES[..., :1])], 3)
    path = npz(tmp_path / "a.npz", images=images, labels=LABELS)
    four = prepare(path, size=16)
    three = prepare(npz(tmp_path / "b.npz", images=IMAGES, labels=LABELS), size=16)
    assert four.train_images.shape == (24, 4, 16, 16)
    assert np.array_equal(four.train_images[:, :3], three.train_images)
    assert prepare(path, size=[8, 12], fit="pad").train_images.shape == (24, 4, 8, 12)
    small = npz(tmp_path / "c.npz", images=IMAGES[:, :6], labels=LABELS)
    assert "images of 6 x 10 pixels; say by `size` what they shall become" in refusal(small)


def test_the_digest_is_of_the_file_s_size_and_time(tmp_path):
    path = npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    os.utime(path, (1, 1))
    (digest,) = {scan(path).digest(), scan(path).digest()}
    os.utime(path, (2, 2))
    assert scan(path).digest() != digest
    both = folder(tmp_path / "b", images=IMAGES, labels=LABELS, notes=LABELS)
    assert scan(both).watched == ["images.npy", "labels.npy"]


# ---- what does not fit ---------------------------------------------------------------------------


def test_files_that_hold_no_such_arrays_are_refused(tmp_path):
    assert "there is no file" in refusal(tmp_path / "none.npz")
    (tmp_path / "a.mat").touch()
    assert "arrays come as .npz, .safetensors, or a folder of .npy" in refusal(tmp_path / "a.mat")
    (tmp_path / "empty").mkdir()
    assert "holds no .npy file" in refusal(tmp_path / "empty")
    for name in ("a.npz", "a.safetensors", "b/images.npy"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no array of any kind")
        assert "cannot be read: " in refusal(path if path.suffix != ".npy" else path.parent)
    whole = npz(tmp_path / "c.npz", images=IMAGES, labels=LABELS).read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[: len(whole) // 2])
    assert "c.npz: cannot be read: " in refusal(tmp_path / "c.npz")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00\xff\xff")
    assert "d.npz: cannot be read: " in refusal(tmp_path / "d.npz")
    text = refusal(npz(tmp_path / "e.npz", pictures=IMAGES, labels=LABELS))
    assert "has no array 'images' or of a like name; there are pictures, labels: say which" in text
    text = refusal(npz(tmp_path / "f.npz", images=IMAGES))
    assert "has no array 'labels' or of a like name; there are images" in text
    text = refusal(npz(tmp_path / "g.npz", images=IMAGES, labels=LABELS, test_images=IMAGES))
    assert "has no array 'test_labels'" in text


UNFIT = {
    "labels of another length": (
        {"labels": LABELS[:20]},
        "images holds 30 images, and labels 20 labels",
    ),
    "labels that are no whole numbers": (
        {"labels": LABELS + np.where(LABELS == 2, 0.5, 0)},
        "labels is 2.5 for image 2; labels are whole numbers or texts",
    ),
    "labels that are no numbers": ({"labels": np.full(30, np.nan)}, "labels is nan for image 0"),
    "several labels for each image": (
        {"labels": np.zeros((30, 4))},
        "labels has the shape (30, 4); one label for each image is needed",
    ),
    "labels of objects": (
        {"labels": np.array([None] * 30)},
        "labels is of type |O; whole numbers or texts are needed",
    ),
    "images of one row": ({"images": IMAGES[:, 0, :, 0]}, "images has the shape (30, 10); images,"),
    "complex images": (
        {"images": IMAGES.astype(complex)},
        "images of type <c16; whole or floating",
    ),
    "parts of other shapes": (
        {"test_images": IMAGES[:5, :7], "test_labels": LABELS[:5]},
        "the images of the part test are of shape (7, 10, 3), those of train (8, 10, 3)",
    ),
    "parts of other channels": (
        {"test_images": IMAGES[:5, ..., 0], "test_labels": LABELS[:5]},
        "the images of the part test are of shape (8, 10), those of train (8, 10, 3)",
    ),
}


@pytest.mark.parametrize("changes, words", UNFIT.values(), ids=UNFIT)
def test_arrays_that_do_not_fit_each_other_are_refused(changes, words, tmp_path):
    arrays = {"images": IMAGES, "labels": LABELS, **changes}
    assert words in refusal(npz(tmp_path / "a.npz", **arrays))


def test_names_that_do_not_fit_the_labels_are_refused(tmp_path):
    path = npz(tmp_path / "a.npz", images=IMAGES, labels=LABELS)
    assert "names: has 2, for labels from 0 to 2" in refusal(path, names=["a", "b"])
    assert "names: a name stands twice" in refusal(path, names=["a", "b", "a"])
    texts = npz(tmp_path / "b.npz", images=IMAGES, labels=LABELS.astype(str))
    assert "names: the labels are texts" in refusal(texts, names=["a", "b", "c"])
