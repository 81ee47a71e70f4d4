"""What a set is worth, as a table."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import distillery
from distillery.errors import UserError

DIGITS = load_digits()
IMAGES = (DIGITS.images * 15.9375).astype(np.uint8)
LABELS = DIGITS.target
QUICK = {"epochs": 40, "batch": 32, "augment": "none", "threads": 1}


@pytest.fixture(scope="module")
def chosen():
    return distillery.baseline(
        IMAGES[:1000],
        LABELS[:1000],
        "random",
        10,
        network={"ConvNet": {"width": 16, "depth": 2}},
        threads=1,
    )


@pytest.mark.slow
def test_a_row_is_a_network_and_the_set_s_own_is_the_default(chosen):
    table = distillery.evaluate(chosen, IMAGES[1000:], LABELS[1000:], models=2, **QUICK)
    assert list(table.network) == ["ConvNet"] * 2 and list(table.model) == [0, 1]
    assert table.accuracy.between(0.5, 1).all() and table.loss.gt(0).all()
    assert table.accuracy[0] != table.accuracy[1]


@pytest.mark.long
def test_a_thousand_classes_are_distilled_and_tested_on():
    """More than a byte counts; an image each to learn from and to test on."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (1000, 8, 8, 2), dtype=np.uint8)
    small = {"network": {"ConvNet": {"width": 4, "depth": 1}}, "threads": 1, "progress": False}
    made = distillery.distil(images, np.arange(1000), init="noise", ipc=1, iterations=1, **small)
    assert made.images.shape == (1000, 2, 8, 8) and made.hard_labels.tolist() == list(range(1000))
    table = distillery.evaluate(
        made, images, np.arange(1000), models=1, by_class=True, **{**QUICK, "epochs": 1}
    )
    assert len(table) == 1000 and set(table.class_accuracy) <= {0.0, 1.0}


@pytest.mark.slow
def test_networks_have_options_and_classes_a_row_each(chosen):
    networks = {"MLP": {"width": 8}, "ConvNet": {"width": 4, "depth": 1}}
    table = distillery.evaluate(
        chosen, IMAGES[1000:], LABELS[1000:], networks, 1, by_class=True, **{**QUICK, "epochs": 1}
    )
    assert list(table.network) == ["MLP"] * 10 + ["ConvNet"] * 10
    assert list(table["class"][:3]) == ["0", "1", "2"]
    assert table.class_accuracy.between(0, 1).all()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"networks": "MPL"}, "evaluate: networks: unknown network 'MPL'"),
        ({"networks": []}, "evaluate: networks: there is none"),
        ({"models": 0}, "models: must be 1 or more"),
        ({"epoch": 2}, "unknown key 'epoch'"),
        ({"augment": "blur"}, "blur"),
        ({"images": IMAGES[:, :4], "labels": LABELS}, r"images are \(1, 4, 8\)"),
        ({"labels": LABELS + 5}, "labels: run from 5 to 14; there are 10 classes"),
        ({"labels": LABELS[:4]}, "labels: there are 4"),
    ],
)
def test_what_does_not_go_with_the_set_is_refused_in_one_line(chosen, more, said):
    given = {"images": IMAGES, "labels": LABELS, **QUICK, **more}
    with pytest.raises(UserError, match=said) as caught:
        distillery.evaluate(chosen, **given)
    assert "\n" not in str(caught.value) and "config" not in str(caught.value)


def test_a_path_is_no_set():
    with pytest.raises(UserError, match=r"such as distillery\.load"):
        distillery.evaluate("set.safetensors", IMAGES, LABELS)


def test_without_pandas_it_says_what_is_missing(chosen, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="pip install 'dataset-distillery"):
        distillery.evaluate(chosen, IMAGES, LABELS)
