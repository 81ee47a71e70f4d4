"""Where the workflow lies, in a checkout and in an installed copy."""

import shutil

import pytest

from distillery import places
from distillery.study.fingerprint import fingerprint


def test_a_checkout_has_the_workflow_beside_the_library():
    assert places.is_checkout() and places.workflow() == places.ROOT
    assert places.snakefile() == places.ROOT / "Snakefile" and places.snakefile().is_file()
    assert places.root_of(places.workflow()) == places.ROOT


@pytest.mark.slow
def test_an_installed_copy_has_it_inside_and_gives_the_checkout_s_digests(tmp_path):
    """Else what one of the two made would be stale for the other."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(places.LIBRARY, tmp_path / "distillery", ignore=ignored)
    inside = tmp_path / "distillery/_workflow"
    shutil.copytree(places.ROOT / "workflow", inside / "workflow", ignore=ignored)
    assert places.workflow(tmp_path) == inside and places.root_of(inside) == tmp_path
    for script, plugins in (
        ("distill.py", ["methods/dc.py", "networks/convnet.py"]),
        ("train_vanilla.py", ["networks/mlp.py"]),
        ("report.py", []),
    ):
        assert fingerprint(script, *plugins, root=tmp_path) == fingerprint(script, *plugins)
