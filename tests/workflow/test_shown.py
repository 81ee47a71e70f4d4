"""What is shown is what was asked: results that are of another study are neither summed up nor
shown."""

import os
import re
import shutil

import pytest

pytestmark = pytest.mark.long

DC = "results/synthetic/digits/dc/noise/ipc1/seed0"


def lose(clone, how: str) -> None:
    """Make Snakemake forget how the sets of DC were made. A copy's times tell nothing either."""
    for path in [clone / "released.pt", *(clone / "results").rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    if how == "gone":
        shutil.rmtree(clone / ".snakemake")
    else:
        clone.snakemake(
            "--cleanup-metadata",
            *(str(path.relative_to(clone.folder)) for path in (clone / DC).iterdir()),
        )


@pytest.mark.parametrize("how", ["gone", "cleaned"])
def test_where_snakemake_forgot_a_changed_study_is_never_shown_beside_old_results(clone, how):
    before = (clone / "results/report.html").read_bytes()
    lose(clone, how)
    # The parts of a memory made per step would change with it, and be re-created first.
    clone.change(methods={"dc": {"iterations": 4}}, continual={"memories": ["given"]})
    done = clone.snakemake("--cores", "1", succeeds=False)
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert done.returncode != 0 and re.match(
        r"error: 1 of \d+ artefacts are not what the study asks for, "
        "and are neither summed up nor shown: ",
        line,
    )
    assert f"{DC}: settings.iterations: has 3, the study asks 4" in line
    assert (
        not (clone / "results/summary.csv").exists()
        and (clone / "results/report.html").read_bytes() == before
    )
    # What the line says to add re-creates the set, and what follows from it.
    (forced,) = re.findall("with `(--forcerun .*)` at its end", line)
    again = [
        "distill",
        "evaluate_synthetic",
        "evaluate_robust",
        *["continual_memory"] * 3,
    ]
    assert clone.jobs(*forced.split()) == sorted([*again, "collect", "report"])


def test_where_snakemake_forgot_another_seed_is_reported_all_that_it_changes(clone):
    lose(clone, "gone")
    clone.change(seed=1)
    done = clone.snakemake("--cores", "1", succeeds=False)
    assert done.returncode != 0 and "seed: has 0, the study asks 1" in done.stderr
    listed = (clone / "results/stale.txt").read_text().split()
    assert {path.split("/")[1] for path in listed} == {
        "experts",
        "synthetic",
        "evaluate",
        "robust",
        "vanilla",
        "continual",
        "step_sets",
    }


def test_where_snakemake_forgot_an_unchanged_study_is_as_it_was(clone):
    lose(clone, "gone")
    assert clone.jobs() == ["report"]  # whose template is newer, as far as the times tell


def test_a_set_that_was_replaced_since_is_not_shown_where_the_report_alone_is_made(clone):
    before = (clone / "results/report.html").read_bytes()
    shutil.copyfile(
        clone / DC.replace("/dc/noise/", "/random/real/") / "synthetic.safetensors",
        clone / DC / "synthetic.safetensors",
    )
    lose(clone, "gone")
    assert clone.jobs() == ["report"]
    done = clone.snakemake("--cores", "1", succeeds=False)
    told = f"{DC}/synthetic.safetensors: its content: has"
    assert done.returncode != 0 and told in done.stderr, done.stderr
    assert (
        not (clone / "results/report.html").exists()
        or (clone / "results/report.html").read_bytes() == before
    )
