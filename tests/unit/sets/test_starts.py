"""The images of a set as the start of another, in the space that is asked for."""

import dataclasses

import pytest
import torch

from distillery.errors import UserError
from distillery.images import whitening
from distillery.images.dataset import Dataset
from distillery.sets import starts
from distillery.sets.synthetic import SyntheticSet, header

CLASSES = ("zero", "one", "two")


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def dataset():
    images = (drawn(30, 1, 8, 8) * 255).to(torch.uint8)
    return Dataset(
        name="digits",
        images=images,
        labels=torch.arange(30) % 3,
        test_images=images[:0],
        test_labels=torch.arange(0),
        classes=CLASSES,
        mean=(0.5,),
        std=(0.25,),
        licence="",
        source="",
        horizontal_flip=False,
    )


def spec(dataset):
    return {
        "name": "digits",
        "channels": 1,
        "size": 8,
        "classes": CLASSES,
        "mean": dataset.mean,
        "std": dataset.std,
    }


def saved(path, dataset, images, labels):
    """A set of ours, in the space of the dataset."""
    cell = {"dataset": "digits", "method": "dc", "init": "real", "ipc": 2, "seed": 0}
    about = header(dataset, cell, settings={}, network=None, iterations=5, code="0123")
    SyntheticSet(images, labels, None, about, dataset.whitening).save(path)
    return {"file": str(path)}


def read(entry, dataset, ipc=2):
    return starts.read(entry, dataset, ipc, "config: starts.mine")


def test_a_set_of_ours_gives_its_own_images(dataset, tmp_path):
    images = dataset.normalise(dataset.images[:6])
    labels = torch.tensor([2, 0, 1, 0, 1, 2])
    entry = saved(tmp_path / "a.safetensors", dataset, images, labels)
    start = read(entry, dataset)
    assert torch.equal(start.images, images[[1, 3, 2, 4, 0, 5]])
    assert start.header["method"] == "dc" and start.header["iterations"] == 5
    # Fewer are the first of each class.
    assert torch.equal(read(entry, dataset, ipc=1).images, images[[1, 2, 0]])


def test_soft_labels_are_the_likeliest_class(dataset, tmp_path):
    images = dataset.normalise(dataset.images[:3])
    labels = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
    entry = saved(tmp_path / "a.safetensors", dataset, images, labels)
    assert torch.equal(read(entry, dataset, ipc=1).images, images[[1, 2, 0]])


@pytest.mark.parametrize("there", ["channel", "whitened", "otherwise"])
@pytest.mark.parametrize("wanted", ["channel", "whitened"])
def test_images_of_any_space_come_into_that_of_the_set_to_be(dataset, tmp_path, there, wanted):
    whitened = dataclasses.replace(dataset, whitening=whitening.fit(dataset.images))
    spaces = {
        "channel": dataset,
        "whitened": whitened,
        "otherwise": dataclasses.replace(dataset, mean=(0.1,), std=(0.9,)),
    }
    source, target = spaces[there], spaces[wanted]
    pictures = dataset.images[:6]
    labels = torch.arange(3).repeat_interleave(2)
    entry = saved(tmp_path / "a.safetensors", source, source.normalise(pictures), labels)
    found = read(entry, target).images
    expected = target.normalise(pictures)
    if there == wanted:
        assert torch.equal(found, expected)
    assert torch.allclose(found, expected, atol=1e-3)


def test_a_released_set_is_read_as_it_is_said_to_be(dataset, tmp_path):
    pictures = dataset.images[:6]
    labels = torch.arange(3).repeat_interleave(2)
    torch.save({"images": pictures.float() / 255, "labels": labels}, tmp_path / "pixels.pt")
    entry = {"file": str(tmp_path / "pixels.pt"), "normalization": "pixels"}
    assert torch.allclose(read(entry, dataset).images, dataset.normalise(pictures), atol=1e-5)
    torch.save(dataset.normalise(pictures), tmp_path / "images.pt")
    torch.save(labels, tmp_path / "labels.pt")
    entry = {"file": str(tmp_path / "images.pt"), "labels": str(tmp_path / "labels.pt")}
    assert torch.equal(read(entry, dataset).images, dataset.normalise(pictures))
    assert read(entry, dataset).header is None


def test_whitened_images_of_others_are_of_the_dataset_s_whitening(dataset, tmp_path):
    whitened = dataclasses.replace(dataset, whitening=whitening.fit(dataset.images))
    images, labels = whitened.normalise(dataset.images[:3]), torch.arange(3)
    torch.save({"images": images, "labels": labels}, tmp_path / "a.pt")
    entry = {"file": str(tmp_path / "a.pt"), "normalization": "zca"}
    assert torch.equal(read(entry, whitened, ipc=1).images, images)
    words = "the file has no whitening to take them back by; give the method `normalization: zca`"
    with pytest.raises(UserError, match=words):
        read(entry, dataset, ipc=1)
    with pytest.raises(UserError, match=words):
        starts.check(entry, spec(dataset), 1, False, "config: starts.mine")
    starts.check(entry, spec(dataset), 1, True, "config: starts.mine")


@pytest.mark.parametrize(
    ("ipc", "change", "words"),
    [
        (3, {}, r"^config: starts\.mine: has 2 images of class 0 \(zero\); ipc 3 needs as many"),
        (1, {"name": "MNIST"}, r"is a set of digits, as its header says, not of MNIST"),
        (1, {"classes": ("a", "b", "c")}, "is a set of digits"),
        (1, {"size": 16}, r"needs \(N, 1, 16, 16\)"),
        (1, {"channels": 3, "mean": (0.5,) * 3, "std": (0.2,) * 3}, "its header does not say"),
    ],
)
def test_a_set_of_something_else_is_refused(dataset, tmp_path, ipc, change, words):
    images = dataset.normalise(dataset.images[:6])
    labels = torch.arange(3).repeat_interleave(2)
    entry = saved(tmp_path / "a.safetensors", dataset, images, labels)
    assert starts.check(entry, spec(dataset), 2, False, "config: starts.mine") == []
    with pytest.raises(UserError, match=words) as caught:
        starts.check(entry, spec(dataset) | change, ipc, False, "config: starts.mine")
    assert "\n" not in str(caught.value)
