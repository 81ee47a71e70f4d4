"""Kills a job or Snakemake itself at random moments of a small study, goes on, and compares every
byte with an undisturbed run.

    python tests/faults/kills.py [NUMBER] [SEED]

Each time one process is killed with SIGKILL, as a power cut or an out-of-memory killer does; the
run is unlocked where it must be, and started again until it succeeds. Prints one line a kill and
exits with status 1 if any result differs. Takes about half a minute a kill on two cores.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "distillery", "envs", "profiles", "studies", "workflow")
STUDY = {
    "study": "Killed",
    "compute": {"threads": 1},
    "networks": {"ConvNet": {"width": 16, "depth": 2}},
    "grid": [
        # Two images per class: gradient matching then also saves within an iteration, with a
        # network that is half trained.
        {"dataset": "digits", "method": ["dc", "dm"], "init": "noise", "ipc": 2},
        {"dataset": "digits", "method": "mtt", "init": "real", "ipc": 2},
    ],
    "methods": {
        "dc": {"iterations": 20},
        "dm": {"iterations": 100},
        "mtt": {
            "iterations": 40,
            "syn_steps": 5,
            "expert_epochs": 1,
            "max_start_epoch": 3,
            "lr_images": 1,
        },
    },
    "experts": {"default": {"number": 2, "shard": 2, "epochs": 4, "batch": 64}},
    "snapshots": 2,
    "evaluate": {
        "networks": ["ConvNet"],
        "models": 1,
        "epochs": 20,
        "curve": 1,
        "selection": {"models": 0},
    },
    "vanilla": {"networks": []},
    "continual": {"datasets": []},
}
# Times differ from run to run, and what shows them.
TIMED = ("cost.json", "costs.json", "SHA256SUMS", "report.html")


def prepare(folder: Path) -> None:
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / part)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    path = folder / "distillery/store/checkpoint.py"
    text = path.read_text(encoding="utf-8")
    assert "\nEVERY_SECONDS = 60.0\n" in text
    path.write_text(
        text.replace("\nEVERY_SECONDS = 60.0\n", "\nEVERY_SECONDS = 0.2\n"), encoding="utf-8"
    )


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "study.yaml",
        *(arguments or ("--cores", "2", "--resources", "gpu=2")),
    ]
    with (folder / "run.log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def jobs(folder: Path) -> list[int]:
    """The processes that compute: scripts that Snakemake wrote under this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if (
                len(words) > 1
                and words[0].endswith(b"python")
                and words[1].startswith(bytes(folder / ".snakemake/scripts"))
            ):
                found.append(int(entry.name))
    return found


def content(folder: Path) -> dict[str, str]:
    results = folder / "results"
    wanted = [path for path in results.rglob("*") if path.is_file() and path.name not in TIMED]
    kept = [
        path for path in wanted if path.relative_to(results).parts[0] not in ("logs", "benchmarks")
    ]
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
    }


def kill(folder: Path, victim: str, moment: float, generator: random.Random) -> tuple[str, float]:
    """Start a run and kill a job of it, or Snakemake, ``moment`` seconds later (the first job after
    that). Returns what was killed ("" if the run was over before) and when."""
    run = start(folder)
    began = time.monotonic()
    killed, at = "", 0.0
    while run.poll() is None and not killed:
        time.sleep(0.02)
        at = time.monotonic() - began
        if at < moment:
            continue
        if victim == "snakemake":
            os.kill(run.pid, signal.SIGKILL)
            killed = "snakemake"
        elif found := jobs(folder):
            process = generator.choice(sorted(found))
            with contextlib.suppress(OSError):  # it may have ended just now
                script = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[1].decode()
                os.kill(process, signal.SIGKILL)
                killed = script.rsplit("/", 1)[1].split(".")[1]
    run.wait()
    return killed, at


def main(number: int = 20, seed: int = 0) -> int:
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    whole = base / "whole"
    prepare(whole)
    began = time.monotonic()
    if start(whole).wait() != 0:
        sys.exit(f"the undisturbed run failed: {whole / 'run.log'}")
    length, expected = time.monotonic() - began, content(whole)
    print(f"undisturbed: {length:.0f} s, {len(expected)} files", flush=True)
    generator, wrong = random.Random(seed), 0
    for trial in range(number):
        folder = base / f"trial{trial}"
        prepare(folder)
        victim = ("job", "snakemake")[trial % 2]
        killed, at = kill(folder, victim, generator.uniform(0.05, 0.9) * length, generator)
        while not killed:  # the run was faster than the undisturbed one, and over: another, sooner
            shutil.rmtree(folder)
            prepare(folder)
            killed, at = kill(folder, victim, generator.uniform(0.05, 0.6) * length, generator)
        restarts = 0
        while True:
            # What a killed Snakemake left running goes on beside the next run, as it would.
            start(folder, "--unlock").wait()
            status = start(folder).wait()
            restarts += 1
            if status == 0 or restarts == 3:
                break
        while jobs(folder):
            time.sleep(0.1)
        got = content(folder)
        same = status == 0 and got == expected
        wrong += not same
        resumed = sum(
            "resuming from the checkpoint" in path.read_text()
            for path in (folder / "results/logs").rglob("*.log")
        )
        differ = sorted(
            name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name)
        )
        print(
            f"kill {trial + 1}: {killed} at {at:.1f} s, {restarts} restart(s), {resumed} job(s) "
            "went on from a checkpoint: "
            + (
                "same bytes"
                if same
                else f"DIFFERS: {', '.join(differ) or 'the run failed'} ({folder})"
            ),
            flush=True,
        )
        if same:
            shutil.rmtree(folder)
    print(f"{number - wrong} of {number} kills end in byte-identical results")
    if not wrong:
        shutil.rmtree(base)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
