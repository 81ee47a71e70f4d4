"""The matrix of all cells on top of the document."""

import pytest

from distillery.published import document
from distillery.published.recording import record
from tests.unit.published.studies import MTT, full, with_less_work


def cells_of(text):
    """The matrix, by dataset, row and column."""
    part = text.split("\n## At a glance\n")[1].split("\n## ")[0]
    cells, head = {}, []
    for line in part.splitlines():
        texts = [cell.strip() for cell in line.split("|")[1:-1]]
        if not texts:
            head = []
        elif not head:
            head = texts
        elif texts[0] != "---":
            for column, text in zip(head[1:], texts[1:], strict=True):
                cells[head[0], texts[0], column] = text
    return cells


@pytest.mark.slow
def test_only_what_took_the_published_work_is_bold(study):
    cells = cells_of(document.render({"mine": full(study)}))
    assert cells == {
        ("MNIST", "dc, real", "1 per class"): "",
        ("MNIST", "dc, real", "10 per class"): "**91.5 ± 0.8 (2 × 20)** / 97.4 ± 0.2",
        ("MNIST", "dc, real", "all images"): "",
        ("MNIST", "random, real", "1 per class"): "50.0 (1 × 1) · / 64.9 ± 3.5",
        ("MNIST", "random, real", "10 per class"): "",
        ("MNIST", "random, real", "all images"): "",
        ("MNIST", "full training set", "1 per class"): "",
        ("MNIST", "full training set", "10 per class"): "",
        ("MNIST", "full training set", "all images"): "99.1 ± 0.1 (1 × 2) · / 99.6 ± 0.0",
        ("CIFAR10", "mtt, real", "10 per class"): "40.5 ± 0.5 (1 × 2) ↓ / 65.3 ± 0.7",
    }


@pytest.mark.slow
def test_a_reproduction_stands_before_newer_records_of_less_work(study, tmp_path):
    old = full(study)
    later = with_less_work(tmp_path)
    later.set("mtt", "real", 10, 0, MTT, dataset="CIFAR10")
    later.evaluation("mtt", "real", 10, 0, [30.0, 31.0], dataset="CIFAR10", minute=50)
    new = record(later.folder, "later")
    cells = cells_of(document.render({"a": new, "b": old}))
    assert cells["MNIST", "dc, real", "10 per class"].startswith("**91.5 ± 0.8 (2 × 20)**")
    assert cells["CIFAR10", "mtt, real", "10 per class"].startswith("30.5 ± 0.5 (1 × 2) ↓ ")
    narrow = with_less_work(tmp_path / "narrow")
    settings = {**MTT, "iterations": 4000}
    narrow.set("mtt", "real", 10, 0, settings, dataset="CIFAR10", width=32, minute=52)
    narrow.evaluation("mtt", "real", 10, 0, [33.0, 34.0], dataset="CIFAR10", minute=55)
    other = record(narrow.folder, "narrow")
    place = "CIFAR10", "mtt, real", "10 per class"
    assert cells_of(document.render({"a": other, "b": new}))[place].startswith("30.5")
    assert cells_of(document.render({"a": other}))[place].startswith("33.5 ± 0.5 (1 × 2) ↓† ")


def test_without_records_there_is_none():
    assert "At a glance" not in document.render({})
