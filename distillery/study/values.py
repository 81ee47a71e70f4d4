"""Values as a config means them, and the types that hold them: YAML 1.1 reads `1e-5` as a text, and
Snakemake's `--config` whatever is nested."""

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from distillery import plugins
from distillery.study.messages import number, refused

_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# What JSON and the rest of the world hold in one number.
_MOST = 2**63


def too_large(value: int | float) -> str | None:
    """Return what is wrong with a number that no file holds; ``None`` where nothing is. NaN is
    neither above nor below a limit, so no limit would refuse it."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, not {value}"
    if isinstance(value, int) and abs(value) >= _MOST:
        shown = value if abs(value) < 10**30 else "a number of such length"
        return f"must be below 2 to the power of 63, not {shown}"
    return None


def _read(value: Any) -> Any:
    """Return a text that is a number as that number; anything else as it is.

    Raises:
        PydanticCustomError: it is a number that no file holds.
    """
    if isinstance(value, str):
        meant = number(value)
        value = value if meant is None else meant
    problem = too_large(value) if isinstance(value, int | float) else None
    if problem:
        raise PydanticCustomError("wrong", "{problem}", {"problem": problem})
    return value


def _whole(value: Any) -> Any:
    meant = _read(value)
    return meant if isinstance(meant, int) else value


def _as_written(value: Any, check: Callable[[Any], Any]) -> Any:
    """Return a number, which stays whole where it was written so: params are compared by their
    text."""
    value = _read(value)
    check(value)
    return value


def _true_or_false(value: Any) -> Any:
    return _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value


def _label(value: Any) -> Any:
    """Return a whole number as the text that it is in a file's name or a table.

    Raises:
        PydanticCustomError: YAML read a truth value, and nobody knows of which word.
    """
    if isinstance(value, bool):
        problem = f"must be a text: put it in quotes, for YAML reads yes and no as {value}"
        raise PydanticCustomError("wrong", "{problem}", {"problem": problem})
    return str(value) if isinstance(value, int) else value


def _pair(value: Any) -> Any:
    pair: Any = value
    if isinstance(value, list) and len(pair) != 2:
        problem = f"must be two numbers, not {pair}"
        raise PydanticCustomError("wrong", "{problem}", {"problem": problem})
    return pair


def _bare_off(value: Any) -> Any:
    return "off" if value is False else value  # YAML 1.1 reads a bare `off` as false


def known(augmentations: Iterable[str]) -> dict[str, Any]:
    """Return the context of a validation: what a study may name that its schema does not list."""
    return {"augmentations": list(augmentations)}


def _known_augmentation(name: str, about: ValidationInfo) -> str:
    names = (about.context or known(plugins.augmentations()))["augmentations"]
    if name not in names:
        raise PydanticKnownError("literal_error", {"expected": ", ".join(names)})
    return name


def _rising(value: list[float]) -> list[float]:
    low, high = value
    if low >= high:
        problem = f"must be two numbers of which the second is above the first, not {value}"
        raise PydanticCustomError("wrong", "{problem}", {"problem": problem})
    return value


WHOLE, NUMBER = BeforeValidator(_whole), WrapValidator(_as_written)
Label = Annotated[str, BeforeValidator(_label), Field(min_length=1)]
Pair = BeforeValidator(_pair)
Rising = AfterValidator(_rising)
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
Augment = Annotated[str, AfterValidator(_known_augmentation)]
Keep = Annotated[Literal["keep", "off"], BeforeValidator(_bare_off)]
Off = Annotated[Literal["auto", "off"], BeforeValidator(_bare_off)]


def typed(rule: Mapping[str, Any]) -> Any:
    """Return the type of a JSON-schema property that a plug-in declares."""
    if "anyOf" in rule:
        # A text stays one where it may be one.
        forms = sorted(rule["anyOf"], key=lambda form: form.get("type") != "string")
        union = Union[tuple(map(typed, forms))]  # noqa: UP007
        return Annotated[union, Field(union_mode="left_to_right")]
    if "const" in rule:
        return Literal[rule["const"]]
    if "enum" in rule:
        return Literal[tuple(rule["enum"])]
    if rule["type"] == "string":
        return str
    if rule["type"] == "boolean":
        return Flag
    limits = Field(
        ge=rule.get("minimum"),
        gt=rule.get("exclusiveMinimum"),
        le=rule.get("maximum"),
        lt=rule.get("exclusiveMaximum"),
    )
    if rule["type"] == "integer":
        return Annotated[int, limits, WHOLE]
    return Annotated[float, limits, NUMBER]


@functools.cache
def _declared(rule: str) -> TypeAdapter[Any]:
    return adapter(typed(json.loads(rule)))


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what checks values of a type, which are not turned into it but where a text is
    read."""
    return TypeAdapter(kind, config=ConfigDict(strict=True))


def declared(where: str, rule: Mapping[str, Any], value: Any) -> Any:
    """Return a value of a setting that a plug-in declares.

    Raises:
        UserError: it is not what the property asks for.
    """
    kept = {key: part for key, part in rule.items() if key not in ("default", "description")}
    return checked(where, _declared(json.dumps(kept, sort_keys=True)), value)


def checked(
    where: str, kind: TypeAdapter[Any], value: Any, context: Mapping[str, Any] | None = None
) -> Any:
    """Return a value of a type; :func:`known` gives the context.

    Raises:
        UserError: it is of another.
    """
    try:
        return kind.validate_python(value, context=context)
    except ValidationError as error:
        raise refused(where, error, value, kind.json_schema()) from None
