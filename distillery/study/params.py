"""What a job is asked, one dataclass a rule: what the study works out, the rule declares as its
params, the script reads, and the job's record says. Imports no torch.

Snakemake compares params by their text, so that all values are those of JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from distillery.vocabulary import WHOLE


@dataclass(frozen=True, kw_only=True)
class Params:
    """What every job is asked. Not to be changed.

    Attributes:
        job: the wildcards of the rule, as texts.
        code: the digest of the code that it runs.
        kind: what its measurements and its record call the rule.
    """

    job: dict[str, str]
    code: str
    kind: ClassVar[str]
    # Paths of this machine, which no record holds.
    places: ClassVar[tuple[str, ...]] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share: its wildcards, numbers as
        such."""
        names = ("ipc", "seed", "steps", "order", "step")
        numbers = {name: int(self.job[name]) for name in names if name in self.job}
        return {**self.job, **numbers}

    def content(self) -> dict[str, Any]:
        """Return all that decides what the job makes, by name."""
        return {name: value for name, value in vars(self).items() if name not in self.places}

    def recorded(self) -> dict[str, Any]:
        """Return what the job's record says it was asked, as JSON types."""
        return json.loads(json.dumps(self.content()))


@dataclass(frozen=True, kw_only=True)
class Download(Params):
    """What fetching a dataset is asked.

    Attributes:
        source: the dataset's file relative to the library, or its reference.
    """

    kind = "download"
    source: str


@dataclass(frozen=True, kw_only=True)
class Prepare(Params):
    """What preparing a dataset of the config's own is asked.

    Attributes:
        settings: of the dataset, without where it lies and how it is called.
        listing: the digest of what lies there.
    """

    kind = "prepare"
    settings: dict[str, Any]
    listing: str


@dataclass(frozen=True, kw_only=True)
class Whiten(Params):
    """What fitting a whitening is asked."""

    kind = "whiten"
    seed: int
    validation: float


@dataclass(frozen=True, kw_only=True)
class Computing(Params):
    """What every job that claims a device is asked.

    Attributes:
        seed: of the study.
        network: the arguments of a ``NetworkSpec``.
        settings: of the rule, resolved for this job.
        compute: ``precision``, ``compile`` and ``threads``.
        checkpoint: where the job keeps its state while it runs.
    """

    places = ("checkpoint",)
    seed: int
    network: dict[str, Any]
    settings: dict[str, Any]
    compute: dict[str, Any]
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class TrainExperts(Computing):
    """What training a shard of experts is asked.

    Attributes:
        numbers: of the experts of this shard.
        validation: the share of the training images that is held out.
    """

    kind = "train_experts"
    numbers: list[int]
    validation: float

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        job = self.job
        return {
            "dataset": job["dataset"],
            "recipe": job["recipe"],
            "network": self.network["name"],
        }


@dataclass(frozen=True, kw_only=True)
class Distill(Computing):
    """What making a set is asked.

    Attributes:
        cell: the synthetic set.
        start: the entry of the set that it starts from; ``None`` where that is no set.
        module: of the method, by its file's name.
        source: the method's file relative to the library, or its reference.
        protocol: how networks are trained on such sets in the literature.
        snapshots: how many times the set is saved on its way.
        validation: the share of the training images that is held out.
    """

    kind = "distill"
    # What reads a set to start from: only the jobs that do import it, by this name, so that no
    # other is stale where a reader of files changes.
    reader: ClassVar[str] = "sets/starts.py"
    cell: dict[str, Any]
    start: dict[str, Any] | None
    module: str
    source: str
    protocol: dict[str, Any]
    snapshots: int
    validation: float

    def content(self) -> dict[str, Any]:
        """Return all that decides the set, without the names of the files that it starts from."""
        start = None if self.start is None else _without_files(self.start)
        return {**super().content(), "start": start}


def _without_files(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry without the names of its files: a set travels with its record, and the
    digests of the inputs say what was in them."""
    files = {
        key for key in ("file", "labels", "step_size") if isinstance(entry.get(key), str | list)
    }
    return {key: value for key, value in entry.items() if key not in files}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What of the images a job of one step sees, that makes a part of a memory.

    Attributes:
        classes: of the step's group; their places are the labels.
        images_per_class: the first of each class, as the learner sees them; 0: all.
    """

    classes: list[int]
    images_per_class: int


@dataclass(frozen=True, kw_only=True)
class StepExperts(Step, TrainExperts):
    """What training a shard of experts on the images of one step is asked."""

    kind = "step_experts"

    @property
    def identity(self) -> dict[str, Any]:
        """Return what tells the job from others of its rule."""
        at = {name: int(self.job[name]) for name in ("steps", "order", "step")}
        return {**super().identity, **at}


@dataclass(frozen=True, kw_only=True)
class StepDistill(Step, Distill):
    """What making the part of a memory of one step is asked."""

    kind = "step_distill"


@dataclass(frozen=True, kw_only=True)
class ImportSynthetic(Params):
    """What importing a released set is asked.

    Attributes:
        cell: the synthetic set.
        entry: of the config's ``imported``.
    """

    kind = "import_synthetic"
    cell: dict[str, Any]
    entry: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """Return all that decides the set, without the names of its files."""
        return {**super().content(), "entry": _without_files(self.entry)}


@dataclass(frozen=True, kw_only=True)
class Evaluating(Computing):
    """What a job that judges a set is asked.

    Attributes:
        cell: the synthetic set.
        validation: the share of the training images that is held out.
    """

    cell: dict[str, Any]
    validation: float

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        return {**super().identity, "network": self.network["name"]}


@dataclass(frozen=True, kw_only=True)
class EvaluateSynthetic(Evaluating):
    """What training networks on a set is asked.

    Attributes:
        teacher: the arguments of the ``NetworkSpec`` of the experts that teach; ``None`` where
            none do.
    """

    kind = "evaluate_synthetic"
    teacher: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class EvaluateRobust(Evaluating):
    """What measuring a set's robust scores is asked."""

    kind = "evaluate_robust"


@dataclass(frozen=True, kw_only=True)
class EvaluatePrivacy(Evaluating):
    """What measuring what a set gives away is asked."""

    kind = "evaluate_privacy"


@dataclass(frozen=True, kw_only=True)
class TrainVanilla(Computing):
    """What training on the full training set is asked.

    Attributes:
        teacher: the arguments of the ``NetworkSpec`` of the experts that teach; ``None`` where
            none do.
    """

    kind = "train_vanilla"
    teacher: dict[str, Any] | None

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        network = self.network["name"]
        return {"dataset": self.job["dataset"], "method": WHOLE, "network": network}


@dataclass(frozen=True, kw_only=True)
class Continual(Computing):
    """What class-incremental learning is asked, with or without a memory.

    Attributes:
        groups: of classes, in the order in which they arrive.
    """

    kind = "continual"
    groups: list[list[int]]

    @property
    def strategy(self) -> str:
        """Return how old groups are kept."""
        return self.job["strategy"]

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        return {**super().identity, "network": self.network["name"]}


@dataclass(frozen=True, kw_only=True)
class SearchFull(Computing):
    """What training the networks of a search on the full training set is asked.

    Attributes:
        grid: the options of each of them; ``network`` is that without.
    """

    kind = "search_full"
    grid: list[dict[str, Any]]

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        return {"dataset": self.job["dataset"], "method": WHOLE}


@dataclass(frozen=True, kw_only=True)
class Search(Evaluating):
    """What ranking networks by one set is asked.

    Attributes:
        grid: the options of each of them; ``network`` is that without.
    """

    kind = "search"
    grid: list[dict[str, Any]]

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that all measurements of the job share."""
        return {**super().identity, "network": None}


@dataclass(frozen=True, kw_only=True)
class Shown(Params):
    """What a job that reads the study's results is asked.

    Attributes:
        config: the resolved one.
    """

    config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Collect(Shown):
    """What collecting the measurements is asked."""

    kind = "collect"


@dataclass(frozen=True, kw_only=True)
class Report(Shown):
    """What writing the report is asked."""

    kind = "report"


@dataclass(frozen=True, kw_only=True)
class Figures(Shown):
    """What drawing the figures for papers is asked."""

    kind = "figures"


RULES: dict[str, type[Params]] = {
    "download": Download,
    "prepare": Prepare,
    "whiten": Whiten,
    "train_experts": TrainExperts,
    "distill": Distill,
    "import_synthetic": ImportSynthetic,
    "evaluate_synthetic": EvaluateSynthetic,
    "evaluate_robust": EvaluateRobust,
    "evaluate_privacy": EvaluatePrivacy,
    "train_vanilla": TrainVanilla,
    "step_experts": StepExperts,
    "step_distill": StepDistill,
    "continual_alone": Continual,
    "continual_whitened": Continual,
    "continual_memory": Continual,
    "search_full": SearchFull,
    "search": Search,
    "collect": Collect,
    "report": Report,
    "figures": Figures,
}


def names(rule: str) -> list[str]:
    """Return the names of a rule's params."""
    return [field.name for field in fields(RULES[rule])]
