"""The paths of a results folder."""

import pytest

from distillery.store.layout import Layout, filled, normalised


@pytest.mark.parametrize(
    "spelt",
    [
        "out/mine",
        "./out/mine",
        "out/mine/",
        "out//mine",
        "out/./mine",
        "other/../out/mine",
        "{cwd}/out/mine",
        "{cwd}/out/mine/",
    ],
)
def test_one_folder_has_one_name_however_it_is_spelt(tmp_path, monkeypatch, spelt):
    monkeypatch.chdir(tmp_path)
    assert normalised(spelt.format(cwd=tmp_path)) == "out/mine"


def test_a_folder_elsewhere_stays_where_it_is(tmp_path, monkeypatch):
    here, real = tmp_path / "here", tmp_path / "real"
    here.mkdir()
    real.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert normalised("~/out/") == str(tmp_path / "out") and normalised("~/here/out") == "out"
    assert normalised("../real/out") == "../real/out" and normalised(
        str(tmp_path / "hereafter")
    ) == str(tmp_path / "hereafter")
    # The working directory may be reached through a link.
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path / "link")
    assert normalised(str(real / "out")) == "out"


def test_patterns_are_filled_by_the_names_that_rules_use():
    layout, cell = (
        Layout("out"),
        {"dataset": "digits", "method": "dc", "init": "real", "ipc": 1, "seed": 0},
    )
    assert filled(layout.synthetic, cell) == "out/synthetic/digits/dc/real/ipc1/seed0"
    assert (
        filled(layout.log("evaluate_synthetic"), cell | {"network": "MLP"})
        == "out/logs/evaluate_synthetic/digits/dc/real/ipc1/seed0/MLP.log"
    )
