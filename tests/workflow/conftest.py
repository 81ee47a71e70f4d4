"""One small study of the embedded digits, run once through every rule; the tests read what it left,
each in a copy."""

import compileall
import contextlib
import csv
import os
import py_compile
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock

from tests.starting import Starter

ROOT = Path(__file__).resolve().parents[2]
# All that a run reads; `results` and `.snakemake` are what it leaves.
PARTS = ("Snakefile", "config", "distillery", "envs", "profiles", "studies", "workflow")
LEFT = ("results", ".snakemake", "tiny.yaml", "released.pt")

TINY = {
    "study": "Tiny",
    "compute": {"threads": 1},
    "networks": {"ConvNet": {"width": 8, "depth": 2}},
    "grid": [
        {"dataset": "digits", "method": "dc", "init": "noise", "ipc": 1},
        {"dataset": "digits", "method": ["mtt", "random"], "init": "real", "ipc": 1},
    ],
    "methods": {
        "dc": {"iterations": 3},
        "mtt": {
            "iterations": 3,
            "syn_steps": 2,
            "expert_epochs": 1,
            "max_start_epoch": 1,
            "lr_images": 1,
        },
    },
    "experts": {"default": {"number": 1, "shard": 1, "epochs": 2}},
    "snapshots": 1,
    "evaluate": {
        "networks": ["ConvNet"],
        "models": 1,
        "epochs": 2,
        "curve": 1,
        "selection": {"models": 1},
        "robust": {"models": 1},
    },
    "vanilla": {"networks": ["ConvNet", "MLP"], "epochs": 1, "curve": 1},
    "continual": {
        "groups": 2,
        "epochs": 1,
        "afterwards_epochs": 1,
        "gdumb_epochs": 1,
        "memories": ["given", "per_step"],
        "images_per_class": 20,
        "memory": {"method": ["dc"]},
    },
    "imported": [{"name": "released", "dataset": "digits", "file": "released.pt", "ipc": 1}],
}


class Workflow:
    """A folder that holds a copy of the repository and a study.

    Attributes:
        base: the study before any change.
        configs: what `--configfile` names, merged in this order.
        environment: of each run, where it is another than that of the tests.
        messages: what the run that made the study wrote to its standard error.
    """

    base = TINY

    def __init__(self, folder: Path, starter: Starter):
        self.folder = folder
        self.configs = ["tiny.yaml"]
        self.environment = starter.environment
        self._starter = starter

    @classmethod
    def laid(cls, folder: Path, starter: Starter, config: dict | None = None) -> "Workflow":
        """Copy the repository into a folder, which is made where it is missing, with a study."""
        made = cls(folder, starter)
        folder.mkdir(exist_ok=True)
        for part in PARTS:
            copy(ROOT / part, made / part)
        if config is not None:
            text = yaml.safe_dump(config, allow_unicode=True)
            (made / "tiny.yaml").write_text(text, encoding="utf-8")
        return made

    def __truediv__(self, path: str) -> Path:
        return self.folder / path

    def change(self, **config) -> None:
        """Override parts of the study, as a user does: by a second config."""
        (self / "change.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.configs = ["tiny.yaml", "change.yaml"]

    @contextlib.contextmanager
    def started(self, *arguments: str):
        """A run on its way, in a process group of its own, of which nothing is left in the end. It
        writes to `run.out` and `run.err`."""
        command = [sys.executable, "-m", "snakemake", *self._configured(arguments)]
        with (self / "run.out").open("w") as out, (self / "run.err").open("w") as err:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _configured(self, arguments: tuple[str, ...]) -> list[str]:
        return [*(["--configfile", *self.configs] if self.configs else []), *arguments]

    def snakemake(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake to its end."""
        if self.environment == self._starter.environment:
            status = self._starter.run(self.folder, self._configured(arguments))
        else:
            with self.started(*arguments) as process:
                status = process.wait()
        done = subprocess.CompletedProcess(
            arguments, status, (self / "run.out").read_text(), (self / "run.err").read_text()
        )
        assert status == 0 or not succeeds, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def make(self, *targets: str) -> subprocess.CompletedProcess:
        return self.snakemake("--cores", "2", "--resources", "gpu=2", "--", *targets)

    def logs(self) -> str:
        return "\n".join(
            f"{path}:\n{path.read_text()}"
            for path in sorted((self / "results").glob("logs/**/*.log"))
        )

    def plan(self) -> dict[str, bool]:
        """Every output of the study, and whether the next run would make it: Snakemake's own table,
        which is meant to be parsed."""
        rows = csv.DictReader(self.snakemake("--summary").stdout.splitlines(), delimiter="\t")
        return {
            row["output_file"]: {"update pending": True, "no update": False}[row["plan"]]
            for row in rows
        }

    def planned(self) -> set[str]:
        return {output for output, pending in self.plan().items() if pending}

    def jobs(self, *arguments: str) -> list[str]:
        """The rule of each job that a dry run announces, sorted."""
        table = (
            self.snakemake("--dry-run", "--quiet", "host", *arguments)
            .stdout.partition("Job stats:")[2]
            .partition("total")[0]
        )
        rows = [line.split() for line in table.splitlines()[3:] if line.strip()]
        return sorted(rule for rule, count in rows if rule != "study" for _ in range(int(count)))


@pytest.fixture(scope="session")
def study(shared, starter) -> Workflow:
    """The finished study, made once by the first process that asks; for several runs of the tests
    on the same code, as .ci/run makes them, in ``DISTILLERY_TESTED_STUDY``. Not to be changed:
    `clone` is for that."""
    home = Path(os.environ.get("DISTILLERY_TESTED_STUDY") or shared / "study")
    home.mkdir(parents=True, exist_ok=True)
    study, finished = Workflow(home / "a study", starter), home / "finished"
    with FileLock(home / "lock"):
        if not finished.exists():
            study = Workflow.laid(study.folder, starter, TINY)
            # Bytecode that holds for a copy of any time; else each clone compiles the library.
            by_content = py_compile.PycInvalidationMode.CHECKED_HASH
            compileall.compile_dir(study / "distillery", quiet=1, invalidation_mode=by_content)
            generator = torch.Generator().manual_seed(0)
            torch.save(
                {"data": [[torch.randn(10, 1, 8, 8, generator=generator), torch.arange(10)]]},
                study / "released.pt",
            )
            finished.write_text(study.make().stderr, encoding="utf-8")
    study.messages = finished.read_text(encoding="utf-8")
    return study


@pytest.fixture
def clones(study, starter, tmp_path):
    """Makes copies of the finished study, elsewhere and with new times on every file."""

    def clone(name: str) -> Workflow:
        made = Workflow(tmp_path / name, starter)
        made.folder.mkdir()
        for part in (*PARTS, *LEFT):
            copy(study / part, made / part, bytecode=True)
        return made

    return clone


@pytest.fixture
def clone(clones) -> Workflow:
    return clones("clone")


def copy(source: Path, target: Path, *, bytecode: bool = False) -> None:
    if source.is_dir():
        ignored = None if bytecode else shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=ignored)
    else:
        shutil.copyfile(source, target)
