"""Where figures come from."""

import importlib.metadata
import sys

import pytest

from distillery import __version__, places
from distillery.run import provenance


@pytest.mark.slow
def test_the_bill_names_every_installed_package_once_with_its_version(tmp_path, monkeypatch):
    copied = tmp_path / "numpy-0.1.dist-info"  # as setuptools brings copies of other packages
    copied.mkdir()
    (copied / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: NumPy\nVersion: 0.1\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    bill = provenance.packages()
    names = [row["name"].lower() for row in bill]
    assert names == sorted(set(names)) and {"torch", "snakemake", "numpy"} <= set(names)
    assert all(row["version"] == importlib.metadata.version(row["name"]) for row in bill)
    licences = {row["name"].lower(): row["licence"] for row in bill}
    assert "BSD" in licences["numpy"] and "MIT" in licences["snakemake"]
    assert all(licence and "\n" not in licence for licence in licences.values())


def test_the_origin_names_the_version_and_survives_a_folder_that_is_no_checkout(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(places, "ROOT", tmp_path)
    found = provenance.gather()
    assert found["distillery"] == __version__ and "commit" not in found
