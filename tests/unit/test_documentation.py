"""The documentation as `make docs` builds it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path):
    """A link to nothing, a docstring that no reader understands: each is a warning."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d"]
    done = subprocess.run(
        [*command, str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folded = (tmp_path / "site/reproduction/index.html").read_text(encoding="utf-8")
    assert folded.count("<table") > 5 and "| --- |" not in folded
