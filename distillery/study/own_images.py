"""The shape of a config's own datasets (``datasets``), one model a kind."""

from typing import Annotated, Literal

from pydantic import Field

from distillery.study.section import ABSENT, NotNegative, Positive, Section, Text
from distillery.study.values import NUMBER, WHOLE, Flag, Label, Pair, Rising

Side = Annotated[int, Field(ge=8, le=1024), WHOLE]
Size = Annotated[Side | list[Side], Pair]
Share = Annotated[float, Field(gt=0, lt=1), NUMBER]


ArrayName = Literal["images", "labels", "val_images", "val_labels", "test_images", "test_labels"]

_KIND = "What lies there."
_SIZE = (
    "Pixels a side of the images, or [height, width]. Of arrays it may be left out: they keep "
    "theirs."
)
_CHANNELS = (
    "1 is grey, 2 grey with alpha, 3 colours, 4 colours with alpha. Arrays keep theirs unless it "
    "is named."
)


class Common(Section):
    """What every kind of dataset takes."""

    kind: str = Field(description=_KIND)
    path: Text = Field(description="Where it lies; from the working directory, or absolute.")
    size: Size = Field(description=_SIZE)
    channels: Annotated[int, Field(ge=1, le=4), WHOLE] = Field(
        default=3,
        description=_CHANNELS,
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop",
        description="How an image of another shape becomes one of `size`: `crop` cuts its middle "
        "out, `pad` keeps all of it before the `background`, `stretch` distorts it.",
    )
    resize: Literal["bicubic", "lanczos", "bilinear", "box", "nearest"] = Field(
        default="bicubic", description="How pixels are resampled."
    )
    background: Literal["white", "black"] = Field(
        default="white",
        description="What lies behind transparent pixels (where no channel holds alpha) and "
        "around padded images.",
    )
    range: Annotated[list[Annotated[float, NUMBER]], Rising, Pair] = Field(
        default=ABSENT,
        description="The values [low, high] that become black and white, of images of more than 8 "
        "bits; all that the type holds unless named.",
    )
    classes: list[Label] | dict[Label, Label] = Field(
        default=ABSENT,
        description="Which classes, in which order: names as they lie there, or a block of these "
        "and the names they shall have; classes of one new name become one. All, by name, "
        "unless named.",
    )
    test: Share = Field(
        default=ABSENT,
        description="The share of each class that networks are tested on, where the data have no "
        "test part of their own; 0.2 unless named.",
    )
    validation: Share = Field(
        default=ABSENT,
        description="The share of each class's training images that is the validation part, where "
        "the data have none of their own, instead of `data.validation`.",
    )
    seed: NotNegative = Field(default=0, description="The seed of the shares and of the limits.")
    per_class: Positive = Field(
        default=ABSENT, description="At most so many training images of each class."
    )
    test_per_class: Positive = Field(
        default=ABSENT, description="At most so many test images of each class."
    )
    longtail: Annotated[float, Field(ge=1), NUMBER] = Field(
        default=ABSENT,
        description="How many times more training images the first class has than the last; those "
        "between fall exponentially.",
    )
    horizontal_flip: Flag = Field(
        default=ABSENT,
        description="Whether a mirrored image keeps its class; of colour images yes, of others no "
        "unless named.",
    )
    on_error: Literal["fail", "skip"] = Field(
        default="fail",
        description="What becomes of images that cannot be read, which are named: `fail` ends the "
        "job, `skip` leaves them out.",
    )
    title: Text = Field(default=ABSENT, description="Its name in the report.")
    licence: Text = Field(
        default="not stated", description="Its terms, which go with every set made of it."
    )
    home: Text = Field(default="not stated", description="Its page or paper.")


class Folder(Common):
    """Images in one folder for each class; these below train, val and test where there are such."""

    kind: Literal["folder"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] # one of
        description=_KIND
    )


class Table(Common):
    """Images that a table names, each with its label: a CSV file, as medical sets come."""

    kind: Literal["table"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] # one of
        description=_KIND
    )
    images: Text = Field(
        default=ABSENT,
        description="The folder that the table's files are in; that of the table unless named.",
    )
    file: Text = Field(
        default=ABSENT,
        description="The column of the images' files; `file`, `filename`, `image` or the like "
        "unless named.",
    )
    label: Text | Annotated[list[Text], Field(min_length=2)] = Field(
        default=ABSENT,
        description="The column of the labels; `label`, `class`, `category` or the like unless "
        "named. Or a list of columns, one for each class, of which one is 1 and the others are 0.",
    )
    split: Text = Field(
        default=ABSENT,
        description="The column that says train, val or test; `split` where there is such.",
    )
    ending: Annotated[str, Field(pattern="^[.][A-Za-z0-9]+$")] = Field(
        default=ABSENT, description="What the names of files lack in the table, such as `.jpg`."
    )


class Arrays(Common):
    """Images and labels as arrays: an npz or safetensors file, or a folder of npy files."""

    kind: Literal["arrays"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] # one of
        description=_KIND
    )
    size: Size = Field(default=ABSENT, description=_SIZE)
    channels: Annotated[int, Field(ge=1, le=4), WHOLE] = Field(
        default=ABSENT, description=_CHANNELS
    )
    keys: dict[ArrayName, Text] = Field(
        default={}, description="What the arrays are called there, by our names."
    )
    layout: Literal["nhwc", "nchw"] = Field(
        default=ABSENT,
        description="Whether channels come last or first, where the shape does not say.",
    )
    names: list[Label] = Field(
        default=ABSENT, description="What the classes are called, in the order of the labels."
    )


class Hub(Common):
    """Parquet files as dataset hubs keep them, here or downloaded by name."""

    kind: Literal["hub"] = Field(  # pyright: ignore[reportIncompatibleVariableOverride] # one of
        description=_KIND
    )
    image: Text = Field(
        default=ABSENT,
        description="The column of the images; the one that the schema says, or `image`, unless "
        "named.",
    )
    label: Text = Field(
        default=ABSENT,
        description="The column of the labels; the one that the schema says, or `label`, unless "
        "named.",
    )


# One model for each kind, by the name that its ``kind`` has.
KINDS = {"folder": Folder, "table": Table, "arrays": Arrays, "hub": Hub}
Own = Annotated[Folder | Table | Arrays | Hub, Field(discriminator="kind")]
