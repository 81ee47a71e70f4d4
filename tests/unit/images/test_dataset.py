"""The file of a dataset, its normalisation and its split."""

import numpy as np
import pytest
import torch

from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.store import artefact
from tests.unit.datasets.toys import toy_arrays


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


# ---- some classes alone --------------------------------------------------------------------------


def labelled(labels, **more):
    """A dataset whose images hold their own number."""
    labels = torch.tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    names = ("a", "b", "c")
    terms = {"mean": (0.5,), "std": (0.2,), "licence": "", "source": "", "horizontal_flip": False}
    return data.Dataset("toy", images, labels, images, labels, names, **terms, **more)


def test_a_limit_keeps_the_first_images_of_each_class_in_their_order():
    labels = torch.tensor([1, 0, 1, 2, 1, 0, 2])
    assert data.limited(labels, 2).tolist() == [0, 1, 2, 3, 5, 6]
    assert data.limited(labels, 1).tolist() == [0, 1, 3]
    assert data.limited(labels, 99).tolist() == data.limited(labels, 0).tolist() == list(range(7))


def test_of_some_classes_there_are_their_images_alone_under_their_places():
    whole = labelled([1, 0, 1, 2, 1, 0, 2])
    part = data.of_classes(whole, [2, 1], 0, 0, 0)
    assert part.images.flatten().tolist() == part.test_images.flatten().tolist() == [0, 2, 3, 4, 6]
    assert part.labels.tolist() == part.test_labels.tolist() == [1, 1, 0, 1, 0]
    assert part.classes == ("c", "b") and part.mean == whole.mean and part.held_out is None
    few = data.of_classes(whole, [1], 2, 0, 0)
    assert few.images.flatten().tolist() == [0, 2]
    assert few.test_images.flatten().tolist() == [0, 2, 4]
    assert whole.labels.tolist() == [1, 0, 1, 2, 1, 0, 2]


@pytest.mark.parametrize("own", [None, 7])
def test_of_some_classes_the_same_images_are_held_out_as_of_all(own):
    whole = labelled([0, 1, 2] * 10, held_out=own)
    part = data.of_classes(whole, [2, 0], 0, 0.3, 5)
    parts = data.split(whole, 0.3, 5), data.split(part, 0.3, 5)
    for name in ("train_index", "validation_index"):
        of_all, of_part = (getattr(each, name) for each in parts)
        wanted = [row for row in of_all.tolist() if whole.labels[row] in (0, 2)]
        assert part.images[of_part].flatten().tolist() == wanted and wanted
