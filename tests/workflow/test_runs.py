"""Runs of the workflow beyond the first: other targets, studies that fail in part, the same bits
elsewhere, edits and interruptions on the way."""

import html
import os
import shutil
import signal
import subprocess
import time
import zipfile

import pytest

from tests.workflow.test_workflow import DC, MTT, SUMMED, Fetches

pytestmark = pytest.mark.long

# What a distillation leaves, but for its cost, which holds times.
NAMES = ("synthetic.safetensors", "evolution.safetensors", "metrics.csv", "synthetic.png")


# ---- other targets -------------------------------------------------------------------------------


def test_snakemake_s_own_report_and_the_graph_are_made(study, clone):
    clone.make("figures")
    clone.snakemake("--report", "study.zip", "--", "study", "figures")
    with zipfile.ZipFile(clone / "study.zip") as packed:
        page = packed.read("study/report.html").decode()
    for words in (
        "turns a labelled image dataset",
        "The report",
        "Synthetic images",
        "of digits by",
        "Figures for papers",
        "accuracy_by_bytes_digits_ConvNet",
    ):
        assert words in page
    clone.configs = []  # the default study
    graph = clone.snakemake("--dag").stdout
    assert graph.startswith("digraph") and graph.rstrip().endswith("}")
    assert all(
        f'label = "{rule}' in graph
        for rule in (
            "download",
            "train_experts",
            "distill",
            "continual_alone",
            "continual_memory",
            "report",
        )
    )


def test_the_figures_for_papers_are_drawn_where_they_are_asked_for(clone):
    clone.make("figures")
    drawn = {path.name for path in (clone / "results/figures").iterdir()}
    assert {
        "accuracy_by_ipc_digits_ConvNet.pdf",
        "images_digits_dc_noise_ipc1.svg",
        "evolution_digits_dc_noise_ipc1.gif",
        "continual_digits_ConvNet_2groups.png",
    } <= drawn
    assert not list((clone / "results").glob(".figures*"))
    assert clone.jobs("--", "figures") == []


def test_a_study_of_released_sets_alone_runs_to_its_report(clone):
    clone.change(grid=[], continual={"datasets": []})
    assert clone.planned() == SUMMED
    clone.make()
    page = (clone / "results/report.html").read_text(encoding="utf-8")
    assert "released" in page and "obust" in page
    rows = (clone / "results/summary.csv").read_text(encoding="utf-8").splitlines()
    method = rows[0].split(",").index("method")
    assert {row.split(",")[method] for row in rows[1:] if row[0] != "#"} == {"released", "whole"}


# ---- a study that is not finished ----------------------------------------------------------------


def test_one_cell_that_fails_does_not_withhold_the_others(clone, starter):
    bold = {"dataset": "digits", "method": "dc_bold", "init": "noise", "ipc": 1}
    clone.change(
        grid=[*clone.base["grid"], bold],
        methods={"dc_bold": {"of": "dc", "iterations": 30, "lr_images": 1e30}},
        report={"incomplete": True},
    )
    done = clone.snakemake("--cores", "1", "--keep-going", succeeds=False)
    why = "dc_bold (a variant of dc): dc diverged by iteration"
    assert (
        done.returncode != 0 and why in done.stderr and "results/report-so-far.html" in done.stderr
    )
    # Below all that Snakemake says of its own accord.
    assert done.stderr.splitlines()[-1].startswith(
        f"error: distill digits dc_bold noise 1 0: {why}"
    )
    page = html.unescape((clone / "results/report-so-far.html").read_text(encoding="utf-8"))
    page = " ".join(page.split())  # as a browser shows it
    assert "This page is incomplete: 1 of 5 sets is missing or not fully measured" in page
    assert f"distill: digits, dc_bold, noise, ipc 1, seed 0</b>: {why}" in page
    assert all(f">{name}" in page for name in ("MTT", "Random")) and Fetches(page).found == []
    # The same by hand, while the study is under way or after.
    (clone / "results/report-so-far.html").unlink()
    command = [starter.interpreter, "-m", "distillery", "report", "results"]
    shown = subprocess.run(
        command, cwd=clone.folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert (
        shown[0].startswith(f"failed: distill: digits, dc_bold, noise, ipc 1, seed 0: {why}")
        and (clone / "results/report-so-far.html").exists()
    )


# ---- the same bits -------------------------------------------------------------------------------


def test_distilling_again_in_another_folder_gives_the_same_bytes(study, clone):
    clone.change(results="again", imported=[])
    # Processes of their own, whose sets have other orders than those of the finished study's jobs.
    clone.environment = {**clone.environment, "PYTHONHASHSEED": "7"}
    # The images are as they were: only what computes runs again.
    (clone / "again/data/digits").mkdir(parents=True)
    (clone / "again/data/digits/dataset.safetensors").write_bytes(
        (study / "results/data/digits/dataset.safetensors").read_bytes()
    )
    again = [place.replace("results/", "again/", 1) for place in (DC, MTT)]
    clone.make(*(f"{place}/synthetic.safetensors" for place in again))
    for place in (DC, MTT):
        for name in NAMES:
            assert (clone / place.replace("results/", "again/", 1) / name).read_bytes() == (
                study / place / name
            ).read_bytes(), f"{place}/{name}"
    shard = "experts/digits/default/shard0/trajectories.safetensors"
    assert (clone / f"again/{shard}").read_bytes() == (study / f"results/{shard}").read_bytes()


# ---- the code that runs --------------------------------------------------------------------------

RANDOM = "results/synthetic/digits/random/real/ipc1/seed0/synthetic.safetensors"


def test_the_checkout_s_code_runs_where_another_copy_is_installed(study, clone):
    """Ahead on the path, as an older one that `pip install .` has left is."""
    installed = clone / "installed/distillery"
    shutil.copytree(clone / "distillery", installed)
    (installed / "methods/random.py").write_text(
        "raise RuntimeError('the installed copy runs')\n", encoding="utf-8"
    )
    (installed / "study" / "study.py").write_text(
        "raise RuntimeError('the installed copy is read')\n", encoding="utf-8"
    )
    (clone / RANDOM).unlink()
    clone.environment = {**clone.environment, "PYTHONPATH": str(installed.parent)}
    clone.make(RANDOM)
    assert (clone / RANDOM).read_bytes() == (study / RANDOM).read_bytes()


def test_an_edit_after_a_run_has_begun_ends_its_job_with_one_line(study, clone):
    """The run is planned, the method is edited, and after the run it is as it was."""
    method = clone / "distillery/methods/random.py"
    text = method.read_text(encoding="utf-8")
    (clone / "edited.smk").write_text(
        f'include: "Snakefile"\nonstart:\n    open({str(method)!r}, "a").write("\\nANOTHER = '
        '1\\n")\n',
        encoding="utf-8",
    )
    (clone / RANDOM).unlink()
    done = clone.snakemake("-s", "edited.smk", "--cores", "1", "--", RANDOM, succeeds=False)
    assert done.returncode != 0 and not (clone / RANDOM).exists()
    assert (
        len(
            [
                line
                for line in done.stderr.splitlines()
                if line.startswith("error: the code of this job changed since the run began")
            ]
        )
        == 1
    )
    method.write_text(text, encoding="utf-8")
    clone.make(RANDOM)
    assert (clone / RANDOM).read_bytes() == (study / RANDOM).read_bytes()


# ---- interruption --------------------------------------------------------------------------------


def test_a_run_killed_in_the_middle_of_a_job_resumes_with_the_same_bytes(clones):
    whole, killed = clones("whole"), clones("killed")
    for clone in (whole, killed):
        clone.change(methods={"dc": {"iterations": 100}}, imported=[])
        path = clone / "distillery/store/checkpoint.py"
        text = path.read_text(encoding="utf-8")
        assert "\nEVERY_SECONDS = 60.0\n" in text
        path.write_text(
            text.replace("\nEVERY_SECONDS = 60.0\n", "\nEVERY_SECONDS = 0.1\n"), encoding="utf-8"
        )
    run = ("--cores", "1", "--", f"{DC}/synthetic.safetensors")
    saved = killed / "results/checkpoints/distill/digits/dc/noise/ipc1/seed0.safetensors"
    with killed.started(*run) as process:
        while not saved.exists():
            assert process.poll() is None, (killed / "run.err").read_text()
            time.sleep(0.02)
        # As a power cut: nobody has time to clean up, the job least of all.
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL and saved.exists()
    whole.snakemake(*run)
    assert not (killed / DC / "synthetic.safetensors").exists()

    refused = killed.snakemake(*run, succeeds=False)
    assert refused.returncode != 0 and "--unlock" in refused.stderr
    killed.snakemake("--unlock")
    killed.snakemake(*run)
    assert (
        "resuming from the checkpoint" in killed.logs()
        and "resuming from the checkpoint" not in whole.logs()
    )
    assert not saved.exists()
    for name in NAMES:
        assert (killed / DC / name).read_bytes() == (whole / DC / name).read_bytes(), name
