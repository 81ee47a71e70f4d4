"""The block of jobs that the page's script reads."""

import json
import string

from distillery.report.sections import traced
from distillery.store import layout
from tests.unit.report.sections.test_scorecard import results_of
from tests.unit.report.sections.test_verdict import LEVELS, jobs, measured

EVALUATED = {
    "asked": {"job": {"dataset": "MNIST", "method": "dc", "ipc": "1", "network": "ConvNet"}},
    "rule": "evaluate_synthetic",
    "dataset": "MNIST",
    "settings": {"epochs": 3, "note": "</script><b>"},
    "versions": {"torch": "2.14.1"},
    "code": "ab12",
    "outputs": {"metrics.csv": "0" * 64},
    "started": "2026-01-02T10:00:00+00:00",
    "seconds": 12.0,
    "energy_joules": None,
    "peak_memory_bytes": 2**30,
}


def block_of(costs):
    text = traced.view(results_of(measured(LEVELS), costs))
    assert "<" not in text, "nothing in it ends the script"
    return json.loads(text)


def test_a_job_says_what_it_was_asked_and_what_it_took():
    block = block_of([EVALUATED, {**EVALUATED, "energy_joules": 1500.0}])
    first, second = block["jobs"]
    assert first["job"] == EVALUATED["asked"]["job"] and first["files"] == ["metrics.csv"]
    assert (first["took"], first["started"]) == ("12 s", "2026-01-02 10:00:00")
    assert "energy" not in first and second["energy"] == "1.5 kJ"
    assert block["shared"]["settings"][first["settings"]] == EVALUATED["settings"]


def test_a_job_says_where_it_ran_if_its_record_does():
    block = block_of([EVALUATED, *({**EVALUATED, "host": host} for host in ("a", "b", "a"))])
    assert "host" not in block["jobs"][0]
    assert block["shared"]["host"] == ["a", "b"]
    assert [job["host"] for job in block["jobs"][1:]] == [0, 1, 0]


def test_what_jobs_share_stands_once():
    block = block_of(jobs(LEVELS, dc={"epochs": 1}))
    assert len(block["jobs"]) == 9 and len(block["shared"]["settings"]) == 2


def test_every_rule_with_a_record_has_a_folder_and_a_log_of_the_same_wildcards():
    known = layout.Layout(".")
    for rule in ("train_experts", "distill", "evaluate_synthetic", "train_vanilla", "search"):
        patterns = known.folder(rule), known.log(rule)
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(one) if name} for one in patterns
        ]
        assert fields[0] == fields[1] and fields[0], rule
    assert known.folder("report") == ""
