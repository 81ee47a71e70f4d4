"""What is kept of a machine, and the line at the start of a run."""

import json
import time

import pytest

from distillery.estimate import kept
from distillery.estimate.kept import Kept, Taken
from tests.unit.estimate.given import CALLS, CONFIG, jobs_of

COMPUTE = {"threads": 1, "precision": "auto"}


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def keep(jobs, taken=(60.0, 1e9, 1e6), *, measured=None, left_out=()):
    held = {
        kept.key(jobs, job): list(taken) for job in kept.all_jobs(jobs) if job.rule not in left_out
    }
    compute = jobs.study.config["compute"]
    kept.save(compute, Kept(CALLS.as_json(), measured or time.time(), held))


def test_what_is_kept_is_read_again():
    held = Kept({"start": 1.0}, 5.0, {"a": [1.0, 2.0, 3.0]})
    kept.save(COMPUTE, held)
    assert kept.load(COMPUTE) == held
    assert kept.load(COMPUTE | {"threads": 2}) == Kept()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rates": 1}'])
def test_a_damaged_file_is_none(text):
    kept.save(COMPUTE, Kept())
    kept._path(COMPUTE).write_text(text, encoding="utf-8")
    assert kept.load(COMPUTE) == Kept()


def test_a_measurement_is_good_for_a_month():
    now = time.time()
    assert Kept({"start": 1.0}, now).is_good
    assert not Kept({"start": 1.0}, now - 31 * 86400).is_good
    assert not Kept({}, now).is_good


def test_an_edit_of_code_keeps_an_estimate_and_a_setting_does_not(monkeypatch):
    methods = CONFIG["methods"] | {"dc": {"iterations": 4}}
    jobs, more = jobs_of(), jobs_of(methods=methods)
    dc = [job for job in jobs.all if dict(job.wildcards).get("method") == "dc"]
    before = [kept.key(jobs, job) for job in dc]
    changed = jobs_of()
    monkeypatch.setattr("distillery.study.jobs.fingerprint", lambda *names: "other")
    assert [kept.key(changed, job) for job in dc] == before
    assert kept.key(more, dc[0]) != before[0]


def test_jobs_share_the_slots_and_the_longest_bounds_them():
    four = [("distill", Taken(10.0, 0, 0))] * 4
    assert kept.wall(four, 1) == 40 and kept.wall(four, 2) == 20
    assert kept.wall([*four, ("distill", Taken(100.0, 0, 0))], 4) == 100
    assert kept.wall([*four, ("report", Taken(7.0, 0, 0))], 4) == 17
    assert kept.wall([("distill", Taken(None, 0, 0))], 1) == 0


@pytest.mark.parametrize(
    ("cores", "threads", "gpu", "slots"),
    [(8, 2, None, 4), (8, 2, 1, 1), (1, 2, 4, 1), (8, 1, 4, 4), (2, 16, None, 1)],
)
def test_threads_and_the_resource_limit_what_runs_side_by_side(cores, threads, gpu, slots):
    assert kept.side_by_side(cores, threads, gpu) == slots


def test_a_total_says_what_is_unknown():
    taken = [("distill", Taken(600.0, 1.2e9, 2e7)), ("distill", Taken(None, 1e9, 2e7))]
    assert kept.total(taken, 1) == (
        "2 jobs, about 10 minutes and 1 of unknown length, 1.2 GB memory, 40 MB disk"
    )


def test_without_a_measurement_the_line_says_how_to_get_one():
    jobs = jobs_of()
    count = len(kept.all_jobs(jobs))
    assert kept.line(jobs, 2, 1, "my.yaml") == (
        f"{count} jobs; `distillery estimate my.yaml` says how long they take"
    )
    keep(jobs, measured=time.time() - 40 * 86400)
    assert "`distillery estimate my.yaml`" in kept.line(jobs, 2, 1, "my.yaml")


def test_the_line_is_of_what_is_kept(tmp_path):
    jobs = jobs_of(tmp_path / "results")
    keep(jobs)
    count = len(kept.all_jobs(jobs))
    assert kept.line(jobs, 2, 1, "my.yaml") == (
        f"{count} jobs, about {count} minutes, 1.0 GB memory, {count} MB disk "
        "(estimated for this processor)"
    )


def test_the_line_leaves_out_what_is_there_and_names_what_is_new(tmp_path):
    jobs = jobs_of(tmp_path / "results")
    keep(jobs, left_out=["train_experts"])
    for job in kept.all_jobs(jobs):
        if job.rule == "evaluate_synthetic":
            (tmp_path / job.record).parent.mkdir(parents=True)
            (tmp_path / job.record).touch()
    count = len(kept.all_jobs(jobs))
    line = kept.line(jobs, 2, 1, "my.yaml")
    assert line.startswith(
        f"{count} jobs, 3 of them with results; to come: {count - 4} jobs, about "
    )
    assert line.endswith("; not estimated yet: 1, by `distillery estimate my.yaml`")


def test_a_long_study_names_smaller_ones_where_there_is_no_gpu(monkeypatch, tmp_path):
    jobs = jobs_of(tmp_path / "results")
    keep(jobs, (3600.0, 1e9, 1e6))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "config/quickstart.yaml" in kept.line(jobs, 2, 1, "my.yaml")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    assert "config/quickstart.yaml" not in kept.line(jobs, 2, 1, "my.yaml")


def test_nothing_of_the_line_ends_a_run(monkeypatch):
    jobs = jobs_of()

    class Resource:
        value = 2

    text = kept.beginning(jobs, {"_cores": Resource(), "gpu": Resource()}, "my.yaml")
    assert text.endswith(" says how long they take\n")
    assert kept.beginning(jobs, {"_cores": "many"}, "my.yaml") == ""
    monkeypatch.setattr(json, "loads", lambda text: 1 / 0)
    keep(jobs)
    assert kept.beginning(jobs, {"_cores": 1}, "my.yaml") == ""
