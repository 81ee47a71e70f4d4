"""What artefacts say that they were made from, and how it is compared with what a study asks."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
import torch

from distillery.errors import UserError
from distillery.report import asked as records
from distillery.store import artefact, costs, metrics
from distillery.store.files import write_text
from distillery.store.layout import COST, Layout
from distillery.study import load
from distillery.study.jobs import Jobs

ROOT = Path(__file__).resolve().parents[3]
CONFIG = {
    "study": "Records",
    "results": "out",
    "grid": [{"dataset": "digits", "method": ["dc", "mtt"], "init": "real", "ipc": 1}],
    "methods": {"mtt": {"max_start_epoch": 1, "expert_epochs": 1, "normalization": "zca"}},
    "experts": {"default": {"number": 2, "shard": 1, "epochs": 2, "normalization": "zca"}},
    "vanilla": {"networks": []},
    "continual": {"datasets": []},
}
MADE = {
    "distill": ("synthetic.safetensors", "evolution.safetensors"),
    "train_experts": ("trajectories.safetensors",),
}
DC = "out/synthetic/digits/dc/real/ipc1/seed0"


def jobs_of(**changes) -> Jobs:
    study = load.study(copy.deepcopy(CONFIG) | changes)
    return Jobs(study, Layout(study.config["results"]))


def made(jobs: Jobs, job, content: float = 0.0) -> None:
    """A job's artefacts, without what they hold, and its record."""
    wildcards, folder = dict(job.wildcards), Path(job.record).parent
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "asked": jobs.asked(job.rule, wildcards),
        "inputs": artefact.contents(jobs.inputs(job.rule, wildcards)),
    }
    if job.rule == "download":
        spec = jobs.study.datasets["digits"].spec
        artefact.save(job.record, {"images": torch.tensor(content)}, {"spec": spec})
    elif Path(job.record).name != COST:
        artefact.save(job.record, {"mean": torch.tensor(content)}, about)
    else:
        metrics.Metrics(rule=job.rule).save(folder / "metrics.csv")
        names = ("metrics.csv", *MADE.get(job.rule, ()))
        for name in names[1:]:
            artefact.save(folder / name, {"images": torch.tensor(content)}, {})
        about["outputs"] = {name: artefact.content(folder / name) for name in names}
        write_text(job.record, json.dumps(costs.sealed({"rule": job.rule, **about})))


@pytest.fixture
def jobs(tmp_path, monkeypatch) -> Jobs:
    """A finished study in the working directory."""
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of()
    for job in jobs.all:  # an order in which each finds what it reads
        made(jobs, job)
    return jobs


def told(jobs: Jobs) -> str:
    with pytest.raises(UserError) as caught:
        records.check(jobs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_study_that_is_what_it_asks_for_passes(jobs):
    records.check(jobs)
    records.check(
        jobs_of(study="Another title", compute={"mem_mb": 5000}, data={"sources": ["local"]})
    )
    records.check(records.jobs_of(jobs.of_results()))  # as the job gets it


CHANGES = {
    "seed": ({"seed": 1}, f"{DC}: seed: has 0, the study asks 1", 7),
    "iterations": (
        {"methods": {**CONFIG["methods"], "dc": {"iterations": 4}}},
        f"{DC}: settings.iterations: has 1000, the study asks 4",
        1,
    ),
    "experts": (
        {"experts": {"default": {**CONFIG["experts"]["default"], "number": 1}}},
        "mtt/real/ipc1/seed0: inputs.experts: has",
        1,
    ),
    "epochs of experts": (
        {"experts": {"default": {**CONFIG["experts"]["default"], "epochs": 3}}},
        "out/experts/digits/default/shard0: settings.epochs: has 2, the study asks 3",
        2,
    ),
    "validation": (
        {"data": {"validation": 0.2}},
        "out/data/digits/whitening.safetensors: validation: has 0.1, the study asks 0.2",
        7,
    ),
    "network": (
        {"networks": {"ConvNet": {"width": 8}}},
        f"{DC}: network.options.width: has 128, the study asks 8",
        6,
    ),
    "evaluation": (
        {"evaluate": {"epochs": 3}},
        "out/evaluate/digits/dc/real/ipc1/seed0/ConvNet: settings.epochs: has 20, the study asks 3",
        2,
    ),
    "precision": (
        {"compute": {"precision": "float32"}},
        f"{DC}: compute.precision: has auto, the study asks float32",
        6,
    ),
    "snapshots": ({"snapshots": 2}, f"{DC}: snapshots: has 10, the study asks 2", 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_made_for_another_study_is_named_with_the_key_and_both_values(jobs, change):
    config, words, count = CHANGES[change]
    other = jobs_of(**config)
    text = told(other)
    assert words in text and text.startswith(
        f"{count} of {len(other.all)} artefacts are not what the study asks for"
    )
    stale = Path("out/stale.txt").read_text().split()
    assert len(stale) == count and f"--forcerun {' '.join(stale)}`" in text
    records.check(jobs)
    assert not Path("out/stale.txt").exists()


def test_code_that_is_another_is_named(jobs, monkeypatch):
    monkeypatch.setattr("distillery.study.jobs.fingerprint", lambda script, *plugins: "0" * 16)
    assert "code: has" in told(jobs_of())


def test_a_set_that_was_replaced_is_named_and_so_is_what_was_measured_on_the_one_before(jobs):
    artefact.save(f"{DC}/synthetic.safetensors", {"images": torch.tensor(1.0)}, {})
    text = told(jobs)
    assert (
        f"{DC}/synthetic.safetensors: its content: has" in text
        and "of which cost.json speaks" in text
    )
    assert "out/evaluate/digits/dc/real/ipc1/seed0/ConvNet: inputs.synthetic: has" in text
    assert text.startswith("2 of ")


def test_data_that_was_replaced_makes_all_that_read_it_stale(jobs):
    (download,) = [job for job in jobs.all if job.rule == "download"]
    made(jobs, download, 1.0)
    assert told(jobs).startswith(f"{len(jobs.all) - 1} of ")


def test_an_artefact_of_another_dataset_s_description_is_named(jobs):
    tensors, header = artefact.load("out/data/digits/dataset.safetensors", rule="download")
    artefact.save(
        "out/data/digits/dataset.safetensors", tensors, {"spec": {**header["spec"], "mean": [0.5]}}
    )
    assert "out/data/digits/dataset.safetensors: spec.mean: has [0.5], the study asks" in told(jobs)


def test_an_artefact_of_an_earlier_version_is_no_proof(jobs):
    record = costs.read_cost(f"{DC}/{COST}")
    del record["asked"]
    write_text(f"{DC}/{COST}", json.dumps(costs.sealed(record)))
    assert f"{DC}: its record: has nothing: it is of an earlier version" in told(jobs)


@pytest.mark.slow
def test_many_differences_are_reported_in_one_line_that_can_be_read(jobs):
    grid = [
        {"dataset": "digits", "method": "dc", "init": "real", "ipc": 1, "seed": list(range(30))}
    ]
    many = jobs_of(grid=grid)
    for job in many.all:
        if not Path(job.record).exists():
            made(many, job)
    text = told(jobs_of(grid=grid, seed=1))
    assert (
        len(text) < 1500
        and "and 55 more artefacts, all in out/stale.txt" in text
        and f"--forcerun $(cat {Path('out/stale.txt').resolve()})" in text
    )
    assert len(Path("out/stale.txt").read_text().split()) == 60


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 30])
def test_the_command_that_re_creates_holds_wherever_and_whatever_the_folder(
    tmp_path, monkeypatch, seeds
):
    """A shell makes of what is printed the names of the files, from the working directory of the
    study or from elsewhere (`snakemake -d`), blanks and quotes in them included."""
    for folder in ("plain", "it's a folder"):
        monkeypatch.chdir(tmp_path)
        grid = [
            {
                "dataset": "digits",
                "method": "dc",
                "init": "real",
                "ipc": 1,
                "seed": list(range(seeds)),
            }
        ]
        jobs = jobs_of(grid=grid, results=folder)
        for job in jobs.all:
            made(jobs, job)
        text = told(jobs_of(grid=grid, results=folder, seed=1))
        printed = text.rpartition("`--forcerun ")[2].removesuffix("` at its end")
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\n' {printed}"], cwd="/", capture_output=True, text=True
        )
        assert done.stdout == Path(folder, "stale.txt").read_text()
