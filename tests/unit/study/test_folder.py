"""Where results cannot lie."""

from pathlib import Path

from tests.unit.study.small import refusal, study

ROOT = Path(__file__).resolve().parents[3]


def test_results_lie_neither_over_the_checkout_nor_over_the_study(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "link").symlink_to(ROOT.parent)
    monkeypatch.chdir(here)
    for place in (ROOT, tmp_path / "link"):
        assert refusal(results=str(place)).startswith(
            f"config: results: {place} is or holds the checkout of Distillery, among"
        )
    assert refusal(results=str(tmp_path)).startswith(
        f"config: results: {tmp_path} is or holds the working directory, among"
    )
    for place in ("out", "../beside", str(ROOT / "results")):
        assert study(results=place).config["results"] == place
