# The study, paths, wildcard constraints, and what rules ask about a job. No rules here.
import os
import shlex
import sys
from pathlib import Path

import yaml

from distillery.errors import UserError
from distillery.fingerprint import fingerprint
from distillery.grid import Cell, Study, check_groups

ROOT = Path(workflow.basedir)

# Snakemake puts the interpreter's path into shell commands as it is, so one with a space in it must be quoted beforehand.
sys.executable = shlex.quote(sys.executable)

try:
    STUDY = Study(config, yaml.safe_load((ROOT / "config" / "schema.yaml").read_text()))
    if STUDY.imported and workflow.is_main_process:
        # Files of others are looked into before any job starts; only here, because it takes torch.
        from distillery.imported import check

        for number, entry in enumerate(STUDY.config["imported"]):
            check(
                entry, STUDY.datasets[entry["dataset"]], f"config: imported[{number}]"
            )
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = STUDY.config["results"]
CELL = "{dataset}/{method}/{init}/ipc{ipc}/seed{seed}"
MEMORY = "{dataset}/{strategy}/{method}/{init}/ipc{ipc}/seed{seed}"

DATA = f"{RESULTS}/data/{{dataset}}/dataset.safetensors"
WHITENING = f"{RESULTS}/data/{{dataset}}/whitening.safetensors"
SHARD = f"{RESULTS}/experts/{{dataset}}/{{recipe}}/shard{{shard}}"
SYNTHETIC = f"{RESULTS}/synthetic/{CELL}"
EVALUATED = f"{RESULTS}/evaluate/{CELL}/{{network}}"
ROBUST = f"{RESULTS}/robust/{CELL}"
VANILLA = f"{RESULTS}/vanilla/{{dataset}}/{{network}}"
CONTINUAL = f"{RESULTS}/continual/{{dataset}}/{{strategy}}"
REMEMBERED = f"{RESULTS}/continual/{MEMORY}"
REPORT = f"{RESULTS}/report.html"
CHECKPOINTS = f"{RESULTS}/checkpoints"
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


def own(path):
    """A file of the repository as an input, relative to the working directory: a clone elsewhere then knows its checksum."""
    return os.path.relpath(ROOT / path)


def cell_params(wildcards):
    return dict(cell_of(wildcards).__dict__)


def paths(pattern, cells, **more):
    return [pattern.format(**cell.__dict__, **more) for cell in cells]


def study_seed(wildcards):
    return STUDY.config["seed"]


def compute_settings(wildcards):
    return {
        key: STUDY.config["compute"][key] for key in ("precision", "compile", "threads")
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


# ---- data ----


def download_code(wildcards):
    return fingerprint(
        "download.py", f"datasets/{STUDY.datasets[wildcards.dataset]['module']}.py"
    )


def whiten_code(wildcards):
    return fingerprint("whiten.py")


def whitening_files(dataset, normalization):
    """The whitening as an input where images are whitened; nothing elsewhere, so that no other job knows of it."""
    return [WHITENING.format(dataset=dataset)] if normalization == "zca" else []


def cell_whitening(wildcards):
    return whitening_files(wildcards.dataset, STUDY.normalization(cell_of(wildcards)))


# ---- experts ----


def expert_settings(wildcards):
    settings = STUDY.experts(wildcards.dataset, wildcards.recipe)
    unread = ("number", "shard", "normalization")
    return {key: value for key, value in settings.items() if key not in unread}


def expert_whitening(wildcards):
    settings = STUDY.experts(wildcards.dataset, wildcards.recipe)
    return whitening_files(wildcards.dataset, settings["normalization"])


def expert_numbers(wildcards):
    return STUDY.shards(wildcards.dataset, wildcards.recipe)[int(wildcards.shard)]


def train_experts_code(wildcards):
    return fingerprint("train_experts.py")


# ---- distill ----


def method_settings(wildcards):
    return STUDY.method_settings(cell_of(wildcards))


def method_module(wildcards):
    return STUDY.methods[wildcards.method]["module"]


def method_protocol(wildcards):
    return STUDY.protocol(cell_of(wildcards))


def distill_code(wildcards):
    return fingerprint("distill.py", f"methods/{method_module(wildcards)}.py")


def expert_shards(wildcards):
    if not STUDY.methods[wildcards.method]["needs_experts"]:
        return []
    recipe = STUDY.recipe(cell_of(wildcards))
    return [
        f"{SHARD}/trajectories.safetensors".format(
            dataset=wildcards.dataset, recipe=recipe, shard=shard
        )
        for shard in range(len(STUDY.shards(wildcards.dataset, recipe)))
    ]


def import_entry(wildcards):
    return STUDY.imported[wildcards.method]


def import_files(wildcards):
    entry = STUDY.imported[wildcards.method]
    return [entry[key] for key in ("file", "labels") if key in entry]


def import_code(wildcards):
    return fingerprint("import_synthetic.py")


# ---- evaluate ----


def evaluation_settings(wildcards):
    return STUDY.evaluation(cell_of(wildcards), wildcards.network)


def evaluation_evolution(wildcards):
    """The snapshots, where this network judges them."""
    if evaluation_settings(wildcards)["selection"] is None:
        return []
    return f"{SYNTHETIC}/evolution.safetensors"


def evaluation_validation(wildcards):
    """The validation share, where this job selects by it."""
    if evaluation_settings(wildcards)["selection"] is None:
        return None
    return STUDY.config["data"]["validation"]


def evaluate_code(wildcards):
    return fingerprint("evaluate_synthetic.py")


def robust_settings(wildcards):
    return STUDY.robust(cell_of(wildcards))


def robust_code(wildcards):
    return fingerprint("evaluate_robust.py")


def vanilla_settings(wildcards):
    return STUDY.vanilla(wildcards.dataset, wildcards.network)


def vanilla_code(wildcards):
    return fingerprint("train_vanilla.py")


# ---- continual ----


def continual_network(wildcards):
    return STUDY.network(
        wildcards.dataset, STUDY.continual(wildcards.dataset)["network"]
    )


def continual_groups(wildcards):
    classes = len(STUDY.datasets[wildcards.dataset]["classes"])
    return check_groups(classes, STUDY.continual(wildcards.dataset)["groups"])


def continual_settings(wildcards):
    """What this strategy reads: only replay draws from a memory at each step, only afterwards trains once more."""
    settings = STUDY.continual(wildcards.dataset)
    unread = {"groups", "network"}
    if wildcards.strategy != "replay":
        unread |= {"replay_batch"}
    if wildcards.strategy == "afterwards":
        unread |= {"epochs", "batch", "images_per_class", "models"}
    else:
        unread |= {"afterwards_epochs", "afterwards_batch"}
    return {key: value for key, value in settings.items() if key not in unread}


def continual_identity(wildcards):
    """The dataset, and the memory set where the job has one."""
    names = [name for name in ("dataset", "method", "init") if hasattr(wildcards, name)]
    numbers = [name for name in ("ipc", "seed") if hasattr(wildcards, name)]
    return {name: getattr(wildcards, name) for name in names} | {
        name: int(getattr(wildcards, name)) for name in numbers
    }


def continual_finetuned(wildcards):
    """The networks that `afterwards` goes on from: they have seen real images as the memory set is normalised."""
    if wildcards.strategy != "afterwards":
        return []
    whitened = STUDY.normalization(cell_of(wildcards)) == "zca"
    return f"{CONTINUAL}{'_zca' * whitened}/finetuned.safetensors".format(
        dataset=wildcards.dataset, strategy="finetune"
    )


def continual_code(wildcards):
    return fingerprint("continual.py")


# ---- report ----
# Functions, as all above: what only these two jobs need is not worked out by every other job that reads the workflow.


def collect_code(wildcards):
    return fingerprint("collect.py")


def report_code(wildcards):
    return fingerprint("report.py")


def measurements():
    """The folders of every measuring job of the study, in a fixed order."""
    folders = []
    for dataset in STUDY.dataset_names:
        cells = [cell for cell in STUDY.cells if cell.dataset == dataset]
        own = [cell for cell in cells if not STUDY.is_imported(cell.method)]
        recipes = {
            STUDY.recipe(cell): None
            for cell in own
            if STUDY.methods[cell.method]["needs_experts"]
        }
        for recipe in recipes:
            for shard in range(len(STUDY.shards(dataset, recipe))):
                folders.append(
                    SHARD.format(dataset=dataset, recipe=recipe, shard=shard)
                )
        folders += paths(SYNTHETIC, own)
        for network in STUDY.evaluation_networks(dataset):
            folders += paths(EVALUATED, cells, network=network)
        folders += paths(ROBUST, [cell for cell in own if STUDY.robust(cell)])
        for network in STUDY.vanilla_networks(dataset):
            folders.append(VANILLA.format(dataset=dataset, network=network))
    for dataset in STUDY.continual_datasets:
        for strategy in STUDY.strategies:
            if strategy in ("finetune", "joint"):
                folders.append(CONTINUAL.format(dataset=dataset, strategy=strategy))
            else:
                folders += paths(REMEMBERED, STUDY.memories(dataset), strategy=strategy)
    return folders


def whitened_finetunes():
    """The folders of jobs that are measured within others, by what `afterwards` makes of them, but cost."""
    if "afterwards" not in STUDY.strategies:
        return []
    whitened = [
        dataset
        for dataset in STUDY.continual_datasets
        if any(STUDY.normalization(cell) == "zca" for cell in STUDY.memories(dataset))
    ]
    return [
        f"{CONTINUAL}_zca".format(dataset=dataset, strategy="finetune")
        for dataset in whitened
    ]


OWN_CELLS = [cell for cell in STUDY.cells if not STUDY.is_imported(cell.method)]
