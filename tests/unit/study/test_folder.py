"""Where results cannot lie."""

from types import SimpleNamespace

from distillery.study import folder
from tests.unit.study.small import refusal, study


def test_results_lie_neither_over_the_checkout_nor_over_the_study(tmp_path, monkeypatch):
    here, checkout = tmp_path / "here", tmp_path / "above/checkout"
    here.mkdir()
    checkout.mkdir(parents=True)
    # Not the one that is tested: that may lie above the folder of the test.
    monkeypatch.setattr(folder, "literals", SimpleNamespace(LIBRARY=checkout / "distillery"))
    (tmp_path / "link").symlink_to(checkout.parent)
    monkeypatch.chdir(here)
    for place in (checkout, tmp_path / "link"):
        assert refusal(results=str(place)).startswith(
            f"config: results: {place} is or holds the checkout of Distillery, among"
        )
    assert refusal(results=str(tmp_path)).startswith(
        f"config: results: {tmp_path} is or holds the working directory, among"
    )
    for place in ("out", "../beside", str(checkout / "results")):
        assert study(results=place).config["results"] == place
