"""What a study asks of each of its jobs: its params, the files that it reads, and where its record
stands. Imports no torch.

The rules' params and input functions ask here, and so does ``collect``, which compares each
artefact's record with it.
"""

import copy
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillery import plugins
from distillery.store.layout import COST, EVOLUTION, METRICS, SET, Layout, filled
from distillery.study import continual, search
from distillery.study.cells import AXES, Cell
from distillery.study.fingerprint import fingerprint
from distillery.study.params import RULES, Computing, Distill, Evaluating, Params
from distillery.study.study import Study
from distillery.vocabulary import TEACHER

_MEASURED_BY_OTHERS = ("continual_whitened", "step_experts", "step_distill")


@dataclass(frozen=True)
class Job:
    """One job of a study.

    Attributes:
        rule: the name of its rule.
        wildcards: of the rule, as texts.
        record: the file that says what it was asked and what it read: its ``cost.json``, or the
            header of its one artefact.
        metrics: what it measured; ``None`` where nothing.
    """

    rule: str
    wildcards: tuple[tuple[str, str], ...]
    record: str
    metrics: str | None = None

    @property
    def cell(self) -> Cell | None:
        """Return the synthetic set that the job is about."""
        wildcards = dict(self.wildcards)
        return cell_of(wildcards) if "method" in wildcards else None


def cell_of(wildcards: Mapping[str, str]) -> Cell:
    """Read which synthetic set wildcards name."""
    dataset, method, init, ipc, seed = (wildcards[name] for name in AXES)
    return Cell(dataset, method, init, int(ipc), int(seed))


def script(rule: str) -> str:
    """Return the file in ``workflow/scripts`` that a rule runs."""
    return "continual_alone.py" if rule == "continual_whitened" else f"{rule}.py"


def digest(asked: Mapping[str, Any]) -> str:
    """Return a short digest (hex) of what a job was asked, as its record says it: its log begins
    with it."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


class Jobs:
    """The jobs of ``study``, whose files lie as ``layout`` says."""

    def __init__(self, study: Study, layout: Layout) -> None:
        self.study, self.layout = study, layout
        self._params: dict[tuple[str, ...], Params] = {}
        self._shards: dict[tuple[str, str], list[list[int]]] = {}
        self.network = functools.cache(study.network)

    # ---- params ----------------------------------------------------------------------------------

    def params(self, rule: str, wildcards: Mapping[str, str]) -> Params:
        """Work out what the study asks of a job."""
        key = (rule, *wildcards.values())
        if key not in self._params:
            work_out: Callable[[Mapping[str, str]], dict[str, Any]] = getattr(self, f"_{rule}")
            asked = work_out(wildcards)
            if isinstance(asked.get("settings"), dict):
                known = self.study.augmentations
                asked["settings"] = plugins.referring(asked["settings"], known)
            code = self._code(rule, wildcards, asked)
            if issubclass(RULES[rule], Computing):
                asked["checkpoint"] = filled(self.layout.checkpoint(rule), wildcards)
            self._params[key] = RULES[rule](job=dict(wildcards), code=code, **asked)
        return self._params[key]

    def asked(self, rule: str, wildcards: Mapping[str, str]) -> dict[str, Any]:
        """Work out what the record of a job says where it is what the study asks."""
        return self.params(rule, wildcards).recorded()

    def _code(self, rule: str, wildcards: Mapping[str, str], asked: Mapping[str, Any]) -> str:
        """Digest the code that a job runs, plug-ins included: its dataset, its method, its network
        and its augmentations."""
        plug_ins: list[str] = []
        fixed: list[str | None] = []
        runs_network = "network" in asked
        if rule == "download":
            plug_ins.append(self.study.datasets[wildcards["dataset"]].code)
        elif rule == "prepare":
            plug_ins += self.study.own[wildcards["dataset"]].modules
        elif rule in ("distill", "step_distill"):
            method = self.study.methods[wildcards["method"]]
            plug_ins.append(method.code)
            plug_ins += [Distill.reader] * (asked["start"] is not None)
            fixed.append(method.augment)
            runs_network = method.needs_network
        elif rule == "evaluate_robust":
            fixed.append("none")  # beside those that the settings name
        if runs_network:
            plug_ins += plugins.used(
                self.study.networks[asked["network"]["name"]],
                asked["settings"],
                *({"augment": name} for name in fixed),
            )
        if asked.get("teacher"):
            plug_ins.append(self.study.networks[asked["teacher"]["name"]].code)
        return fingerprint(script(rule), *plug_ins)

    @property
    def _seed(self) -> int:
        return self.study.config["seed"]

    @property
    def _share(self) -> float:
        return self.study.config["data"]["validation"]

    @functools.cached_property
    def _compute(self) -> dict[str, Any]:
        return {
            key: self.study.config["compute"][key] for key in ("precision", "compile", "threads")
        }

    def _distilled_with(self, dataset: str) -> dict[str, Any]:
        return self.network(dataset, self.study.config["network"])

    def _taught_with(self, dataset: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the network of the experts that teach a training; ``None`` where none do."""
        return self._distilled_with(dataset) if TEACHER in settings else None

    def _collect(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {"config": self.of_results()}

    def _report(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {"config": self.study.config}

    def _figures(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return self._report(wildcards)

    def _download(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {"source": self.study.datasets[wildcards["dataset"]].code}

    def _prepare(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        own = self.study.own[wildcards["dataset"]]
        return {"settings": dict(own.settings), "listing": own.listing.digest()}

    def _whiten(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {"seed": self._seed, "validation": self._share}

    def _train_experts(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        dataset, recipe = wildcards["dataset"], wildcards["recipe"]
        unread = ("number", "shard", "normalization")
        settings = {
            key: value
            for key, value in self.study.experts(dataset, recipe).items()
            if key not in unread
        }
        return {
            "seed": self._seed,
            "network": self._distilled_with(dataset),
            "numbers": self.shards(dataset, recipe)[int(wildcards["shard"])],
            "settings": settings,
            "validation": self._share,
            "compute": self._compute,
        }

    def _distill(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        cell = cell_of(wildcards)
        method = self.study.methods[cell.method]
        return {
            "cell": dict(cell.__dict__),
            "start": self.study.starts.get(cell.init),
            "seed": self._seed,
            "network": self._distilled_with(cell.dataset),
            "module": method.module,
            "source": method.code,
            "settings": self.study.method_settings(cell),
            "protocol": self.study.protocol(cell),
            "snapshots": self.study.config["snapshots"],
            "validation": self._share,
            "compute": self._compute,
        }

    def _import_synthetic(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {
            "cell": dict(cell_of(wildcards).__dict__),
            "entry": self.study.imported[wildcards["method"]],
        }

    def _evaluate_synthetic(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        cell = cell_of(wildcards)
        settings = self.study.evaluation(cell, wildcards["network"])
        return {
            "cell": dict(cell.__dict__),
            "seed": self._seed,
            "network": self.network(cell.dataset, wildcards["network"]),
            "settings": settings,
            "teacher": self._taught_with(cell.dataset, settings),
            "validation": self._share,
            "compute": self._compute,
        }

    def _evaluate_robust(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        cell = cell_of(wildcards)
        return {
            "cell": dict(cell.__dict__),
            "seed": self._seed,
            "network": self._distilled_with(cell.dataset),
            "settings": self.study.robust(cell),
            "validation": self._share,
            "compute": self._compute,
        }

    def _evaluate_privacy(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        cell = cell_of(wildcards)
        return {
            "cell": dict(cell.__dict__),
            "seed": self._seed,
            "network": self._distilled_with(cell.dataset),
            "settings": self.study.privacy(cell),
            "validation": self._share,
            "compute": self._compute,
        }

    def _train_vanilla(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        dataset, network = wildcards["dataset"], wildcards["network"]
        settings = self.study.vanilla(dataset, network)
        return {
            "seed": self._seed,
            "network": self.network(dataset, network),
            "settings": settings,
            "teacher": self._taught_with(dataset, settings),
            "compute": self._compute,
        }

    def _continual_alone(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return {
            "seed": self._seed,
            **continual.learning(self, wildcards),
            "compute": self._compute,
        }

    _continual_whitened = _continual_memory = _continual_alone

    def _step_experts(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return continual.step(self, wildcards, self._train_experts(wildcards))

    def _step_distill(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return continual.step(self, wildcards, self._distill(wildcards))

    def _search(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        cell = dict(cell_of(wildcards).__dict__)
        asked = search.asked(self, wildcards)
        return asked | {"cell": cell, "validation": self._share}

    def _search_full(self, wildcards: Mapping[str, str]) -> dict[str, Any]:
        return search.asked(self, wildcards, full=True)

    # ---- files -----------------------------------------------------------------------------------

    def shards(self, dataset: str, recipe: str) -> list[list[int]]:
        """Return the experts' numbers in each shard."""
        if (dataset, recipe) not in self._shards:
            self._shards[dataset, recipe] = self.study.shards(dataset, recipe)
        return self._shards[dataset, recipe]

    def _whitening(self, dataset: str, normalization: str) -> list[str]:
        """Return the whitening where images are whitened; nothing elsewhere, so that no other job
        knows of it."""
        return (
            [filled(self.layout.whitening, {"dataset": dataset})] if normalization == "zca" else []
        )

    def inputs(self, rule: str, wildcards: Mapping[str, str]) -> dict[str, list[str]]:
        """Return the files that a job reads, by the name of the rule's input."""
        if rule in ("download", "prepare"):
            return {}
        dataset, layout = wildcards["dataset"], self.layout
        files = {"data": [filled(layout.data, wildcards)]}
        if rule == "train_experts":
            normalization = self.study.experts(dataset, wildcards["recipe"])["normalization"]
            files["whitening"] = self._whitening(dataset, normalization)
        elif rule in ("distill", "import_synthetic"):
            cell = cell_of(wildcards)
            files["whitening"] = self._whitening(dataset, self.study.normalization(cell))
            if rule == "distill":
                files["experts"] = self._experts(cell)
                files["start"] = self.study.start_files(cell)
            else:
                files["files"] = self.study.imported_files(cell.method)
        elif rule in ("evaluate_synthetic", "evaluate_robust", "evaluate_privacy"):
            files["synthetic"] = [f"{filled(layout.synthetic, wildcards)}/{SET}"]
            if rule == "evaluate_synthetic":
                # The snapshots, where this network judges them.
                asked = self.params(rule, wildcards)
                judged = isinstance(asked, Evaluating) and asked.settings["selection"] is not None
                files["evolution"] = (
                    [f"{filled(layout.synthetic, wildcards)}/{EVOLUTION}"] if judged else []
                )
                files["experts"] = self._teachers(rule, wildcards)
        elif rule == "train_vanilla":
            files["experts"] = self._teachers(rule, wildcards)
        elif rule == "search":
            files["synthetic"] = [f"{filled(layout.synthetic, wildcards)}/{SET}"]
            files["full"] = [f"{filled(layout.search_full, wildcards)}/{METRICS}"]
        elif rule in ("continual_alone", "continual_whitened"):
            normalization = "zca" if rule == "continual_whitened" else "channel"
            files["whitening"] = self._whitening(dataset, normalization)
        elif rule == "continual_memory":
            files["memory"] = continual.memory_files(self, wildcards)
            files["finetuned"] = continual.finetuned_files(self, wildcards, cell_of(wildcards))
        elif rule == "step_distill":
            files["experts"] = continual.expert_files(self, wildcards, cell_of(wildcards))
        return files

    def _experts(self, cell: Cell) -> list[str]:
        if not self.study.learns(cell):
            return []
        recipe = self.study.recipe(cell)
        return self._trajectories(cell.dataset, recipe, len(self.shards(cell.dataset, recipe)))

    def _teachers(self, rule: str, wildcards: Mapping[str, str]) -> list[str]:
        """Return the shards that hold the experts which teach a training; none where none do."""
        asked = self.params(rule, wildcards)
        taught = asked.settings.get(TEACHER) if isinstance(asked, Computing) else None
        if taught is None:
            return []
        dataset, recipe = wildcards["dataset"], taught["experts"]
        sizes = itertools.accumulate(map(len, self.shards(dataset, recipe)))
        needed = 1 + sum(size < taught["number"] for size in sizes)
        return self._trajectories(dataset, recipe, needed)

    def _trajectories(self, dataset: str, recipe: str, shards: int) -> list[str]:
        """Return the files of the first shards of a recipe."""
        folders = [
            filled(self.layout.shard, {"dataset": dataset, "recipe": recipe, "shard": shard})
            for shard in range(shards)
        ]
        return [f"{folder}/trajectories.safetensors" for folder in folders]

    # ---- all of them -----------------------------------------------------------------------------

    @functools.cached_property
    def measuring(self) -> list[Job]:
        """Return every job whose measurements are collected, in a fixed order."""
        return list(self._measuring())

    def _measuring(self) -> Iterator[Job]:
        study, layout = self.study, self.layout
        for dataset in study.dataset_names:
            cells = [cell for cell in study.cells if cell.dataset == dataset]
            made_here = [cell for cell in cells if not study.is_imported(cell.method)]
            learning = [cell for cell in made_here if study.learns(cell)]
            taught = (teacher["experts"] for _, teacher, _ in study.teachers(dataset))
            for recipe in dict.fromkeys([*map(study.recipe, learning), *taught]):
                for shard in range(len(self.shards(dataset, recipe))):
                    yield _job(
                        "train_experts", layout.shard, dataset=dataset, recipe=recipe, shard=shard
                    )
            yield from (_job("distill", layout.synthetic, **cell.__dict__) for cell in made_here)
            for network in study.evaluation_networks(dataset):
                for cell in cells:
                    yield _job(
                        "evaluate_synthetic", layout.evaluated, **cell.__dict__, network=network
                    )
            for cell in cells:
                if study.robust(cell):
                    yield _job("evaluate_robust", layout.robust, **cell.__dict__)
            for cell in cells:
                if study.privacy(cell):
                    yield _job("evaluate_privacy", layout.privacy, **cell.__dict__)
            for network in study.vanilla_networks(dataset):
                yield _job("train_vanilla", layout.vanilla, dataset=dataset, network=network)
        for rule, pattern, wildcards in (*search.measuring(self), *continual.measuring(self)):
            yield _job(rule, pattern, **wildcards)

    @functools.cached_property
    def costing(self) -> list[Job]:
        """Return every job whose cost is collected: those that measure, and those that are measured
        by what others make of them."""
        return [
            *self.measuring,
            *(_job(rule, where, **wildcards) for rule, where, wildcards in continual.before(self)),
        ]

    def _data(self, dataset: str) -> Job:
        """Return the job that brings the images of a dataset."""
        rule, record = "download", self.layout.data
        if dataset in self.study.own:
            rule, record = "prepare", self.layout.prepared
        return Job(rule, (("dataset", dataset),), filled(record, {"dataset": dataset}))

    @functools.cached_property
    def all(self) -> list[Job]:
        """Return every job of the study that makes or measures something."""
        study, layout = self.study, self.layout
        jobs = [self._data(name) for name in study.dataset_names]
        whitened = {
            path
            for job in self.costing
            for path in self.inputs(job.rule, dict(job.wildcards)).get("whitening", ())
        }
        imported = [cell for cell in study.cells if study.is_imported(cell.method)]
        whitened |= {
            path
            for cell in imported
            for path in self._whitening(cell.dataset, study.normalization(cell))
        }
        for name in study.dataset_names:
            path = filled(layout.whitening, {"dataset": name})
            if path in whitened:
                jobs.append(Job("whiten", (("dataset", name),), path))
        for cell in imported:
            wildcards = tuple((name, str(value)) for name, value in cell.__dict__.items())
            jobs.append(
                Job(
                    "import_synthetic",
                    wildcards,
                    f"{filled(layout.synthetic, cell.__dict__)}/{SET}",
                )
            )
        return jobs + self.costing

    def of_results(self) -> dict[str, Any]:
        """Return the config without what changes no result: where things run and come from, and
        what the page is called."""
        config = copy.deepcopy(self.study.config)
        config["study"], config["results"] = "-", self.layout.results
        config.pop("report", None)
        for section, keys in (
            ("compute", ("mem_mb", "runtime", "track")),
            ("data", ("sources", "local")),
        ):
            for key in keys:
                config[section].pop(key, None)
        for block in config["datasets"].values():
            block.pop("title", None)
        # Sorted, for Snakemake compares params by their text, and what a second config adds stands
        # elsewhere.
        return json.loads(json.dumps(config, sort_keys=True))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what the study asks of all its jobs, and of which files each
        reads."""
        total = hashlib.sha256()
        for job in self.all:
            wildcards = dict(job.wildcards)
            asked = [
                job.rule,
                job.wildcards,
                self.params(job.rule, wildcards).content(),
                self.inputs(job.rule, wildcards),
            ]
            total.update(json.dumps(asked, sort_keys=True).encode())
        return total.hexdigest()


def _job(rule: str, pattern: str, **wildcards: Any) -> Job:
    texts = tuple((name, str(value)) for name, value in wildcards.items())
    folder = filled(pattern, wildcards)
    return Job(
        rule,
        texts,
        f"{folder}/{COST}",
        None if rule in _MEASURED_BY_OTHERS else f"{folder}/{METRICS}",
    )
