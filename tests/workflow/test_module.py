"""Another workflow uses this one as a module, with and without a prefix; and this one run from
elsewhere."""

import re
import subprocess

import pytest
import yaml

from tests.workflow.conftest import PARTS, ROOT, Workflow, copy

pytestmark = pytest.mark.long

STUDY = {
    "study": "A part",
    "compute": {"threads": 1},
    "networks": {"ConvNet": {"width": 8, "depth": 2}},
    "snapshots": 1,
    "evaluate": {
        "networks": ["ConvNet"],
        "models": 1,
        "epochs": 1,
        "curve": 0,
        "selection": {"models": 0},
    },
    "vanilla": {"networks": []},
    "continual": {"datasets": []},
}
BLOCK = {"dataset": "digits", "init": "real", "ipc": 1}
OUTER = """
configfile: "outer.yaml"

rule own:
    input:
        "results/plain/synthetic/digits/random/real/ipc1/seed0/synthetic.safetensors",
        "inner/results/report.html",
    output:
        "own.txt",
    run:
        with open(output[0], "w") as file:
            file.write("done")

module plain:
    snakefile: "a part/Snakefile"
    config: config["plain"]

use rule * from plain as plain_*

module inner:
    snakefile: "a part/Snakefile"
    config: config["inner"]
    prefix: "inner"

use rule * from inner as inner_*
"""


def snakemake(folder, starter, *arguments):
    other = Workflow(folder, starter)
    other.configs = []
    return other.snakemake(*arguments, succeeds=False)


@pytest.fixture(scope="module")
def outer(tmp_path_factory, starter):
    """Another workflow that has ours in a folder of its own, after one run of its default
    target."""
    folder = tmp_path_factory.mktemp("outer")
    for part in PARTS:
        (folder / "a part").mkdir(exist_ok=True)
        copy(ROOT / part, folder / "a part" / part)
    path = folder / "a part/distillery/store/checkpoint.py"
    text = path.read_text(encoding="utf-8")
    assert "\nEVERY_SECONDS = 60.0\n" in text
    path.write_text(
        text.replace("\nEVERY_SECONDS = 60.0\n", "\nEVERY_SECONDS = 0.0\n"), encoding="utf-8"
    )
    plain = {**STUDY, "results": "results/plain", "grid": [{**BLOCK, "method": "random"}]}
    inner = {**STUDY, "grid": [{**BLOCK, "method": "dc"}], "methods": {"dc": {"iterations": 3}}}
    (folder / "outer.yaml").write_text(
        yaml.safe_dump({"plain": plain, "inner": inner, "its own key": 1}), encoding="utf-8"
    )
    (folder / "Snakefile").write_text(OUTER, encoding="utf-8")
    done = snakemake(folder, starter, "--cores", "2", "--resources", "gpu=2")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder


def test_modules_run_and_leave_the_outer_workflow_its_default_target(outer, starter):
    assert (outer / "own.txt").read_text() == "done"
    assert (
        outer / "results/plain/synthetic/digits/random/real/ipc1/seed0/synthetic.safetensors"
    ).is_file()
    rest = snakemake(
        outer, starter, "--dry-run", "--quiet", "host", "--", "results/plain/report.html"
    )
    jobs = set(re.findall(r"^plain_(\w+) +(\d+)$", rest.stdout, re.MULTILINE))
    assert rest.returncode == 0 and jobs == {
        ("evaluate_synthetic", "1"),
        ("collect", "1"),
        ("report", "1"),
    }


def test_everything_that_a_module_with_a_prefix_makes_is_below_it_to_the_report(outer):
    assert "A part" in (outer / "inner/results/report.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in (outer / "results").iterdir()) == ["plain"]
    assert (outer / "inner/results/checkpoints/distill").is_dir() and (
        outer / "inner/results/logs/report.log"
    ).is_file()
    assert not (outer / "a part/results").exists()


@pytest.mark.parametrize(
    ("results", "said"),
    [("results/plain", "waiting: 1 job\n1 of 3"), ("inner/results", r"all \d+ jobs are done\n")],
)
def test_a_module_can_be_looked_at_while_it_is_under_way(outer, starter, results, said):
    command = [starter.interpreter, "-m", "distillery", "report", results]
    done = subprocess.run(
        command,
        cwd=outer,
        env={**starter.environment, "PYTHONPATH": str(outer / "a part")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and re.match(said, done.stdout), done.stdout + done.stderr
    assert "A part" in (outer / results / "report-so-far.html").read_text(encoding="utf-8")


def test_a_module_is_up_to_date_after_its_run(outer, starter):
    done = snakemake(outer, starter, "--dry-run")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr


def test_what_is_wrong_in_a_module_s_config_is_one_line(outer, starter):
    done = snakemake(outer, starter, "--dry-run", "--config", "inner={snapshots: 0}")
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(told) == 1 and "Traceback" not in done.stderr


def test_from_another_folder_the_default_study_is_the_repository_s(tmp_path, starter):
    done = snakemake(
        tmp_path, starter, "-s", str(ROOT / "Snakefile"), "--dry-run", "--quiet", "all"
    )
    assert done.returncode == 0, done.stderr
    assert {"Snakefile", "config"} & {path.name for path in tmp_path.iterdir()} == set()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("study: Mine\nstudy: Mine\n", encoding="utf-8")
    done = snakemake(tmp_path, starter, "-s", str(ROOT / "Snakefile"), "--dry-run")
    assert (
        done.returncode == 1
        and "error: config/config.yaml: lines 1 and 2: the key 'study' stands twice" in done.stderr
    )
