"""The documentation as `make docs` builds it."""

import re
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


def test_readme_shows_small_pictures_that_one_target_makes():
    shown = re.findall(
        r"!\[[^]]+\]\((docs/assets/[^)]+)\)", (ROOT / "README.md").read_text("utf-8")
    )
    made = re.findall(r"^\tcp .* (docs/assets/\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    there = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/assets").iterdir()]
    assert sorted(shown) == sorted(made) == sorted(there) and len(shown) == 2
    assert max((ROOT / name).stat().st_size for name in shown) < 300_000
