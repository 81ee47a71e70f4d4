"""What jobs are asked: of JSON types, one dataclass a rule, and what of it a record says."""

import json

import pytest

from distillery.store.layout import Layout
from distillery.store.metrics import Metrics
from distillery.study.jobs import Jobs
from distillery.study.params import RULES, names
from tests.unit.datasets import drawn
from tests.unit.study.test_jobs import jobs_of

STUDY = {
    "grid": [
        {"dataset": "digits", "method": ["dc", "mtt"], "init": "real", "ipc": 1},
        {"dataset": "digits", "method": "mtt_plain", "init": "real", "ipc": 1},
        {"dataset": "pets", "method": "random", "init": "real", "ipc": 1},
    ],
    "methods": {
        "mtt": {"normalization": "zca", "max_start_epoch": 1, "expert_epochs": 1},
        "mtt_plain": {"of": "mtt", "normalization": "channel", "experts": "plain"},
    },
    "experts": {
        "default": {"number": 1, "epochs": 2, "normalization": "zca"},
        "plain": {"number": 1, "epochs": 2},
    },
    "continual": {"memories": ["given", "per_step"]},
    "evaluate": {"networks": ["ConvNet"], "robust": {"models": 1}},
    "vanilla": {"networks": ["ConvNet"]},
    "search": {"datasets": ["digits"], "options": {"width": [4, 8, 16]}},
    "privacy": {"models": 1},
}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "released.pt"
    path.touch()
    pets = drawn.folder(path.parent / "pets", {"cat": 3, "dog": 3})
    entry = {"name": "released", "dataset": "digits", "file": str(path), "ipc": 1}
    own = {"pets": {"kind": "folder", "path": str(pets), "size": 32}}
    return jobs_of(**STUDY, imported=[entry], datasets=own, data={"validation": 0})


@pytest.fixture(scope="module")
def asked(jobs):
    """The params of every job of the study, and of those that show it."""
    found = [jobs.params(job.rule, dict(job.wildcards)) for job in jobs.all]
    return [
        *found,
        jobs.params("collect", {}),
        jobs.params("report", {}),
        jobs.params("figures", {}),
    ]


def test_the_study_has_jobs_of_every_rule(jobs):
    assert {job.rule for job in jobs.all} | {"collect", "report", "figures"} == set(RULES)


def test_params_are_of_json_types_and_have_the_names_that_a_rule_declares(jobs, asked):
    """Snakemake compares nothing else: any other value would change unseen."""
    for params in asked:
        assert json.loads(json.dumps(vars(params), sort_keys=True)) == vars(params)
    for job in jobs.all:
        params = jobs.params(job.rule, dict(job.wildcards))
        assert type(params) is RULES[job.rule] and list(vars(params)) == names(job.rule)
        assert params.job == dict(job.wildcards)


def test_a_record_says_all_but_paths_of_this_machine(jobs):
    elsewhere = Jobs(jobs.study, Layout("elsewhere"))
    left_out = set()
    for job in jobs.all:
        wildcards = dict(job.wildcards)
        record, params = jobs.asked(job.rule, wildcards), jobs.params(job.rule, wildcards)
        assert record == elsewhere.asked(job.rule, wildcards)
        left_out |= set(vars(params)) - set(record)
        for name in set(record) - {"entry"}:
            assert record[name] == getattr(params, name)
    assert left_out == {"checkpoint"}


def test_a_record_of_an_imported_set_says_where_in_its_files_it_is_and_not_where_they_are():
    entry = {"name": "released", "file": ["a.pt", "b.pt"], "labels": "c.pt", "step_size": 0.1}
    params = RULES["import_synthetic"](job={}, code="", cell={}, entry=entry)
    assert params.recorded()["entry"] == {"name": "released", "step_size": 0.1}
    assert params.entry == entry


def test_every_job_says_whose_its_measurements_are(asked):
    columns = {}
    for params in asked:
        unread = ("recipe", "step")  # of jobs that record losses by themselves, or nothing
        identity = {key: value for key, value in params.identity.items() if key not in unread}
        metrics = Metrics(rule=params.kind, **identity)  # refuses what is no column
        metrics.add("accuracy", 0.5)
        columns.setdefault(params.kind, set()).add(frozenset(metrics.rows[0]))
        for name in {"ipc", "seed"} & identity.keys():
            assert isinstance(identity[name], int)
    cell = {"dataset", "method", "init", "ipc", "seed"}
    always = {"rule", "measure", "value"}
    assert columns["distill"] == {frozenset(cell | always)}
    assert columns["evaluate_synthetic"] == {frozenset(cell | always | {"network"})}
    assert columns["train_vanilla"] == {frozenset({"dataset", "method", "network"} | always)}
    learned = {"dataset", "network", "strategy", "steps", "order"} | always
    assert columns["continual"] == {frozenset(learned), frozenset(learned | cell | {"memory"})}
