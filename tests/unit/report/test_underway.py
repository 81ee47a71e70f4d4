"""What is said of a study that is not finished."""

import copy
import fcntl
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from distillery.__main__ import main
from distillery.errors import UserError
from distillery.report import underway
from distillery.run import job as running
from distillery.store.layout import filled
from distillery.study import written
from distillery.study.jobs import digest
from tests.unit.report import test_asked

jobs_of, made = test_asked.jobs_of, test_asked.made
DC, MTT = (
    {"dataset": "digits", "method": method, "init": "real", "ipc": "1", "seed": "0"}
    for method in ("dc", "mtt")
)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A study of which all is done but MTT's set and what follows from it."""
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of()
    written.write_asked(jobs)
    written.write_study(jobs)
    for job in jobs.all:
        if dict(job.wildcards).get("method") != "mtt":
            made(jobs, job)
    return jobs


def log_of(jobs, rule, wildcards, *lines):
    path = Path(filled(jobs.layout.log(rule), wildcards))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(f"12:00:0{i} {line}\n" for i, line in enumerate(lines)), encoding="utf-8"
    )
    return path


def found(jobs, rule="distill", wildcards=MTT):
    (state,) = [
        state
        for state in underway.states(jobs)
        if state.job.rule == rule and wildcards.items() <= dict(state.job.wildcards).items()
    ]
    return state.state, state.why


BEGAN = "began 2026-11-27T12:00:00+0000"


def test_a_job_that_failed_is_named_with_its_last_error_and_what_waits_for_it_with_it(jobs):
    log_of(
        jobs,
        "distill",
        MTT,
        BEGAN,
        "on a processor with 1 threads",
        "error: mtt diverged by iteration 3: try lr_images 5",
    )
    assert found(jobs) == ("failed", "mtt diverged by iteration 3: try lr_images 5")
    assert found(jobs, "evaluate_synthetic") == (
        "waiting",
        "for distill: digits, mtt, real, ipc 1, seed 0, which failed",
    )
    assert found(jobs, wildcards=DC) == ("done", "")


def test_a_job_that_ended_by_a_traceback_is_named_with_its_last_line(jobs):
    path = log_of(jobs, "distill", MTT, BEGAN, "Traceback (most recent call last):")
    path.write_text(path.read_text() + '  File "x.py", line 1, in f\nKeyError: 3\n\n')
    assert found(jobs) == ("failed", "KeyError: 3")


def test_a_job_is_running_while_its_process_holds_the_log_and_was_stopped_when_none_does(jobs):
    path = log_of(jobs, "distill", MTT, BEGAN, "distillation: 3 of 100 iterations")
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        why = "since 2026-11-27 12:00 UTC; distillation: 3 of 100 iterations"
        assert found(jobs) == ("running", why)
    state, why = found(jobs)
    assert state == "stopped" and "2026-11-27 12:00 UTC" in why


def test_a_job_that_runs_says_how_far_it_is(jobs):
    told = "distillation: 3 of 100 iterations, 40 s, 22 min left, matching loss 0.5"
    path = log_of(jobs, "distill", MTT, BEGAN, "on a processor", told, "wrote a checkpoint")
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert found(jobs) == ("running", f"since 2026-11-27 12:00 UTC; {told}")
        assert found(jobs, "evaluate_synthetic")[0] == "waiting"


def test_a_job_of_another_machine_runs_while_its_log_grows(jobs):
    """Its lock is not seen through every file system that the two share."""
    path = log_of(jobs, "distill", MTT, f"{BEGAN}, on node17", "distillation: 3 of 100 iterations")
    state, why = found(jobs)
    assert state == "running" and "since 2026-11-27 12:00 UTC on node17; " in why
    silent = path.stat().st_mtime - underway.SILENT - 120
    os.utime(path, (silent, silent))
    state, why = found(jobs)
    assert state == "stopped" and "node17 has not written to it for 12 min" in why
    log_of(jobs, "distill", MTT, f"{BEGAN}, on node17", "error: mtt diverged")
    assert found(jobs) == ("failed", "mtt diverged")


def test_the_status_counts_what_is_done_and_names_what_is_not(jobs, capsys, monkeypatch):
    log_of(jobs, "distill", MTT, BEGAN, "error: mtt diverged by iteration 3")
    assert main(["status", "out"]) == 0, capsys.readouterr().err
    first, *lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r".+: 6 of 8 jobs and 1 of 2 sets are done \(/.*/out\)", first)
    assert lines == [
        "failed: 1 job",
        "  distill: digits, mtt, real, ipc 1, seed 0: mtt diverged by iteration 3",
        "    log: out/logs/distill/digits/mtt/real/ipc1/seed0.log",
        "waiting: 1 job: 1 evaluate_synthetic",
    ]
    assert main(["status", "out", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["jobs_done"] + len(about["missing"]) == about["jobs"]
    assert about["missing"][0]["wildcards"] == MTT

    # Again and again, until it is interrupted.
    def sleep(seconds):
        assert seconds == 30
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    assert main(["status", "out", "--every", "30", "--all"]) == 0
    assert "for distill: digits, mtt, real, ipc 1, seed 0, which failed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["status", "out", "--every", "soon"])
    assert "soon is no number of seconds" in capsys.readouterr().err


def test_a_job_s_own_log_says_the_same(jobs):
    path = log_of(jobs, "distill", MTT)
    seen = []
    with pytest.raises(SystemExit), running.run(str(path)):
        seen.append(found(jobs)[0])
        raise UserError("too large: give less")
    assert seen == ["running"] and found(jobs) == ("failed", "too large: give less")
    with running.run(str(path)):
        pass
    assert found(jobs) == ("waiting", "for its turn")  # it was done, and its files are gone


def asked_of(jobs, rule, wildcards):
    return digest(jobs.asked(rule, wildcards))


@pytest.mark.slow
@pytest.mark.parametrize("error", ["error: diverged", "distillation: 3 of 100 iterations"])
def test_what_ended_before_its_job_was_changed_waits_whenever_the_files_were_written(jobs, error):
    path = log_of(jobs, "distill", MTT, f"{BEGAN}, asked {asked_of(jobs, 'distill', MTT)}", error)
    other = jobs_of(methods={"mtt": {**test_asked.CONFIG["methods"]["mtt"], "iterations": 4}})
    alike = jobs_of(methods={**test_asked.CONFIG["methods"], "dc": {"iterations": 4}})
    for time in (1, 2**32):  # a copy of the results has times of its own
        os.utime(path, (time, time))
        ended = ("failed", "diverged") if "error" in error else ("stopped", found(jobs)[1])
        assert found(jobs) == found(alike) == ended
        assert found(other) == (
            "waiting",
            "for the next run: the study has changed since it "
            f"{'failed' if 'error' in error else 'began'}",
        )


def test_what_is_not_what_the_study_asks_for_is_missing_and_so_is_what_was_made_from_it(jobs):
    other = jobs_of(methods={**test_asked.CONFIG["methods"], "dc": {"iterations": 4}})
    assert found(other, wildcards=DC) == (
        underway.STALE,
        f"{test_asked.DC}: settings.iterations: has 1000, the study asks 4",
    )
    assert found(other, "evaluate_synthetic", DC)[0] == underway.STALE
    about = underway.missing_jobs(other, underway.states(other))
    assert (about["sets"], about["of"], about["jobs"], about["of_jobs"]) == (2, 2, 4, 8)


def test_what_was_made_from_a_set_that_is_made_again_says_so(jobs):
    """Not that the set has one digest and the study asks for none."""
    (job,) = [one for one in jobs.all if one.rule == "distill" and dict(one.wildcards) == DC]
    shutil.rmtree(Path(job.record).parent)
    name = "distill: digits, dc, real, ipc 1, seed 0"
    path = log_of(jobs, "distill", DC, BEGAN, "distillation: 3 of 100 iterations")
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        why = f"it was made from what is running: {name}"
        assert found(jobs, "evaluate_synthetic", DC) == (underway.STALE, why)
    log_of(jobs, "distill", DC, BEGAN, "error: too large: give less")
    assert found(jobs, "evaluate_synthetic", DC)[1] == f"it was made from what failed: {name}"


def test_a_finished_study_misses_nothing(jobs):
    for job in jobs.all:
        if not Path(job.record).exists():
            made(jobs, job)
    states = underway.states(jobs)
    assert underway.missing_jobs(jobs, states) is None and underway.lines(
        jobs, states, "page.html"
    ) == [
        "all 8 jobs are done",
        "page.html",
    ]


def test_a_study_is_read_from_its_results_wherever_one_stands(jobs, tmp_path, monkeypatch):
    wanted = copy.deepcopy(jobs.study.config)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert underway.read_study("../out").study.config == wanted and Path.cwd() == tmp_path


@pytest.mark.parametrize("content", [None, "", "[]", '{"config": {}}'])
def test_a_folder_without_a_study_is_refused_in_one_line(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^none: is no folder; give the results folder"):
        underway.read_study("none")
    Path("out").mkdir()
    if content is not None:
        Path("out/study.json").write_text(content)
    with pytest.raises(
        UserError, match=r"^out/study.json: .*; .*run.* snakemake|^out/study.json: .*run that once$"
    ) as caught:
        underway.read_study("out")
    assert "\n" not in str(caught.value)
