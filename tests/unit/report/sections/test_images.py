"""The images on the page, and how they came to be."""

import numpy as np

from distillery.report.sections import images
from tests.unit.report.made import SETS, header
from tests.unit.report.sections.test_scorecard import results_of


def test_of_many_snapshots_as_many_are_shown_as_a_page_holds(monkeypatch):
    """The first and the last always, and what is left out is said."""
    results = results_of(SETS, [])
    frames, classes = 30, 10
    tensors = {
        "images": np.zeros((frames, classes, 1, 28, 28), np.float32),
        "iterations": np.arange(frames) * 10,
    }
    results.evolutions = [(tensors, header("MNIST", name, "real", 1, 0)) for name in ("dc", "mtt")]
    snapshot = images.EVOLUTION_CLASSES * 28 * 28
    for pixels, shown in ((4_000_000, frames), (2 * 9 * snapshot, 9), (1, 3)):
        monkeypatch.setattr(images, "PIXELS", pixels)
        (block,) = images.evolution(results)
        for card in block["cards"]:
            assert len(card["iterations"]) == shown and card["left_out"] == frames - shown
            assert (card["iterations"][0], card["iterations"][-1]) == (0, 290)
            assert card["sheet"]["height"] == shown * 29 - 1
