"""A dataset of a user's own, from its files to the arrays that every job reads."""

import hashlib
import os

import numpy as np
import pytest

from distillery.datasets import _folder, _prepare
from distillery.errors import UserError
from distillery.images import dataset
from tests.unit.datasets import drawn


def prepare(root, *, workers=2, lines=None, **changes):
    settings = drawn.settings(**changes)
    found = _folder.scan("", {"path": str(root)}, settings)
    done = []
    arrays = _prepare.prepare(
        "pets",
        {"path": str(root)},
        settings,
        listing=found.digest(),
        workers=workers,
        progress=lambda total: done.append(-total) or done.append,
        log=(lambda line: None) if lines is None else lines.append,
    )
    assert sum(done) == 0
    return arrays


def refusal(root, **changes):
    with pytest.raises(UserError) as caught:
        prepare(root, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def pets(tmp_path):
    return drawn.folder(tmp_path / "pets", {"cat": 10, "dog": 20, "eel": 5})


def test_pixels_labels_and_facts_are_those_of_the_files(pets):
    arrays = prepare(pets, licence="CC0", home="https://example.org")
    spec = arrays.spec
    assert arrays.train_images.shape == (28, 3, 8, 8) and arrays.test_images.shape == (7, 3, 8, 8)
    assert arrays.train_labels.tolist() == [0] * 8 + [1] * 16 + [2] * 4
    assert spec["counts"] == {"train": [8, 16, 4], "test": [2, 4, 1]}
    assert spec["classes"] == ["cat", "dog", "eel"] and spec["smallest_class"] == 4
    assert (spec["licence"], spec["home"]) == ("CC0", "https://example.org")
    assert spec["notes"] == [] and spec["horizontal_flip"] is True and spec["size"] == 8
    # Every image is there once, as it was written.
    every = [*arrays.train_images, *arrays.test_images]
    given = {drawn.pixels(number).tobytes() for number in range(35)}
    assert {np.moveaxis(image, 0, 2).tobytes() for image in every} == given
    bright = arrays.train_images / 255
    assert spec["mean"] == pytest.approx(bright.mean((0, 2, 3)), abs=1e-6)
    assert spec["std"] == pytest.approx(bright.std((0, 2, 3)), abs=1e-6)
    assert arrays.digests["train_images"] == hashlib.sha256(arrays.train_images).hexdigest()


def test_what_is_written_is_read_as_any_dataset_and_is_the_same_for_any_threads(pets, tmp_path):
    for workers in (1, 5):
        dataset.write(prepare(pets, workers=workers), tmp_path / f"{workers}.safetensors")
    one, five = (tmp_path / f"{workers}.safetensors" for workers in (1, 5))
    assert one.read_bytes() == five.read_bytes()
    read = dataset.load(one)
    assert read.name == "pets" and read.classes == ("cat", "dog", "eel") and read.held_out is None
    assert read.source == "folder" and read.labels.tolist() == [0] * 8 + [1] * 16 + [2] * 4
    # The fraction of each class, as of any dataset.
    assert len(dataset.split(read, 0.25, 0).validation_index) == 2 + 4 + 1


def test_a_copy_with_other_times_gives_the_same_file(pets, tmp_path):
    dataset.write(prepare(pets), tmp_path / "a.safetensors")
    for path in pets.rglob("*.png"):
        os.utime(path, (1, 1))
    dataset.write(prepare(pets), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_validation_part_comes_last_and_is_what_is_held_out(pets, tmp_path):
    arrays = prepare(pets, validation=0.25)
    assert arrays.spec["validation"] == 2 + 4 + 1 and len(arrays.train_labels) == 28
    dataset.write(arrays, tmp_path / "a.safetensors")
    read = dataset.load(tmp_path / "a.safetensors")
    halves = dataset.split(read, 0.1, seed=3)
    assert read.labels[halves.validation_index].tolist() == [0] * 2 + [1] * 4 + [2]
    assert halves.train_index.tolist() == list(range(21))
    assert len(dataset.split(read, 0, 0).validation_index) == 0


@pytest.mark.slow
def test_labels_are_of_eight_bytes_where_one_does_not_hold_them(tmp_path):
    for classes, dtype in ((256, np.uint8), (257, np.int64)):
        root = drawn.folder(tmp_path / str(classes), {f"c{number}": 2 for number in range(classes)})
        arrays = prepare(root, test=0.5)
        assert arrays.train_labels.dtype == arrays.test_labels.dtype == dtype
        assert arrays.train_labels.max() == classes - 1
        dataset.write(arrays, tmp_path / f"{classes}.safetensors")
        assert dataset.load(tmp_path / f"{classes}.safetensors").labels.max() == classes - 1


def test_rectangles_and_grey_images(tmp_path):
    root = drawn.folder(tmp_path, {"a": 3, "b": 3}, height=10, width=20, channels=1)
    arrays = prepare(root, size=[10, 20], channels=1)
    assert arrays.train_images.shape == (4, 1, 10, 20)
    assert list(arrays.spec["size"]) == [10, 20] and arrays.spec["horizontal_flip"] is False
    assert prepare(root, size=[8, 8], channels=1).spec["size"] == 8
    assert prepare(root, channels=1, horizontal_flip=True).spec["horizontal_flip"] is True


# ---- images that cannot be read ------------------------------------------------------------------


def test_images_that_cannot_be_read_end_the_job_each_by_its_name(pets):
    (pets / "cat/3.png").write_bytes(b"no image")
    whole = (pets / "dog/7.png").read_bytes()
    (pets / "dog/7.png").write_bytes(whole[: len(whole) // 2])
    (pets / "eel/1.png").write_bytes(b"")
    text = refusal(pets)
    assert text.startswith("datasets.pets: 3 images cannot be read: cat/3.png (is no image of a k")
    assert "dog/7.png (" in text and "eel/1.png (is empty)" in text
    assert text.endswith("mend or remove them, or leave such images out by `on_error: skip`")


def test_images_that_cannot_be_read_are_skipped_and_named(pets):
    before = prepare(pets)
    (pets / "dog/7.png").write_bytes(b"no image")
    (pets / "eel/4.png").write_bytes(b"no image")
    lines = []
    arrays = prepare(pets, on_error="skip", lines=lines)
    assert len(arrays.train_labels) + len(arrays.test_labels) == 33
    assert sum(arrays.spec["counts"]["train"]) == arrays.spec["train"]
    assert lines == [f"pets: {arrays.spec['notes'][0]}"]
    assert "2 images left out" in lines[0] and "dog/7.png" in lines[0] and "eel/4.png" in lines[0]
    # All others are where they were, in their order.
    kept = [image.tobytes() for image in before.train_images]
    assert [image.tobytes() for image in arrays.train_images] == [
        content for content in kept if content in {image.tobytes() for image in arrays.train_images}
    ]
    bright = arrays.train_images / 255
    assert arrays.spec["mean"] == pytest.approx(bright.mean((0, 2, 3)), abs=1e-6)


def test_a_class_of_which_no_image_can_be_read_is_refused(pets):
    for path in (pets / "eel").iterdir():
        path.write_bytes(b"no image")
    text = refusal(pets, on_error="skip")
    assert text == "datasets.pets: none of the training images of eel can be read"


def test_nothing_is_left_out_of_a_validation_part_unseen(pets):
    """How many images are held out is counted after those that cannot be read."""
    arrays = prepare(pets, validation=0.25)
    held = {image.tobytes() for image in arrays.train_images[-7:]}
    path = next(
        path
        for path in pets.rglob("*.png")
        if np.moveaxis(np.asarray(drawn.Image.open(path)), 2, 0).tobytes() in held
    )
    path.write_bytes(b"no image")
    after = prepare(pets, validation=0.25, on_error="skip")
    assert after.spec["validation"] == 6
    assert {image.tobytes() for image in after.train_images[-6:]} < held


# ---- what a user should know ---------------------------------------------------------------------


def test_images_that_stand_in_two_parts_or_two_classes_are_named(tmp_path):
    root = drawn.folder(tmp_path, {"train/a": 3, "train/b": 3, "test/a": 2, "test/b": 2})
    drawn.write(root / "test/b/leak.png", drawn.pixels(1))
    drawn.write(root / "train/b/both.png", drawn.pixels(0))
    notes = prepare(root).spec["notes"]
    assert notes == [
        "1 test image of the same pixels as a training image, so that test accuracies are too "
        "high: train/a/1.png = test/b/leak.png",
        "1 training image of the same pixels as one of another class: "
        "train/a/0.png = train/b/both.png",
    ]


def test_a_channel_of_one_value_is_reported_and_divides_by_one(tmp_path):
    for number in range(6):
        image = drawn.pixels(number)
        image[..., 2] = 255
        drawn.write(tmp_path / "ab"[number % 2] / f"{number}.png", image)
    spec = prepare(tmp_path, test=0.3).spec
    assert spec["std"][2] == 1 and spec["mean"][2] == 1 and 0 < spec["std"][0] < 1
    assert "all training pixels of channel 2 are equal: they say nothing" in spec["notes"]


def test_what_changed_since_the_run_began_is_not_prepared(pets):
    settings = drawn.settings()
    places = {"path": str(pets)}
    listing = _folder.scan("", places, settings).digest()
    drawn.write(pets / "cat/new.png")
    with pytest.raises(UserError, match="changed since the run began: run snakemake again"):
        _prepare.prepare(
            "pets", places, settings, listing=listing, workers=1, progress=lambda total: print
        )
