"""Sets of which each stored image holds several: made, written, read, and shown."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import distillery
from distillery.errors import UserError
from distillery.images import formation
from distillery.images.labelled import Images
from distillery.report.results import Results
from distillery.report.sections import images, verdict
from distillery.sets import facts
from distillery.sets.card import card
from distillery.sets.evolution import Evolution, load_evolution
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import evaluation
from distillery.store import artefact
from distillery.store.metrics import COLUMNS
from tests.unit.sets.toys import made


def factored(**header):
    """A set whose six images of 16 x 16 hold four each."""
    plain = made(**header)
    about = {**plain.header, "factor": 2}
    return SyntheticSet.decoded(plain.images, plain.labels, plain.step_size, about), plain


@pytest.mark.parametrize("soft", [False, True])
def test_what_is_written_is_what_is_stored_and_what_is_read_is_decoded(tmp_path, soft):
    ours, plain = factored(soft=soft)
    ours.save(tmp_path / "set.safetensors")
    tensors, _ = artefact.load(tmp_path / "set.safetensors", rule=None)
    assert torch.equal(tensors["images"], plain.images)
    assert torch.equal(tensors["labels"], plain.labels)
    again = distillery.load(tmp_path / "set.safetensors")
    assert len(again) == 24 and again.factor == 2
    assert torch.equal(again.images, formation.decode(plain.images, 2))
    assert torch.equal(again.labels, plain.labels.repeat_interleave(4, 0))
    image, label = again[7]
    assert torch.equal(image, again.images[7]) and torch.equal(label, plain.labels[1])
    assert torch.equal(again.hard().tensors()["labels"], plain.hard_labels)
    again.save(tmp_path / "again.safetensors")
    first, second = (tmp_path / f"{name}.safetensors" for name in ("set", "again"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("factor", [0, 3, "two", 1.5])
def test_a_factor_that_the_images_cannot_have_is_refused(factor):
    plain = made()
    about = {**plain.header, "factor": factor}
    with pytest.raises(UserError, match="does not divide images of shape"):
        SyntheticSet.decoded(plain.images, plain.labels, None, about)


def test_stored_images_are_not_taken_for_what_training_sees():
    plain = made()
    with pytest.raises(UserError, match="says factor 2, and a stored image holds 1"):
        SyntheticSet(plain.images, plain.labels, None, {**plain.header, "factor": 2})


@pytest.mark.parametrize("soft", [False, True])
def test_snapshots_are_decoded_as_the_set_is(tmp_path, soft):
    ours, plain = factored(soft=soft)
    evolution = Evolution(1, 1)
    for t in range(2):
        labels = plain.labels if soft else None
        evolution.iteration(t, 0.0, plain.images + t, labels=labels)
    evolution.save(tmp_path / "evolution.safetensors", ours.header)
    frames = load_evolution(tmp_path / "evolution.safetensors", ours.labels, "cpu")
    assert [frame[0] for frame in frames] == [0, 1]
    assert torch.equal(frames[0][1], ours.images) and torch.equal(frames[1][2], ours.labels)


def test_the_first_images_of_a_class_are_counted_as_they_are_stored():
    ours, plain = factored()
    settings = {"labels": ["own"], "epochs": 1, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    settings |= {"batch": 8, "decay": "none", "augment": "none", "models": 1}
    part = []
    asked = SimpleNamespace(settings=settings)
    trainings = evaluation.Trainings(asked, ours, {"test": Images(plain.images, plain.labels)})
    trainings._accuracies = lambda *given, **columns: part.append(given[3])
    trainings.first(1, None)
    assert torch.equal(part[0].images, formation.decode(plain.images[::2], 2))
    assert part[0].labels.bincount().tolist() == [4, 4, 4]


def test_a_page_counts_the_bytes_that_are_stored_and_the_images_that_are_seen(tmp_path):
    cell = {"dataset": "MNIST", "method": "dm", "init": "real", "ipc": 2, "seed": 0}
    files = []
    for ours, name in zip(factored(**cell), ("factored", "plain"), strict=True):
        files.append(tmp_path / f"{name}.safetensors")
        ours.save(files[-1])
    results = [
        Results(pd.DataFrame(columns=list(COLUMNS)), [], [file], [], [], {}, {}) for file in files
    ]
    (shown,), (plain,) = results[0].headers, results[1].headers
    sizes = [verdict.bytes_per_class(each, shown) for each in results]
    assert plain == shown and sizes[0] == sizes[1] == 2 * (16 * 16 * 4 + 8) + 8 / 3
    notes = [images.view(each)[0]["groups"][0]["cards"][0]["note"] for each in results]
    said = "shown as stored: each image holds 2 x 2, which training sees scaled up, 8 per class"
    assert said in notes[0] and "holds" not in notes[1]


def test_a_set_says_what_its_images_hold():
    ours, plain = factored()
    described = dict(facts.describe(ours))
    assert described["decoded"] == "from 6 stored images that hold 2 x 2 each"
    assert described["images"].startswith("(24, 1, 16, 16)")
    assert "decoded" not in dict(facts.describe(plain))
    text = card(ours, None, images=False)
    assert "decoded from 6 stored images" in text and "are stored ones, to be decoded" in text
    assert "decoded" not in card(plain, None, images=False)
