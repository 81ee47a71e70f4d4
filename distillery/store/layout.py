"""The paths of a results folder, said once: rules, readers and tests take them from here. Imports
no torch."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CELL = "{dataset}/{method}/{init}/ipc{ipc}/seed{seed}"
SPLIT = "{dataset}/steps{steps}/order{order}"
MEMORY = f"{SPLIT}/{{strategy}}/{{memory}}/{{method}}/{{init}}/ipc{{ipc}}/seed{{seed}}"
PART = f"{SPLIT}/step{{step}}/{{method}}/{{init}}/ipc{{ipc}}/seed{{seed}}"
PART_SHARD = f"{SPLIT}/step{{step}}/{{recipe}}/shard{{shard}}"
SET, EVOLUTION, NEIGHBOURS, CONFUSION, METRICS, COST = (
    "synthetic.safetensors",
    "evolution.safetensors",
    "neighbours.safetensors",
    "confusion.safetensors",
    "metrics.csv",
    "cost.json",
)
# What stands for a job in the folders of logs and benchmarks.
_NAMES = {
    "download": "download/{dataset}",
    "prepare": "prepare/{dataset}",
    "whiten": "whiten/{dataset}",
    "train_experts": "train_experts/{dataset}/{recipe}/shard{shard}",
    "distill": f"distill/{CELL}",
    "import_synthetic": f"import_synthetic/{CELL}",
    "evaluate_synthetic": f"evaluate_synthetic/{CELL}/{{network}}",
    "evaluate_robust": f"evaluate_robust/{CELL}",
    "evaluate_privacy": f"evaluate_privacy/{CELL}",
    "train_vanilla": "train_vanilla/{dataset}/{network}",
    "step_experts": f"step_experts/{PART_SHARD}",
    "step_distill": f"step_distill/{PART}",
    "continual_alone": f"continual/{SPLIT}/{{strategy}}",
    "continual_whitened": f"continual/{SPLIT}/{{strategy}}_zca",
    "search_full": "search/{dataset}/full",
    "search": f"search/{CELL}",
    "continual_memory": f"continual/{MEMORY}",
    "collect": "collect",
    "report": "report",
    "figures": "figures",
}


def normalised(results: str) -> str:
    """Return the one spelling of a results folder: without ``~``, ``./`` and a trailing slash, and
    relative where it lies below the working directory. Snakemake knows files by their names, so
    each spelling would have jobs of its own."""
    path = os.path.normpath(os.path.expanduser(results))
    if os.path.isabs(path):
        for here in (os.getcwd(), os.path.realpath(os.getcwd())):
            below = os.path.relpath(path, here)
            if below.partition(os.sep)[0] != os.pardir:
                return below
    return path


def filled(pattern: str, wildcards: Mapping[str, Any]) -> str:
    """Return a path from its pattern."""
    return pattern.format(**wildcards)


def standing(results: str | os.PathLike[str], stage: str, name: str) -> list[Path]:
    """Return the files of a name below one stage of a results folder (``synthetic``, ``evaluate``,
    ``experts`` …), whatever study made them."""
    return sorted((Path(results) / stage).rglob(name))


class Layout:
    """Where the files of a study lie. What stands in braces is a wildcard of Snakemake, and a field
    of ``str.format``.

    Attributes:
        results: the results folder, as :func:`normalised` gives it.
        data, whitening: the files of a dataset.
        prepared: the record of a dataset that is the config's own.
        shard, synthetic, evaluated, robust, privacy, vanilla: the folders of one job each, as are
            search_full, searched, step_shard, step_set, continual, continual_whitened and
            remembered.
        checkpoints: a folder; a job's checkpoint is no output.
        study, asked, tried, stale, summary, costs, sums, report, figures, so_far: what is there
            once.
    """

    def __init__(self, results: str) -> None:
        self.results = results
        self.data = f"{results}/data/{{dataset}}/dataset.safetensors"
        self.prepared = f"{results}/data/{{dataset}}/{COST}"
        self.whitening = f"{results}/data/{{dataset}}/whitening.safetensors"
        self.shard = f"{results}/experts/{{dataset}}/{{recipe}}/shard{{shard}}"
        self.synthetic = f"{results}/synthetic/{CELL}"
        self.evaluated = f"{results}/evaluate/{CELL}/{{network}}"
        self.robust = f"{results}/robust/{CELL}"
        self.privacy = f"{results}/privacy/{CELL}"
        self.vanilla = f"{results}/vanilla/{{dataset}}/{{network}}"
        self.step_shard = f"{results}/step_experts/{PART_SHARD}"
        self.step_set = f"{results}/step_sets/{PART}"
        self.continual = f"{results}/continual/{SPLIT}/{{strategy}}"
        self.continual_whitened = f"{self.continual}_zca"
        self.remembered = f"{results}/continual/{MEMORY}"
        self.search_full = f"{results}/search/{{dataset}}/full"
        self.searched = f"{results}/search/{CELL}"
        self.checkpoints = f"{results}/checkpoints"
        self.study = f"{results}/study.json"
        self.asked = f"{results}/asked.txt"
        self.tried = f"{results}/tried.json"
        self.stale = f"{results}/stale.txt"
        self.summary = f"{results}/summary.csv"
        self.costs = f"{results}/costs.json"
        self.sums = f"{results}/SHA256SUMS"
        self.report = f"{results}/report.html"
        self.figures = f"{results}/figures"
        self.so_far = f"{results}/report-so-far.html"

    def folder(self, rule: str) -> str:
        """Return the pattern of the folders of a rule's jobs; empty where it has none."""
        folders = {
            "train_experts": self.shard,
            "distill": self.synthetic,
            "import_synthetic": self.synthetic,
            "evaluate_synthetic": self.evaluated,
            "evaluate_robust": self.robust,
            "evaluate_privacy": self.privacy,
            "train_vanilla": self.vanilla,
            "step_experts": self.step_shard,
            "step_distill": self.step_set,
            "continual_alone": self.continual,
            "continual_whitened": self.continual_whitened,
            "continual_memory": self.remembered,
            "search_full": self.search_full,
            "search": self.searched,
        }
        return folders.get(rule, "")

    def log(self, rule: str) -> str:
        """Return the pattern of the logs of a rule's jobs."""
        return f"{self.results}/logs/{_NAMES[rule]}.log"

    def benchmark(self, rule: str) -> str:
        """Return the pattern of the benchmarks of a rule's jobs."""
        return f"{self.results}/benchmarks/{_NAMES[rule]}.tsv"

    def checkpoint(self, rule: str) -> str:
        """Return the pattern of the checkpoints of a rule's jobs."""
        return f"{self.checkpoints}/{_NAMES[rule]}.safetensors"
