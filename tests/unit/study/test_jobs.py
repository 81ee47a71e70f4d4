"""What a study asks of its jobs."""

import copy
import re
from pathlib import Path

import pytest

from distillery.store.layout import Layout
from distillery.study import fingerprint, load
from distillery.study.jobs import Jobs

ROOT = Path(__file__).resolve().parents[3]
CONFIG = {
    "study": "Jobs",
    "results": "out",
    "grid": [
        {"dataset": "digits", "method": ["dc", "mtt", "random"], "init": "real", "ipc": [1, 2]}
    ],
    "methods": {
        "dc": {"iterations": 3},
        "mtt": {
            "overrides": [{"when": {"ipc": 2}, "normalization": "zca", "experts": "white"}],
            "max_start_epoch": 1,
            "expert_epochs": 1,
        },
    },
    "experts": {
        "default": {"number": 5, "shard": 2, "epochs": 2},
        "white": {"number": 1, "epochs": 2, "normalization": "zca"},
    },
    "evaluate": {"networks": ["ConvNet", "MLP"], "robust": {"models": 1}},
}


def jobs_of(**changes) -> Jobs:
    config = copy.deepcopy(CONFIG) | changes
    study = load.study(config)
    return Jobs(study, Layout(study.config["results"]))


@pytest.fixture(scope="module")
def jobs() -> Jobs:
    return jobs_of()


def test_every_job_of_the_study_is_there_once_with_its_record(jobs):
    records = [job.record for job in jobs.all]
    assert len(records) == len(set(records)) == len(set(jobs.all))
    count = {
        rule: sum(job.rule == rule for job in jobs.all) for rule in {job.rule for job in jobs.all}
    }
    assert count == {
        "download": 1,
        "whiten": 1,
        "train_experts": 3 + 1,
        "distill": 6,
        "evaluate_synthetic": 12,
        "evaluate_robust": 4,
        "train_vanilla": 1,
        "continual_alone": 2,
        "continual_whitened": 1,
        "continual_memory": 18,
    }
    assert all(job.metrics for job in jobs.measuring) and {job.rule for job in jobs.all} - {
        job.rule for job in jobs.measuring
    } == {
        "download",
        "whiten",
        "continual_whitened",
    }


def test_what_a_job_reads_is_what_its_rule_declares(jobs):
    rules = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")
    )
    for job in jobs.all:
        head = rf"(?:^rule {job.rule}:|as {job.rule} with:)\n"
        inputs = re.search(rf"{head}    input:\n(.*?)^    output:", rules, re.MULTILINE | re.DOTALL)
        named = re.findall(r"^        (\w+)=", inputs[1], re.MULTILINE) if inputs else []
        assert set(named) == set(jobs.inputs(job.rule, dict(job.wildcards)))


def test_a_set_reads_the_experts_and_the_space_of_its_own_recipe(jobs):
    cell = {"dataset": "digits", "method": "mtt", "init": "real", "ipc": "1", "seed": "0"}
    shards = [f"out/experts/digits/default/shard{n}/trajectories.safetensors" for n in range(3)]
    assert jobs.inputs("distill", cell) == {
        "data": ["out/data/digits/dataset.safetensors"],
        "whitening": [],
        "experts": shards,
        "start": [],
    }
    white = jobs.inputs("distill", cell | {"ipc": "2"})
    assert white["experts"] == ["out/experts/digits/white/shard0/trajectories.safetensors"]
    assert white["whitening"] == ["out/data/digits/whitening.safetensors"]


TAUGHT = {
    "methods": {},
    "evaluate": {"networks": ["ConvNet"], "labels": ["own", "teacher"], "teacher": {"number": 3}},
    "vanilla": {"networks": ["ConvNet"], "labels": "teacher", "teacher": {"experts": "other"}},
    "grid": [{"dataset": "digits", "method": "random", "init": "real", "ipc": 1}],
    "experts": {
        "default": {"number": 5, "shard": 2, "epochs": 2},
        "other": {"number": 1, "epochs": 2},
    },
}


def test_a_training_under_a_teacher_reads_the_shards_that_hold_it():
    """And they are jobs of the study, where no set learns from them."""
    jobs = jobs_of(**TAUGHT)
    cell = {"dataset": "digits", "method": "random", "init": "real", "ipc": "1", "seed": "0"}
    wildcards = cell | {"network": "ConvNet"}
    shards = [f"out/experts/digits/default/shard{n}/trajectories.safetensors" for n in range(2)]
    assert jobs.inputs("evaluate_synthetic", wildcards)["experts"] == shards
    of_all = jobs.inputs("train_vanilla", {"dataset": "digits", "network": "ConvNet"})["experts"]
    assert of_all == ["out/experts/digits/other/shard0/trajectories.safetensors"]
    trained = [dict(job.wildcards) for job in jobs.all if job.rule == "train_experts"]
    assert {(each["recipe"], each["shard"]) for each in trained} == {
        ("default", "0"),
        ("default", "1"),
        ("default", "2"),
        ("other", "0"),
    }


def test_an_edit_of_the_teacher_s_network_makes_what_it_teaches_stale():
    networks = ["MLP"]
    asked = {
        **TAUGHT,
        "evaluate": TAUGHT["evaluate"] | {"networks": networks},
        "vanilla": {"networks": []},
    }
    wildcards = {"dataset": "digits", "method": "random", "init": "real", "ipc": "1", "seed": "0"}
    wildcards["network"] = "MLP"
    taught = jobs_of(**asked).params("evaluate_synthetic", wildcards)
    assert taught.teacher["name"] == "ConvNet"
    alone = jobs_of(**asked | {"evaluate": {"networks": networks}})
    assert alone.params("evaluate_synthetic", wildcards).teacher is None
    assert alone.params("evaluate_synthetic", wildcards).code != taught.code


@pytest.mark.parametrize(
    "methods",
    [
        {"mtt": {"experts": "few"}, "slow": {"of": "mtt", "lr_images": 10}},
        {
            "mtt": {},
            "slow": {"of": "mtt", "overrides": [{"when": {"method": "mtt"}, "experts": "few"}]},
        },
        {
            "mtt": {"overrides": [{"when": {"method": "slow"}, "experts": "few"}]},
            "slow": {"of": "mtt"},
        },
    ],
    ids=[
        "of its method's block",
        "for its method, in its own block",
        "for it, in its method's block",
    ],
)
def test_a_variant_learns_from_the_experts_that_its_blocks_come_to(methods):
    """Which the report tells by the set's own header, from the shards that the job reads."""
    settings = {"max_start_epoch": 1, "expert_epochs": 1}
    experts = {
        "default": {"number": 6, "epochs": 2, "shard": 1},
        "few": {"number": 2, "epochs": 2, "shard": 1},
    }
    grid = [{"dataset": "digits", "method": "slow", "init": "real", "ipc": 1}]
    jobs = jobs_of(
        methods={**methods, "mtt": {**methods["mtt"], **settings}},
        experts=experts,
        grid=grid,
        evaluate={},
        continual={"datasets": []},
    )
    cell = {"dataset": "digits", "method": "slow", "init": "real", "ipc": "1", "seed": "0"}
    shards = [f"out/experts/digits/few/shard{n}/trajectories.safetensors" for n in (0, 1)]
    assert (
        jobs.inputs("distill", cell)["experts"] == shards
        and jobs.asked("distill", cell)["module"] == "mtt"
    )
    assert [job.record.split("/")[3] for job in jobs.all if job.rule == "train_experts"] == [
        "few",
        "few",
    ]


CHANGES = {
    "another seed": {"seed": 1},
    "fewer iterations": {"methods": {**CONFIG["methods"], "dc": {"iterations": 2}}},
    "fewer experts": {
        "experts": {**CONFIG["experts"], "default": {"number": 4, "shard": 2, "epochs": 2}}
    },
    "another share held out": {"data": {"validation": 0.2}},
    "another network": {"networks": {"ConvNet": {"width": 16}}},
    "another evaluation": {
        "evaluate": {"networks": ["ConvNet", "MLP"], "epochs": 3, "robust": {"models": 1}}
    },
    "another precision": {"compute": {"precision": "float32"}},
    "more snapshots": {"snapshots": 3},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_of_what_is_asked_changes_with(jobs, change):
    assert jobs_of(**CHANGES[change]).digest() != jobs.digest()


def test_what_collect_is_given_is_the_same_text_whatever_changes_no_result(jobs):
    other = jobs_of(
        study="Another title",
        data={"sources": ["local"]},
        compute={"runtime": 30, "mem_mb": 5000},
        report={"incomplete": True},
    )
    assert str(other.of_results()) == str(jobs.of_results())


def test_the_digest_does_not_change_with_what_is_no_part_of_a_result(jobs):
    assert (
        jobs_of(
            study="Another title", compute={"mem_mb": 5000}, data={"sources": ["local"]}
        ).digest()
        == jobs.digest()
    )


@pytest.mark.slow
def test_the_code_of_a_job_names_the_plug_ins_that_it_runs_and_no_other():
    blocks = [
        {"dataset": "digits", "method": ["dc", "dsa", "dm", "mtt"], "init": "real", "ipc": 1},
        {"dataset": "digits", "method": ["random", "herding"], "init": "real", "ipc": 1},
    ]
    jobs = jobs_of(
        grid=blocks,
        network="ConvNet",
        methods={"mtt": {"max_start_epoch": 1, "expert_epochs": 1, "augment": "dsa"}},
        experts={"default": {"number": 1, "epochs": 2, "augment": "dc_bn"}},
        evaluate={
            "networks": ["ConvNet", "MLP"],
            "augment": "dc_mnist",
            "robust": {"models": 1, "augment": "dsa"},
        },
        vanilla={"networks": ["MLP"], "augment": "dc_bn"},
        continual={"network": "AlexNet", "augment": "dsa", "memory": {"method": ["dc"]}},
    )
    convnet, mlp, dc_bn = "networks/convnet", "networks/mlp", "augmentations/dc_bn"
    dc_mnist, dsa, none = "augmentations/dc_mnist", "augmentations/dsa", "augmentations/none"
    wanted = {
        "download": {"datasets/digits"},
        "train_experts": {convnet, dc_bn},
        "distill dc": {"methods/dc", convnet, none},
        "distill dsa": {"methods/dsa", convnet, dsa},
        "distill dm": {"methods/dm", convnet, dsa},
        "distill mtt": {"methods/mtt", convnet, dsa},
        "distill random": {"methods/random"},
        "distill herding": {"methods/herding", convnet},
        "evaluate_synthetic ConvNet": {convnet, dc_mnist},
        "evaluate_synthetic MLP": {mlp, dc_mnist},
        "evaluate_robust": {convnet, dc_mnist, dsa, none},
        "train_vanilla": {mlp, dc_bn},
        "continual_alone": {"networks/alexnet", dsa},
        "continual_memory": {"networks/alexnet", dsa},
    }
    found = {}
    for job in jobs.all:
        wildcards = dict(job.wildcards)
        apart = {"distill": "method", "evaluate_synthetic": "network"}.get(job.rule)
        name = f"{job.rule} {wildcards[apart]}" if apart else job.rule
        stamp = jobs.asked(job.rule, wildcards)["code"]
        named = {path.removesuffix(".py") for path in fingerprint.plugins(stamp)}
        assert found.setdefault(name, named) == named
    assert found == wanted
