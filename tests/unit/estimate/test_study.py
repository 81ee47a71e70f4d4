"""The estimates of a study's jobs."""

import json
from dataclasses import replace

import pytest

from distillery.compute import processor
from distillery.estimate import kept, study
from distillery.estimate.study import Estimates
from distillery.store.costs import sealed
from tests.unit.estimate.given import CALLS, TEST, jobs_of


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def by_job(found):
    return {(each.job.rule, *dict(each.job.wildcards).values()): each for each in found}


@pytest.mark.slow
def test_every_job_is_estimated(tmp_path):
    jobs = jobs_of(tmp_path / "results")
    found = Estimates(jobs, CALLS, False).all()
    assert [each.job for each in found] == kept.all_jobs(jobs)
    assert all(each.taken.seconds >= 2.0 and each.taken.memory > 5e8 for each in found)
    vanilla = by_job(found)["train_vanilla", "digits", "ConvNet"]
    # Five layers, a millisecond each: 18 steps and four tests.
    assert vanilla.taken.seconds == pytest.approx(2.0 + 5e-3 * (18 + 4 * TEST / 512))
    assert vanilla.why == "measured"


def test_a_finished_job_of_its_kind_wins(tmp_path):
    jobs = jobs_of(tmp_path / "results")
    plain = by_job(Estimates(jobs, CALLS, False).all())
    name = ("evaluate_synthetic", "digits", "dc", "real", "1", "0", "ConvNet")
    job = plain[name].job
    asked = jobs.asked(job.rule, dict(job.wildcards))
    record = {
        "rule": "evaluate_synthetic",
        "asked": asked,
        "seconds": 3 * (plain[name].taken.seconds - 2.0),
        "device_name": processor.name(),
        "threads": 1,
    }
    path = tmp_path / job.record
    path.parent.mkdir(parents=True)

    def written(**changes):
        path.write_text(json.dumps(sealed(record | changes)), encoding="utf-8")
        return by_job(Estimates(jobs, CALLS, False).all())

    scaled = written()
    for key, each in scaled.items():
        times = 3 if key[0] == name[0] else 1
        before = plain[key].taken.seconds
        assert each.taken.seconds == pytest.approx(2.0 + times * (before - 2.0))
        assert each.why == ("past" if times == 3 else "measured")
    for other in ({"threads": 2}, {"device_name": "another"}, {"rule": "unheard of"}):
        assert written(**other) == plain
    # Snakemake's own record is of all that the job did.
    benchmark = tmp_path / jobs.layout.benchmark(job.rule).format(**dict(job.wildcards))
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\n52.0\t0:00:52\n", encoding="utf-8")
    assert written()[name].taken.seconds == pytest.approx(52.0)


def test_a_method_that_says_nothing_is_of_unknown_length(tmp_path, monkeypatch):
    monkeypatch.delattr("distillery.methods.dc.expected_work")
    found = by_job(Estimates(jobs_of(tmp_path / "results"), CALLS, False).all())
    said = found["distill", "digits", "dc", "real", "1", "0"]
    assert said.taken.seconds is None and said.flops is None and "expected_work" in said.why
    assert found["distill", "digits", "mtt", "real", "1", "0"].taken.seconds is not None


def test_a_machine_is_measured_once_a_month(tmp_path, monkeypatch):
    measured, notes = [], []

    def measure(threads):
        measured.append(threads)
        return CALLS

    monkeypatch.setattr(study, "measure", measure)
    monkeypatch.setattr(study, "can_compile", lambda kind: False)
    jobs = jobs_of(tmp_path / "results")
    first = study.of(jobs, None, note=notes.append)
    assert study.of(jobs, None, note=notes.append) == first
    assert measured == [1] and len(notes) == 1
    study.of(jobs, None, again=True)
    assert measured == [1, 1]
    held = kept.load(jobs.study.config["compute"])
    assert set(held.jobs) == {kept.key(jobs, each.job) for each in first}


def test_a_gpu_needs_no_measurement_and_no_past_of_the_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "measure", None)
    found = study.of(jobs_of(tmp_path / "results"), "h100")
    assert {each.why for each in found} == {"measured"}
    assert kept.load(jobs_of().study.config["compute"]) == kept.Kept()


def test_operations_are_those_of_the_passes(tmp_path):
    slow = replace(CALLS, start=0.0)
    found = by_job(Estimates(jobs_of(tmp_path / "results"), slow, False).all())
    vanilla = found["train_vanilla", "digits", "ConvNet"]
    one_image = 2 * (8 * 8 * 8 * 9 + 8 * 16 * 10)
    assert vanilla.flops == pytest.approx(one_image * (3 * 18 * 256 + 4 * TEST))
