"""What the sections of a config are made of: the block of keys, and types that many share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from distillery.study.values import NUMBER, WHOLE

Positive = Annotated[int, Field(ge=1), WHOLE]
NotNegative = Annotated[int, Field(ge=0), WHOLE]
Images = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
Epochs = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
# Networks that are trained.
Models = Annotated[int, Field(ge=1, le=1000), WHOLE]
ModelsOrNone = Annotated[int, Field(ge=0, le=1000), WHOLE]
Rate = Annotated[float, Field(gt=0), NUMBER]
Momentum = Annotated[float, Field(ge=0, lt=1), NUMBER]
Decay = Annotated[float, Field(ge=0), NUMBER]
Text = Annotated[str, Field(min_length=1)]
Names = str | Annotated[list[str], Field(min_length=1)]

# The default of a key that may be left out: it is then not in the config that is read.
ABSENT: Any = None


class Section(BaseModel):
    """A block of keys."""

    model_config = ConfigDict(
        extra="forbid", strict=True, protected_namespaces=(), defer_build=True
    )
