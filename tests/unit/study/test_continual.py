"""How classes arrive, and which parts memories are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.store.layout import Layout
from distillery.study import continual
from distillery.study.jobs import Jobs
from tests.unit.study.small import BLOCK, MTT, refusal, study

PER_STEP = {"continual__memories": ["given", "per_step"]}


@given(classes=st.integers(1, 100), groups=st.integers(1, 100))
def test_groups_are_nearly_equal_and_hold_each_class_once_in_order(classes, groups):
    if groups > classes:
        with pytest.raises(UserError, match=f"{groups} groups of {classes} classes"):
            continual.groupings(classes, groups)
        return
    split = continual.groupings(classes, groups)[groups]
    assert len(split) == groups and [c for group in split for c in group] == list(range(classes))
    assert max(map(len, split)) - min(map(len, split)) <= 1


def test_groups_in_full_are_kept_as_they_are():
    assert continual.groupings(4, [[3, 0], [2, 1]]) == {2: [[3, 0], [2, 1]]}
    for wrong in ([[0, 1], [1, 2, 3]], [[0, 1, 2]], [[0, 1, 2, 3], []], [[0, 1, 2, 3, 4]]):
        with pytest.raises(UserError, match="each class 0 to 3 once"):
            continual.groupings(4, wrong)


def groups_of(**changes):
    return continual.splits(study(**changes), "digits")


def test_order_0_is_the_dataset_s_own_and_others_are_drawn_by_the_seed():
    found = groups_of(continual__groups=[2, 5], continual__orders=3)
    assert list(found) == [(steps, order) for steps in (2, 5) for order in range(3)]
    assert found[2, 0] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert found == groups_of(continual__groups=[2, 5], continual__orders=3)
    orders = [[c for group in found[5, order] for c in group] for order in range(3)]
    assert orders == [[c for group in found[2, order] for c in group] for order in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)
    other = groups_of(continual__groups=2, continual__orders=3, seed=1)
    assert other[2, 0] == found[2, 0] and other[2, 1] != found[2, 1]


def test_an_order_does_not_depend_on_how_many_there_are():
    assert groups_of(continual__orders=2)[2, 1] == groups_of(continual__orders=9)[2, 1]


def test_groups_that_are_given_keep_their_sizes_in_every_order():
    given = [[3, 1], [0, 2, 4, 5, 6, 7], [8, 9]]
    found = groups_of(continual__groups=given, continual__orders=2)
    assert list(found) == [(3, 0), (3, 1)] and found[3, 0] == given
    assert [len(group) for group in found[3, 1]] == [2, 6, 2] and found[3, 1] != given


@pytest.mark.parametrize("groups", [[2, [0, 1]], [[0, 1], [2]], [[]], [[0] * 10]])
def test_groups_that_are_neither_numbers_nor_all_classes_once_are_refused(groups):
    told = refusal(continual__groups=groups)
    assert told.startswith(f"config: continual.groups: {groups} must name each class 0 to 9 once")


def jobs_of(**changes):
    found = study(**changes)
    return Jobs(found, Layout("out"))


def test_a_memory_per_step_is_made_of_parts_each_of_its_step_s_classes():
    jobs = jobs_of(**PER_STEP, continual__orders=2, continual__images_per_class=30)
    parts = [job for job in jobs.all if job.rule == "step_distill"]
    assert len(parts) == len({job.record for job in parts}) == 4
    groups = continual.splits(jobs.study, "digits")
    for job in parts:
        wildcards = dict(job.wildcards)
        asked = jobs.params(job.rule, wildcards)
        at, step = (2, int(wildcards["order"])), int(wildcards["step"])
        assert asked.classes == groups[at][step] and asked.network["classes"] == 5
        assert asked.images_per_class == 30 and asked.snapshots == 1
        whole = {name: wildcards[name] for name in ("dataset", "method", "init", "ipc", "seed")}
        assert asked.settings == jobs.params("distill", whole).settings
    cells = [jobs.params(job.rule, dict(job.wildcards)).cell for job in parts]
    assert len({tuple(cell.values()) for cell in cells}) == 4, "each has streams of its own"
    memory = {"strategy": "gdumb", "memory": "per_step", **dict(parts[-1].wildcards)}
    assert jobs.inputs("continual_memory", memory)["memory"] == [
        f"out/step_sets/digits/steps2/order1/step{step}/dc/real/ipc1/seed0/synthetic.safetensors"
        for step in range(2)
    ]


def test_experts_of_a_part_are_trained_on_its_step():
    mtt = {"grid": [{**BLOCK, "method": "mtt"}], "methods__mtt": MTT}
    jobs = jobs_of(**mtt, **PER_STEP, experts__default={"number": 2, "shard": 1, "epochs": 5})
    assert sum(job.rule == "step_experts" for job in jobs.all) == 2 * 2
    (part, *_) = (job for job in jobs.all if job.rule == "step_distill")
    read = jobs.inputs(part.rule, dict(part.wildcards))["experts"]
    assert read == [
        f"out/step_experts/digits/steps2/order0/step0/default/shard{shard}/trajectories.safetensors"
        for shard in range(2)
    ]
    (expert, *_) = (job for job in jobs.all if job.rule == "step_experts")
    asked = jobs.params(expert.rule, dict(expert.wildcards))
    assert asked.classes == [0, 1, 2, 3, 4] and asked.network["classes"] == 5


def test_what_no_strategy_remembers_is_not_made():
    alone = jobs_of(**PER_STEP, continual__strategies=["finetune", "joint"])
    assert not [job for job in alone.all if job.rule.startswith("step")]


def test_a_set_that_knows_all_classes_has_no_parts():
    white = {"overrides": [{"when": {"ipc": 2}, "normalization": "zca"}]}
    grid = [{**BLOCK, "ipc": [1, 2]}]
    jobs = jobs_of(grid=grid, methods__dc=white, **PER_STEP)
    parts = [dict(job.wildcards) for job in jobs.all if job.rule == "step_distill"]
    assert {part["ipc"] for part in parts} == {"1"}
    told = refusal(grid=[{**BLOCK, "ipc": 2}], methods__dc=white, **PER_STEP)
    assert told.startswith("config: continual.memories: per_step: no set of continual.memory can")


def test_a_part_that_cannot_be_made_is_refused_before_any_job():
    one = {"continual__groups": 10, **PER_STEP}
    told = refusal(**one)
    assert told.startswith("config: continual.memories: per_step: dc learns from telling classes")
    study(grid=[{**BLOCK, "method": ["dm", "random", "herding"]}], **one)
    few = {"continual__images_per_class": 10, **PER_STEP}
    study(grid=[{**BLOCK, "ipc": 9}], **few)
    told = refusal(grid=[{**BLOCK, "ipc": 10}], **few)
    assert "dc takes 10 images per class, and continual.images_per_class 10 leaves about 9" in told
