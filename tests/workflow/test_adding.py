"""What docs/adding.md shows is complete: each file is copied from the page, and its study runs."""

import collections
import csv
import re
import statistics

import pytest

from tests.workflow.conftest import PARTS, ROOT, Workflow, copy

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
# Each block of code that begins with the path of its file.
SHOWN = dict(re.findall(r"^```(?:python|yaml)\n# (\S+/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.S))
# Each edit of a file that is there: lines with a plus are put among those without.
EDITS = re.findall(r"^```diff\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.S)


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
    for path, diff in EDITS:
        lines = diff.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] == " ")
        text = (fresh / path).read_text(encoding="utf-8")
        assert text.count(before) == 1, before
        edited = text.replace(before, "".join(line[1:] for line in lines))
        (fresh / path).write_text(edited, encoding="utf-8")
    return fresh


def test_the_files_of_the_page_run_to_the_report(checkout):
    checkout.configs = ["config/stripes.yaml"]
    command = re.search(r"^snakemake (--cores .*) --configfile config/stripes.yaml$", PAGE, re.M)
    checkout.snakemake(*command[1].split())
    with (checkout / "results/stripes/summary.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    page = (checkout / "results/stripes/report.html").read_text(encoding="utf-8")
    section = page.partition('<h2 id="worst">')[2].partition("</section>")[0]
    by_class = collections.defaultdict(list)
    for row in rows:
        if row["method"] == "dc" and row["measure"] == "class_accuracy" and row["split"] == "test":
            by_class[row["class"]].append(float(row["value"]))
    assert len(by_class) == 3
    worst = min(statistics.fmean(values) for values in by_class.values())
    assert f"<td>{100 * worst:.1f}</td>" in section
    measured = {(row["dataset"], row["method"], row["network"]) for row in rows}
    made = {path.split("/")[-1].removesuffix(".py") for path in SHOWN}
    assert made == {"stripes", "pooled", "mean_matching", "nearest", "worst", "stripes.yaml"}
    for method in ("dc", "random", "mean_matching", "nearest"):
        assert {("stripes", method, "ConvNet"), ("stripes", method, "Pooled")} <= measured
