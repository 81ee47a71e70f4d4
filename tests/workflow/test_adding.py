"""What docs/adding.md shows is complete: each file is copied out of the page, and its study runs."""

import csv
import re

import pytest

from tests.workflow.conftest import PARTS, ROOT, Workflow, copy

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
# Each block of code that begins with the path of its file.
SHOWN = dict(re.findall(r"^```(?:python|yaml)\n# (\S+/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.S))


@pytest.fixture
def checkout(tmp_path, environment) -> Workflow:
    """A fresh checkout with every file of the page in its place."""
    fresh = Workflow(tmp_path / "a checkout", environment)
    fresh.folder.mkdir()
    for part in PARTS:
        copy(ROOT / part, fresh / part)
    for path, text in SHOWN.items():
        assert not (fresh / path).exists(), path
        (fresh / path).write_text(text, encoding="utf-8")
    return fresh


def test_the_files_of_the_page_run_to_the_report(checkout):
    checkout.configs = ["config/stripes.yaml"]
    command = re.search(r"^snakemake (--cores .*) --configfile config/stripes.yaml$", PAGE, re.M)
    checkout.snakemake(*command[1].split())
    assert (checkout / "results/stripes/report.html").is_file()
    with (checkout / "results/stripes/summary.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    measured = {(row["dataset"], row["method"], row["network"]) for row in rows}
    made = {path.split("/")[-1].removesuffix(".py") for path in SHOWN}
    assert {"stripes", "pooled"} <= made
    for method in {"dc", "random"} | (made & {row["method"] for row in rows}):
        assert {("stripes", method, "ConvNet"), ("stripes", method, "Pooled")} <= measured
