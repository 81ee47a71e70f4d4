"""The sections of a config that say how networks are trained: on sets, on the full training set,
and as experts."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from distillery.study.overrides import listed
from distillery.study.section import (
    ABSENT,
    Decay,
    Epochs,
    Images,
    Models,
    ModelsOrNone,
    Momentum,
    Names,
    Positive,
    Rate,
    Section,
)
from distillery.study.values import WHOLE, Augment, Flag

Normalization = Literal["channel", "zca"]
Schedule = Literal["none", "half", "published", "cosine", "cosine_to_half", "fifths", "quarters"]
LabelKinds = Annotated[
    list[Literal["own", "hard", "teacher"]], BeforeValidator(listed), Field(min_length=1)
]
Overrides = list[dict[str, Any]]

DECAY = (
    "half: a tenth of the rate after half of the epochs; published: as the authors' code, which "
    "trains one epoch more; cosine: half a cosine towards 0, epoch by epoch; cosine_to_half: its "
    "first half, stretched over all epochs; fifths: half of the rate after each fifth; quarters: "
    "0.3 of it after each quarter."
)
OVERRIDES = "Changes for the jobs that `when` names; later ones win."


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

    decay: Schedule = Field(default="half", description=DECAY)
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
    overrides: Overrides = Field(default=ABSENT, description=OVERRIDES)


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
    overrides: Overrides = Field(default=ABSENT, description=OVERRIDES)


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
    overrides: Overrides = Field(default=ABSENT, description=OVERRIDES)
