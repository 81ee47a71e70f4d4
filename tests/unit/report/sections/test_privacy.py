"""Near-copies and members on the page."""

from types import SimpleNamespace

import torch

from distillery.report import results
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from tests.unit.report.made import dummy_images, header, section

MNIST = ("MNIST", "dc", "real", 1)


def judged(folder, copies, areas):
    """The rows and the neighbours of two sets, of ten images each."""
    rows, paths = [], []
    for seed in (0, 1):
        own = header(*MNIST, seed)
        cell = {name: own[name] for name in ("dataset", "method", "init", "ipc", "seed")}
        common = {"rule": "evaluate_privacy", **cell, "network": "ConvNet"}
        flagged = torch.arange(10) < copies[seed]
        rows.append({**common, "measure": "near_copies", "value": copies[seed]})
        for attack, area in areas.items():
            for part, value in zip(("", "_low", "_high"), area[seed], strict=True):
                measure = f"membership_auc{part}"
                rows.append({**common, "selection": attack, "measure": measure, "value": value})
        tensors = {
            "rows": torch.arange(10),
            "distances": torch.linspace(1, 10, 10) * (1 - flagged.float()),
            "ratios": torch.linspace(0.5, 0.9, 10),
            "copies": flagged,
            "reference": torch.tensor([4.75, 5.75, 6.75, 7.75]),
        }
        paths.append(folder / f"neighbours{seed}.safetensors")
        artefact.save(paths[-1], tensors, {**cell, "network": "ConvNet", "models": 3})
    return rows, paths


def test_copies_are_counted_over_sets_and_areas_have_the_widest_interval(study, tmp_path):
    areas = {
        "members": [(0.5, 0.48, 0.52), (0.52, 0.5, 0.54)],
        "nearest": [(0.8, 0.7, 0.9), (0.9, 0.85, 0.95)],
    }
    rows, paths = judged(tmp_path, [2, 0], areas)
    lines, text = section(study, tmp_path, "privacy", rows, neighbours=paths)
    # 0, 0, 3, 4 … 10 and 1, 2 … 10: the middle two are 5 and 6.
    assert lines[1] == (
        "DC, real images 1 2 of 20 5.50 6.25 45 % 0.510 (0.480 to 0.540) 0.850 (0.700 to 0.950) "
        "2 × 3"
    )
    assert "against 4 test images" in text


def test_the_nearest_images_are_shown_beside_their_training_images(study, tmp_path, monkeypatch):
    real = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    known = SimpleNamespace(
        **{"classes": list("0123456789"), "images": real, "labels": torch.arange(10)},
        **{"test_images": real, "test_labels": torch.arange(10)},
    )
    monkeypatch.setattr(results, "_read_data", lambda paths: {"MNIST": known})
    rows, paths = judged(tmp_path, [1, 0], {})
    own = header(*MNIST, 0)
    made = tmp_path / "set.safetensors"
    SyntheticSet(dummy_images(*MNIST, 0), torch.arange(10), None, own).save(made)
    lines, text = section(study, tmp_path, "privacy", rows, neighbours=paths, sets=[made])
    assert "1 of 20" in lines[1] and "– –" in lines[1]
    # A tag is a space in this text: the first alone is in bold.
    assert "near-copies in bold: 0.00 , 2.00, 3.00, 4.00" in text


def test_without_the_job_there_is_no_such_section(page):
    assert 'id="privacy"' not in page
