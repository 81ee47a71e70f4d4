"""What docs/adding.md shows is complete: each file is copied from the page, and its study runs."""

import collections
import csv
import re
import statistics

import pytest

from distillery.sets.synthetic import SyntheticSet
from tests.workflow.conftest import ROOT, Workflow

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
# What stands in no checkout, but in a user's own folder.
OUTSIDE = PAGE.partition("\n## From outside this checkout\n")[2].partition("\n## ")[0]
# Each block of code that begins with the path of its file.
FILE = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.S)
SHOWN = dict(FILE.findall(PAGE.replace(OUTSIDE, "")))
OWN = dict(FILE.findall(OUTSIDE))
# Each edit of a file that is there: lines with a plus are put among those without.
EDITS = re.findall(r"^```diff\n# (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.S)


@pytest.fixture
def checkout(tmp_path, starter) -> Workflow:
    """A fresh checkout with every file of the page in its place."""
    fresh = Workflow.laid(tmp_path / "a checkout", starter)
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


# ---- from outside --------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, starter) -> Workflow:
    """A folder of a user, with the files that the page shows for it."""
    folder = Workflow(tmp_path / "my folder", starter)
    for path, text in OWN.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def run(folder: Workflow, config: str, *arguments: str, succeeds: bool = True):
    folder.configs = [config]
    snakefile = str(ROOT / "Snakefile")
    return folder.snakemake("-s", snakefile, "--cores", "2", *arguments, succeeds=succeeds)


def rows_of(folder: Workflow, results: str) -> list[dict[str, str]]:
    with (folder / results / "summary.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_a_study_of_a_folder_of_one_s_own_runs_and_goes_on_from_its_sets(own):
    assert set(OWN) == {
        "nets.py",
        "my_methods/methods/shrinking.py",
        "my_methods/_means.py",
        "own.yaml",
        "again.yaml",
    }
    assert "snakemake -s CLONE/Snakefile --cores 2 --configfile own.yaml" in OUTSIDE
    run(own, "own.yaml")
    measured = {(row["method"], row["network"]) for row in rows_of(own, "results/own")}
    assert {("dm", "mine"), ("shrinking", "mine"), ("random", "mine")} <= measured
    page = (own / "results/own/report.html").read_text(encoding="utf-8")
    assert "Shrinking, real images" in page
    # An edit of what a plug-in imports makes its jobs stale, and no other.
    shared = own / "my_methods/_means.py"
    shared.write_text(shared.read_text(encoding="utf-8") + "\n\nMORE = 1\n", encoding="utf-8")
    assert stale(own, "own.yaml") == {"shrinking"}
    net = own / "nets.py"
    net.write_text(net.read_text(encoding="utf-8") + "\n\nMORE = 1\n", encoding="utf-8")
    assert stale(own, "own.yaml") == {"shrinking", "dm"}
    run(own, "again.yaml")
    rows = rows_of(own, "results/again")
    assert {row["init"] for row in rows} == {"shrunk", "from_dm_real_ipc1_seed0"}
    place = "results/again/synthetic/digits/dm/shrunk/ipc1/seed0/synthetic.safetensors"
    started = SyntheticSet.load(own / place).header["start"]
    assert started["name"] == "shrunk" and started["of"]["method"] == "shrinking"
    page = (own / "results/again/report.html").read_text(encoding="utf-8")
    assert f"shrunk is the set {started['images'][:12]}, shrinking from real, 1 image" in page


def stale(folder: Workflow, config: str) -> set[str]:
    """The methods whose sets a run would make again."""
    done = run(folder, config, "--dry-run")
    return set(re.findall(r"Distilling \w+ by (\w+) from", done.stdout + done.stderr))


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("nets.py", "def make(channels, size, classes, *, width): raise SystemExit(2)", "it exits"),
        ("nets.py", "make = 1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("nets.py", "make = 3", "'int' object is not callable"),
        ("nets.py", "def mak(): pass", "binds no 'make'; did you mean 'mak'?"),
        ("my_methods/methods/shrinking.py", "KIND = 3", "methods/shrinking.py: KIND: must be"),
        ("my_methods/methods/dc.py", "KIND = 'coreset'", "select: is missing"),
    ],
)
def test_what_is_wrong_outside_is_one_line_before_any_job(own, path, text, words):
    (own / path).write_text(text + "\n", encoding="utf-8")
    done = run(own, "own.yaml", "--dry-run", succeeds=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode != 0 and len(lines) == 1 and words in lines[0], done.stderr
    assert not (own / "results/own/data").exists()
