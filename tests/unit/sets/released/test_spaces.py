"""Logits for labels and the spaces of images are distinguished, or named."""

import pytest
import torch
from sklearn.datasets import load_digits

from distillery import plugins
from distillery.errors import UserError
from distillery.images.normalization import normalise
from distillery.images.whitening import fit
from distillery.sets.released import read as released
from distillery.sets.synthetic import SyntheticSet
from tests.unit.sets.released.toys import IMAGES, LABELS, WHERE, check, put, read, refusal, result


@pytest.fixture(scope="module")
def digits():
    """The images, (1797, 1, 8, 8) in [0, 1], the labels, and the spec."""
    bunch = load_digits()
    return (
        torch.tensor(bunch.images).float()[:, None] / 16,
        torch.tensor(bunch.target),
        plugins.datasets()["digits"].spec,
    )


def first_of_each(images, labels):
    return torch.stack([images[labels == number][0] for number in range(10)])


def normalised(images, spec):
    return (images - spec["mean"][0]) / spec["std"][0]


def entry_of(path, dataset="digits", ipc=1, **more):
    return {"name": "theirs", "dataset": dataset, "file": str(path), "ipc": ipc, **more}


def trained(images, labels, tests, answers):
    """The accuracy of a linear model that is trained on a set."""
    weights = torch.zeros(64, 10, requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(
            torch.nn.functional.cross_entropy(images.flatten(1) @ weights, labels), weights
        )
        weights = (weights - 0.1 * gradient).detach().requires_grad_()
    return float(((tests.flatten(1) @ weights).argmax(1) == answers).float().mean())


@pytest.mark.slow
def test_logits_are_refused_and_with_the_key_train_as_their_probabilities_do(tmp_path, digits):
    images, labels, spec = digits
    ten, logits = (
        normalised(first_of_each(images, labels), spec),
        torch.eye(10) * 9 - 0.9,
    )  # rows that sum to 0
    file, beside = put(tmp_path, ten, "images_best.pt"), put(tmp_path, logits, "labels_best.pt")
    entry = entry_of(file, labels=str(beside))
    for call in (released.check, released.read):
        line = refusal(call, entry, spec, where=WHERE)
        assert line.startswith(
            "labels_best.pt: soft labels are no probabilities (lowest -0.9, rows that sum to "
        )
        assert line.endswith("; if they are logits, `labels_are: logits` takes their softmax")
    found = released.read({**entry, "labels_are": "logits"}, spec, where=WHERE)
    assert torch.equal(found.labels, logits.double().softmax(1).float()) and torch.equal(
        found.images, ten
    )
    tests = normalised(images, spec)
    right, wrong = trained(ten, found.labels, tests, labels), trained(ten, logits, tests, labels)
    assert right == trained(ten, logits.softmax(1), tests, labels) > 0.5 and right > wrong


def test_labels_are_said_to_be_logits_only_where_they_are(tmp_path):
    soft = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.75, 0.25]])
    assert (
        "labels are probabilities already, and a softmax would blur them; drop `labels_are`"
        in refusal(check, put(tmp_path, result([IMAGES, soft])), labels_are="logits")
    )
    assert "labels are one class an image, not logits" in refusal(
        check, put(tmp_path, result([IMAGES, LABELS])), labels_are="logits"
    )
    logarithms = put(
        tmp_path, result([IMAGES, soft.log()])
    )  # of probabilities, whose softmax gives them back
    assert "labels_are: logits" in refusal(check, logarithms)
    assert torch.allclose(read(logarithms, labels_are="logits")[1], soft)


@pytest.mark.parametrize(
    "rows",
    (
        [[0.5, 0.6], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
        [[1.5, -0.5], [1, 0], [1, 0], [1, 0]],
        [[5, 5], [5, 5], [5, 5], [5, 5]],
    ),
    ids=str,
)
def test_soft_labels_that_are_no_probabilities_are_no_set_of_ours_either(tmp_path, rows):
    soft = torch.tensor(rows, dtype=torch.float32)
    assert "no probabilities" in refusal(check, put(tmp_path, result([IMAGES, soft])))
    header = {"classes": ["a", "b"]}
    with pytest.raises(UserError, match="soft labels are no probabilities"):
        SyntheticSet(IMAGES, soft, None, header)
    SyntheticSet(
        IMAGES, torch.softmax(soft.bfloat16(), 1).float(), None, header
    )  # what rounds off is no fault


def spaces(digits):
    """Ten real digits in each space that files are found in."""
    images, labels, spec = digits
    ten = first_of_each(images, labels)
    whitening = fit((images * 255).round().to(torch.uint8))
    return {
        "channel": normalised(ten, spec),
        "pixels": ten,
        "bytes": ten * 255,
        "zca": whitening.apply(ten),
    }


@pytest.mark.parametrize("space", ("channel", "pixels", "bytes", "zca"))
@pytest.mark.parametrize("said", (None, "channel", "pixels", "zca"))
def test_the_space_of_images_is_what_the_entry_says_or_it_is_reported(
    tmp_path, digits, space, said
):
    labels, spec = torch.arange(10), digits[2]
    images = spaces(digits)[space]
    path = put(tmp_path, [images, labels])
    entry = entry_of(path, **({} if said is None else {"normalization": said}))
    inside = "pixels" if space == "bytes" else space
    if (inside == "pixels" and said in (None, "zca")) or (space == "channel" and said == "pixels"):
        line = refusal(released.check, entry, spec, where=WHERE)
        mean, std = (f"{float(value):.2f}" for value in (images.mean(), images.std(correction=0)))
        assert (
            f"its mean is {mean} and its standard deviation {std} (" in line
            and f"`normalization: {inside}`" in line
        )
        return
    told = released.check(entry, spec, WHERE)
    assert len(told) == (inside != (said or "channel")) and "\n" not in "".join(told)
    assert all("standard deviation" in line and str(path) in line for line in told)
    found = released.read(entry, spec, where=WHERE).images
    if said == "pixels" and inside == "pixels":
        assert torch.allclose(found, spaces(digits)["channel"], atol=1e-5)
    elif said != "pixels":
        assert torch.equal(found, images)


def test_whole_numbers_are_pixels_whatever_is_said_and_normalised_as_the_dataset_is(
    tmp_path, digits
):
    images, labels, spec = digits
    bytes_ = (first_of_each(images, labels) * 255).round().to(torch.uint8)
    for dtype in (torch.uint8, torch.int64):
        path = put(tmp_path, [bytes_.to(dtype), torch.arange(10)])
        space = {"kind": "channel", "mean": spec["mean"], "std": spec["std"]}
        assert torch.equal(
            released.read(entry_of(path), spec, where=WHERE).images, normalise(bytes_, space)
        )
        (line,) = released.check(entry_of(path), spec, WHERE)
        assert (
            "its pixels, 0 to 255, were normalised by the mean and standard deviation of digits"
            in line
        )
        assert released.check(entry_of(path, normalization="pixels"), spec, WHERE) == []
    assert "no whitened images" in refusal(
        released.check, entry_of(path, normalization="zca"), spec, WHERE
    )


def test_a_set_of_one_value_says_nothing_of_its_space(tmp_path):
    assert check(put(tmp_path, result([torch.zeros(4, 3, 4, 4), LABELS]))) == []
