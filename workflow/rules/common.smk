# The study, paths, wildcard constraints, and what rules ask about a job. No rules here.
import sys
from pathlib import Path

import yaml

from distillery.errors import UserError
from distillery.fingerprint import fingerprint
from distillery.grid import Cell, Study, check_groups

ROOT = Path(workflow.basedir)

try:
    STUDY = Study(
        config, yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    )
    if STUDY.imported and workflow.is_main_process:
        # Files of others are looked into before any job starts; only here, because it takes torch.
        from distillery.imported import check

        for number, entry in enumerate(STUDY.config["imported"]):
            check(entry, STUDY.datasets[entry["dataset"]], f"config: imported[{number}]")
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = STUDY.config["results"]
CELL = "{dataset}/{method}/{init}/ipc{ipc}/seed{seed}"
MEMORY = "{dataset}/{strategy}/{method}/{init}/ipc{ipc}/seed{seed}"

DATA = f"{RESULTS}/data/{{dataset}}/dataset.safetensors"
SHARD = f"{RESULTS}/experts/{{dataset}}/{{recipe}}/shard{{shard}}"
SYNTHETIC = f"{RESULTS}/synthetic/{CELL}"
EVALUATED = f"{RESULTS}/evaluate/{CELL}/{{network}}"
VANILLA = f"{RESULTS}/vanilla/{{dataset}}/{{network}}"
CONTINUAL = f"{RESULTS}/continual/{{dataset}}/{{strategy}}"
REMEMBERED = f"{RESULTS}/continual/{MEMORY}"
REPORT = f"{RESULTS}/report.html"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


wildcard_constraints:
    dataset="|".join(STUDY.datasets),
    method="[A-Za-z][A-Za-z0-9_]*",
    init="real|noise|imported",
    ipc=r"\d+",
    seed=r"\d+",
    network="|".join(STUDY.networks),
    recipe="[A-Za-z0-9_]+",
    shard=r"\d+",
    strategy="finetune|joint|replay|afterwards",


def cell_of(wildcards):
    return Cell(
        wildcards.dataset,
        wildcards.method,
        wildcards.init,
        int(wildcards.ipc),
        int(wildcards.seed),
    )


def cell_params(wildcards):
    return dict(cell_of(wildcards).__dict__)


def paths(pattern, cells, **more):
    return [pattern.format(**cell.__dict__, **more) for cell in cells]


def study_seed(wildcards):
    return STUDY.config["seed"]


def compute_settings(wildcards):
    return {
        key: STUDY.config["compute"][key]
        for key in ("precision", "compile", "threads")
    }


def compute_threads(wildcards):
    return STUDY.config["compute"]["threads"]


def compute_memory(wildcards, attempt):
    return STUDY.config["compute"]["mem_mb"] * 2 ** (attempt - 1)


def compute_runtime(wildcards, attempt):
    return STUDY.config["compute"]["runtime"] * 2 ** (attempt - 1)


def distillation_network(wildcards):
    return STUDY.network(wildcards.dataset, STUDY.config["network"])


def measured_network(wildcards):
    return STUDY.network(wildcards.dataset, wildcards.network)


def validation_share(wildcards):
    return STUDY.config["data"]["validation"]
