"""What users hand over: arrays, tensors, pictures and torch datasets of every usual form."""

import numpy as np
import pytest
import torch
from PIL import Image

from distillery.api import given
from distillery.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
FIRST = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)


class Pairs(torch.utils.data.Dataset):
    """A torch dataset, as torchvision's are."""

    def __init__(self, image, label=int, classes=None):
        self._image, self._label = image, label
        if classes:
            self.classes = classes

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, number):
        if not 0 <= number < len(self):
            raise IndexError
        return self._image(PIXELS[number]), self._label(LABELS[number])


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS.transpose(0, 3, 1, 2),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        torch.from_numpy(PIXELS),
        FIRST,
        FIRST.float() / 255,
        list(PIXELS),
        [Image.fromarray(image) for image in PIXELS],
        list(FIRST),
        PIXELS[::-1][::-1],
    ],
)
def test_images_are_the_same_pixels_whatever_they_are_handed_over_in(images):
    read = given.read(images, LABELS)
    assert torch.equal(read.images, FIRST) and read.images.is_contiguous()
    assert read.labels.tolist() == LABELS and read.labels.dtype == torch.int64
    assert read.classes == ("0", "1", "2") and read.size == (5, 7)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (Image.fromarray, int),
        (lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1) / 255, torch.tensor),
        (lambda pixels: pixels, np.int64),
    ],
)
def test_a_torch_dataset_is_read_pair_by_pair(image, label):
    read = given.read(Pairs(image, label, classes=["a", "b", "c"]))
    assert torch.equal(read.images, FIRST) and read.labels.tolist() == LABELS
    assert read.classes == ("a", "b", "c")


def test_images_without_channels_have_one_and_pictures_lose_their_palette():
    assert given.read(PIXELS[..., 0], LABELS).images.shape == (6, 1, 5, 7)
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    assert given.read([palette], [0]).images[0, :, 0, 0].tolist() == [9, 8, 7]


def test_a_shape_that_leaves_the_channels_open_is_settled_by_the_layout():
    images = np.zeros((2, 3, 8, 4), np.uint8)
    with pytest.raises(UserError, match="give layout='NHWC' or 'NCHW'"):
        given.read(images, [0, 1])
    assert given.read(images, [0, 1], layout="NCHW").images.shape == (2, 3, 8, 4)
    assert given.read(images, [0, 1], layout="NHWC").images.shape == (2, 4, 3, 8)


def test_labels_may_be_texts_in_the_order_of_their_names_or_of_the_classes():
    texts = np.array(["cat", "dog", "ant", "cat", "dog", "ant"])
    read = given.read(PIXELS, texts)
    assert read.classes == ("ant", "cat", "dog") and read.labels.tolist() == [1, 2, 0, 1, 2, 0]
    read = given.read(PIXELS, texts, classes=["dog", "cat", "ant"])
    assert read.labels.tolist() == [1, 0, 2, 1, 0, 2]
    assert given.read(PIXELS, np.array(LABELS)[:, None]).labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("images", "labels", "more", "said"),
    [
        (PIXELS, None, {}, "labels: are missing"),
        ("pictures", None, {}, "images: pictures is a path; read it first"),
        (PIXELS, LABELS[:5], {}, "labels: there are 5 for 6 images"),
        (PIXELS[0, 0], LABELS, {}, r"images: are of shape \(7, 3\)"),
        (PIXELS.astype(np.int32), LABELS, {}, "images: are int32; uint8, or floats"),
        (PIXELS.astype(np.float32), LABELS, {}, r"floats must be in \[0, 1\], not 0 to 255"),
        (PIXELS * np.nan, LABELS, {}, "not nan to nan"),
        (np.zeros((6, 9, 9, 9), np.uint8), LABELS, {}, "no 1 to 4 channels last"),
        (FIRST, LABELS, {"layout": "NHWC"}, "no 1 to 4 channels last"),
        (PIXELS, LABELS, {"layout": "HWC"}, "layout: must be NHWC or NCHW"),
        ([PIXELS[0], PIXELS[1][:3]], [0, 1], {}, "must all be of one shape and type"),
        ([], [], {}, "images: there is none"),
        (PIXELS, [0, 1, 2, 0, 1, -1], {}, "labels: run from -1 to 2; they must be 0 or more"),
        (PIXELS, LABELS, {"classes": ["a", "b"]}, "labels: run from 0 to 2; there are 2 classes"),
        (PIXELS, LABELS, {"classes": ["a", "a", "b"]}, "classes: each name must stand once"),
        (PIXELS, list("abcabd"), {"classes": ["a", "b", "c"]}, "'d' is none of the classes"),
        (PIXELS, np.eye(6), {}, r"labels: are float64 of shape \(6, 6\)"),
        (PIXELS, np.ones(6), {}, "labels: are float64"),
        (list(range(6)), None, {}, "item 0 of the dataset is no"),
    ],
)
def test_what_is_no_labelled_images_is_refused_in_one_line(images, labels, more, said):
    with pytest.raises(UserError, match=said) as caught:
        given.read(images, labels, **more)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([0, 0, 2, 2, 0, 2], None, "class 1 has no image"),
        ([0] * 6, None, "two or more are needed"),
        (LABELS, ["a", "b", "c", "d"], "class d has no image"),
    ],
)
def test_a_class_without_an_image_is_refused(labels, classes, said):
    with pytest.raises(UserError, match=said):
        given.refuse_gaps(given.read(PIXELS, labels, classes=classes))


def test_mean_and_deviation_are_those_of_all_pixels_to_six_digits():
    mean, std = given.statistics(FIRST)
    for channel in range(3):
        values = PIXELS[..., channel] / 255
        assert mean[channel] == pytest.approx(values.mean(), rel=1e-5)
        assert std[channel] == pytest.approx(values.std(), rel=1e-5)
    with pytest.raises(UserError, match=r"channel 0 is 0\.2 in every pixel"):
        given.statistics(torch.full((2, 1, 3, 3), 51, dtype=torch.uint8))
