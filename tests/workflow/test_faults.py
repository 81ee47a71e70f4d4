"""What a study does when things go wrong around it. Interruption is in test_workflow.py; 20 random
kills: `make test-kills`."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from distillery.errors import UserError
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.report import page as report
from distillery.run import job
from distillery.sets.evolution import Evolution, load_evolution
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact, costs, files, metrics
from distillery.store.checkpoint import Checkpoint
from distillery.training import trajectories

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
DC = "results/synthetic/digits/dc/noise/ipc1/seed0"
EVALUATED = "results/evaluate/digits/dc/noise/ipc1/seed0/ConvNet"


# ---- damaged artefacts ---------------------------------------------------------------------------

# What a job reads, how, and the rule that is to be named where it is damaged.
KINDS = {
    "dataset": ("results/data/digits/dataset.safetensors", data.load, "download"),
    "experts": (
        "results/experts/digits/default/shard0/trajectories.safetensors",
        lambda path: trajectories.Experts([path]),
        "train_experts",
    ),
    "synthetic set": (f"{DC}/synthetic.safetensors", SyntheticSet.load, "distill"),
    "evolution": (
        f"{DC}/evolution.safetensors",
        lambda path: load_evolution(path, torch.arange(10), "cpu"),
        "distill",
    ),
    "networks": (
        "results/continual/digits/steps2/order0/finetune/finetuned.safetensors",
        lambda path: artefact.load(path, rule="continual_alone"),
        "continual_alone",
    ),
    "whitening": ("whitening.safetensors", whitening.load, "whiten"),
    "measurements": (
        f"{EVALUATED}/metrics.csv",
        lambda path: metrics.collect([path], path.with_suffix(".all")),
        "",
    ),
    "cost": (
        f"{EVALUATED}/cost.json",
        lambda path: costs.collect_costs([path], path.with_suffix(".all")),
        "",
    ),
    "summary": ("results/summary.csv", lambda path: built(path.parent), "collect"),
    "costs": ("results/costs.json", lambda path: built(path.parent), "collect"),
    "sums": ("results/SHA256SUMS", lambda path: built(path.parent), "collect"),
}


def built(folder: Path) -> None:
    """The report of what was collected into a folder."""
    report.build(
        metrics=folder / "summary.csv",
        costs=folder / "costs.json",
        sums=folder / "SHA256SUMS",
        sets=[],
        evolutions=[],
        data=[],
        config={},
        output=folder / "report.html",
        provenance={},
    )


def damaged(content: bytes, how: str, generator: random.Random) -> bytes:
    if how == "empty":
        return b""
    if how == "cut":
        return content[: generator.randrange(1, len(content))]
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.mark.parametrize("how", ["empty", "cut", "flipped"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_artefact_is_found_at_load_and_named_with_the_rule_that_re_creates_it(
    study, tmp_path, kind, how
):
    place, load, rule = KINDS[kind]
    path = tmp_path / Path(place).name
    if kind == "whitening":  # the study whitens nothing
        whitening.fit(torch.randint(256, (50, 1, 4, 4), dtype=torch.uint8)).save(path, {})
        content = path.read_bytes()
    else:
        content = (study / place).read_bytes()
    for beside in ("summary.csv", "costs.json", "SHA256SUMS"):
        shutil.copyfile(study / "results" / beside, tmp_path / beside)
    path.write_bytes(content)
    load(path)  # as it is, it can be read
    generator = random.Random(f"{kind} {how}")
    for _ in range(1 if how == "empty" else 20):
        path.write_bytes(damaged(content, how, generator))
        with pytest.raises(UserError) as caught:
            load(path)
        told = str(caught.value)
        # Of sums that are damaged one cannot tell which of the two sides is: the file that they
        # speak of is named, and they by name.
        assert (
            (str(path) in told or (kind == "sums" and path.name in told))
            and rule in told
            and "\n" not in told
            and len(told) < 500
        )


# ---- disks ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, *options: str):
    """A small file system of its own at ``folder``; skips where this user may not make one."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def big_set() -> SyntheticSet:
    about = {
        "classes": list("0123456789"),
        "normalization": {"kind": "channel", "mean": [0.5], "std": [0.5]},
    }
    return SyntheticSet(torch.randn(700, 1, 28, 28), torch.arange(700) % 10, None, about)


def big_metrics() -> metrics.Metrics:
    rows = metrics.Metrics(dataset="digits")
    for epoch in range(60000):
        rows.add("accuracy", 1 / (epoch + 1), epoch=epoch)
    return rows


def big_evolution() -> Evolution:
    evolution = Evolution(1, 1)
    evolution.iteration(0, torch.tensor(0.0), torch.randn(700, 1, 28, 28))
    evolution.iteration(1, torch.tensor(0.0), torch.randn(700, 1, 28, 28))
    return evolution


# Each artefact, larger than the disk.
WRITERS = {
    "dataset": lambda path: artefact.save(
        path, {"train_images": torch.zeros(3000, 1, 28, 28, dtype=torch.uint8)}, {}
    ),
    "experts": lambda path: trajectories.save(path, torch.zeros(2, 3, 100_000), {}),
    "synthetic set": lambda path: big_set().save(path),
    "evolution": lambda path: big_evolution().save(path, {}),
    "whitening": lambda path: whitening.fit(
        torch.randint(256, (900, 1, 28, 28), dtype=torch.uint8)
    ).save(path, {}),
    "measurements": lambda path: big_metrics().save(path),
    "text": lambda path: files.write_text(path, "x" * 2_000_000),
    "checkpoint": lambda path: Checkpoint(path, {}).save(
        {"images": torch.zeros(500_000)}, {}, "here"
    ),
}


def test_a_full_disk_is_reported_in_one_line_and_leaves_what_was_there(tmp_path, capsys):
    with mounted(tmp_path / "disk", "-o", "size=1m") as disk:
        for name, write in WRITERS.items():
            path = disk / name / "old"
            path.parent.mkdir()
            path.write_bytes(b"old")
            with pytest.raises(SystemExit) as left, job.run(str(tmp_path / "job.log")):
                write(path)
            told = capsys.readouterr().err
            assert left.value.code == 1 and told.startswith(
                f"error: {path}: cannot be written: No space left on device; free some space"
            ), (name, told)
            assert (
                told.count("\n") == 1
                and os.listdir(path.parent) == ["old"]
                and path.read_bytes() == b"old"
            ), name


def test_a_disk_that_cannot_be_written_to_is_reported_and_nothing_changes(tmp_path, capsys):
    with mounted(tmp_path / "disk") as disk:
        path = disk / "cost.json"
        path.write_text("old")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(SystemExit) as left, job.run(str(tmp_path / "job.log")) as run:
            run.asked = {"code": "", "settings": {}}
            run.save_cost(str(path), rule="distill", outputs={})
        told = capsys.readouterr().err
        assert left.value.code == 1 and told.startswith(
            f"error: {path}: cannot be written: Read-only file system; make the folder writable"
        )
        assert path.read_text() == "old" and os.listdir(disk) == ["cost.json"]


def test_a_full_disk_stops_a_study_which_goes_on_when_there_is_room(clone):
    whole = (clone / DC / "synthetic.safetensors").read_bytes()
    shutil.rmtree(clone / DC)
    # Around the folder of the outputs, which Snakemake removes after a failure: a disk's own folder
    # cannot be removed.
    disk = (clone / DC).parent
    with mounted(disk, "-o", "size=4k"):
        stopped = clone.snakemake(
            "--cores", "1", "--", f"{DC}/synthetic.safetensors", succeeds=False
        )
        assert (
            stopped.returncode != 0
            and "No space left on device; free some space" in stopped.stderr.splitlines()[-1]
        )
        assert (
            "No space left on device; free some space"
            in (clone / "results/logs/distill/digits/dc/noise/ipc1/seed0.log").read_text()
        )
        assert not [path for path in disk.rglob("*") if "part" in path.name]
    clone.make(f"{DC}/synthetic.safetensors")
    assert (clone / DC / "synthetic.safetensors").read_bytes() == whole


# ---- others, clocks, numbers, memory -------------------------------------------------------------


def test_a_second_run_on_the_same_results_is_refused_and_the_first_goes_on(clone):
    clone.change(evaluate={"epochs": 3})
    target = f"{EVALUATED}/metrics.csv"
    with clone.started("--cores", "1", "--", target) as first:
        while not any(
            lock.stat().st_size for lock in (clone / ".snakemake/locks").glob("*.output.lock")
        ):
            assert first.poll() is None
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)  # however slow the second is, it meets the first
        try:
            second = clone.snakemake("--cores", "1", "--", target, succeeds=False)
        finally:
            first.send_signal(signal.SIGCONT)
        assert second.returncode != 0 and "lock" in second.stderr.lower()
        assert first.wait() == 0, (clone / "run.err").read_text()
    assert not clone.plan()[target]


def test_clocks_that_jump_lose_nothing(clone, study):
    """Files from the future and from before the epoch of clocks: what is made again is made the
    same."""
    generator = random.Random(0)
    outputs = [path for path in (clone / "results").rglob("*") if path.is_file()]
    for path in outputs:
        moment = generator.choice([1, 10**9, 4 * 10**9])
        os.utime(path, (moment, moment))
    clone.make(f"{EVALUATED}/metrics.csv")
    for name in ("synthetic.safetensors", "evolution.safetensors", "metrics.csv"):
        assert (clone / DC / name).read_bytes() == (study / DC / name).read_bytes()
    assert (clone / EVALUATED / "metrics.csv").read_bytes() == (
        study / EVALUATED / "metrics.csv"
    ).read_bytes()


def test_experts_that_are_not_numbers_stop_the_job_and_what_reads_it(clone):
    path = clone / "results/experts/digits/default/shard0/trajectories.safetensors"
    tensors, header = artefact.load(path, rule="train_experts")
    tensors["trajectories"][:, 1] = float("nan")
    # As if the training itself had gone wrong unnoticed: a file that is whole, and newer than what
    # was learned from it.
    del header["sha256"]
    trajectories.save(path, tensors["trajectories"], header)
    before = (clone / "results/summary.csv").read_bytes()
    done = clone.snakemake("--cores", "1", "--", "results/summary.csv", succeeds=False)
    assert done.returncode != 0 and done.stderr.splitlines()[-1].startswith(
        "error: distill digits mtt real 1 0: mtt diverged by iteration"
    )
    assert (
        "error: mtt diverged by iteration"
        in (clone / "results/logs/distill/digits/mtt/real/ipc1/seed0.log").read_text()
    )
    assert (clone / "results/summary.csv").read_bytes() == before or not (
        clone / "results/summary.csv"
    ).exists()


def test_a_job_that_may_not_have_the_memory_says_so(clone):
    """By the system's own limit on the address space of a process, as a batch system sets it."""
    shutil.rmtree(clone / DC)
    log = clone / "results/logs/distill/digits/dc/noise/ipc1/seed0.log"
    script = clone / "workflow/scripts/distill.py"
    text = script.read_text(encoding="utf-8")
    call = "    dataset = data.load("
    assert text.count(call) == 1
    # After everything is imported, 50 MB more and no further.
    limit = """    import resource
    import torch._dynamo  # which torch.func.grad imports at its first call
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 50_000_000,) * 2)
"""
    script.write_text(text.replace(call, limit + call), encoding="utf-8")
    clone.change(
        methods={"dc": {"batch_real": 1000, "iterations": 1}},
        networks={"ConvNet": {"width": 256, "depth": 2}},
    )
    done = clone.snakemake("--cores", "1", "--", f"{DC}/synthetic.safetensors", succeeds=False)
    assert done.returncode != 0 and "error: out of memory on" in log.read_text(), done.stderr
    assert not (clone / DC / "synthetic.safetensors").exists()
