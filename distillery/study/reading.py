"""The settings of a config, read as they are meant and checked one by one: sections against their
models, those of methods and networks against what these declare."""

# A config holds values of any type until it is checked.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from distillery import declarations
from distillery.errors import UserError
from distillery.plugins import Method, Network
from distillery.study import schema, values
from distillery.study.cells import AXES
from distillery.study.messages import known, refused, step
from distillery.study.overrides import blocks, listed
from distillery.vocabulary import IMPORTED, INITS, WHOLE

# Settings that every method has, beside those that it declares: what the job does around it, not
# what the method does.
COMMON = {"normalization": {"type": "string", "enum": ["channel", "zca"], "default": "channel"}}
# Beside them, of methods that learn images of which each holds several (IDC).
MOST_PARTS = 8  # on a side
FACTOR = {"factor": {"type": "integer", "minimum": 1, "maximum": MOST_PARTS, "default": 1}}
# What the jobs of a section can differ in.
_DIFFER_IN = {
    "experts": ("dataset",),
    "evaluate": (*AXES, "network"),
    "vanilla": ("dataset", "network"),
    "continual": ("dataset",),
}
# Keys of a section that are the same for all its jobs.
_FIXED = (
    *("networks", "overrides", "datasets", "strategies", "memory", "memories", "number", "shard"),
)


def common(method: Method) -> dict[str, dict[str, Any]]:
    """Return the settings that a method has beside those that it declares."""
    return {**COMMON, **(FACTOR if method.factored else {})}


def folders(config: Mapping[str, Any]) -> list[str]:
    """Return the folders of plug-ins that a config names: they say what its other keys may hold.

    Raises:
        UserError: the key is no path and no list of them.
    """
    named = listed(config.get("plugins", []))
    for value in named:
        if not isinstance(value, str) or not value:
            raise UserError(
                "config: plugins: must be folders of plug-ins, such as [my_methods/], not "
                f"{config['plugins']!r}"
            )
    return named


def sections(
    config: Mapping[str, Any], augmentations: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return a config with a value for each key of its sections, in the order of the models:
    Snakemake compares params by their text.

    Args:
        config: as it was written.
        augmentations: that it may name; those of the library by default.

    Raises:
        UserError: a key or a value is not what its section takes.
    """
    _check_finite("config", config)
    try:
        context = None if augmentations is None else values.known(augmentations)
        model = schema.Config.model_validate(config, context=context)
    except ValidationError as error:
        raise refused("config", error, config, schema.shape(schema.Config)) from None
    complete = _plain(model)
    # A name that is given twice is one job, not one that is counted twice.
    for section, key in (
        ("evaluate", "networks"),
        ("vanilla", "networks"),
        ("continual", "strategies"),
        ("continual", "memories"),
    ):
        complete[section][key] = list(dict.fromkeys(listed(complete[section][key])))
    return complete


def _plain(value: Any) -> Any:
    """Return a model as a block of keys; any other value as it is."""
    if isinstance(value, BaseModel):
        # A whole number stays one where any number may stand: no warning of it.
        return value.model_dump(exclude_none=True, warnings=False)
    return value


def _check_finite(where: str, value: Any) -> None:
    """Refuse what is no number, or larger than files hold, wherever it stands."""
    if isinstance(value, int | float):
        problem = values.too_large(value)
        if problem:
            raise UserError(f"{where}: {problem}")
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        _check_finite(step(where, key), item)


def variants(blocks: Mapping[str, Any], methods: Mapping[str, Method]) -> dict[str, Method]:
    """Return the config's own methods: blocks that name the method they are a variant ``of``, and
    differ from it in settings.

    Raises:
        UserError: a variant's name is taken or cannot be one, or its method is unknown.
    """
    variant_methods: dict[str, Method] = {}
    for name, block in blocks.items():
        if not isinstance(block, dict) or "of" not in block:
            continue
        where = f"config: methods.{name}"
        if name in methods:
            raise UserError(
                f"{where}: {name} is a method itself and cannot be a variant of another; give "
                "the variant a name of its own"
            )
        if not declarations.NAME.fullmatch(name) or name == WHOLE:
            raise UserError(
                f"{where}: a variant's name is made of letters, digits and underscores, begins "
                f"with a letter, and is not `{WHOLE}`"
            )
        known(f"{where}.of", "method", block["of"], methods)
        variant_methods[name] = dataclasses.replace(
            methods[block["of"]], name=name, title=name, colour=None
        )
    return variant_methods


# ---- what plug-ins declare -----------------------------------------------------------------------


def check_declared(methods: Iterable[Method], networks: Iterable[Network]) -> None:
    """Check that the default of each setting and option is a value that it takes.

    Raises:
        UserError: one is not; the line names the plug-in's file.
    """
    for place, where, rules in (
        *((method.place, "SETTINGS", method.settings) for method in methods),
        *((network.place, "SPEC.options", network.options) for network in networks),
    ):
        for name, rule in rules.items():
            values.declared(f"{place}: {where}.{name}: default", rule, rule["default"])


def check_networks(config: Mapping[str, Any], networks: Mapping[str, Network]) -> None:
    """Check the networks that a config names.

    Raises:
        UserError: one is unknown.
    """
    places = {
        "network": [config["network"]],
        "evaluate.networks": config["evaluate"]["networks"],
        "vanilla.networks": config["vanilla"]["networks"],
        "continual.network": [config["continual"]["network"]],
        "search.network": [config["search"]["network"]],
    }
    for where, names in places.items():
        for name in names:
            known(f"config: {where}", "network", name, networks)


def check_searched(section: Mapping[str, Any], networks: Mapping[str, Network]) -> None:
    """Check the options that a search varies.

    Raises:
        UserError: one is unknown, or does not take a value.
    """
    network = networks[section["network"]]
    if network.factory:
        raise UserError(
            f"config: search.network: {section['network']} is from outside, and its options are "
            "not known; name one of this library or of a folder of plug-ins"
        )
    for option, values_of in section["options"].items():
        where = f"config: search.options.{option}"
        known("config: search.options", "option", option, network.options)
        if not values_of:
            raise UserError(f"{where}: must be a list of one value or more")
        for value in values_of:
            values.declared(where, network.options[option], value)


def of_networks(
    given: Mapping[str, dict[str, Any]], networks: Mapping[str, Network]
) -> dict[str, dict[str, Any]]:
    """Return the options of networks as they are meant.

    Raises:
        UserError: a network or an option is unknown, or an option does not take its value.
    """
    for name in given:
        known("config: networks", "network", name, networks)
    return {
        name: options
        if networks[name].factory
        else _settings(f"config: networks.{name}", "option", options, networks[name].options)
        for name, options in given.items()
    }


def of_methods(
    given: Mapping[str, Any],
    methods: Mapping[str, Method],
    recipes: Iterable[str],
    names: Mapping[str, Iterable[str]],
) -> dict[str, dict[str, Any]]:
    """Return the settings of methods as they are meant, with their overrides.

    Args:
        given: the config's ``methods``.
        methods: by name, variants among them.
        recipes: the names of the expert recipes.
        names: what overrides may name, as :func:`names` gives it.

    Raises:
        UserError: a method or a setting is unknown, or a setting does not take its value.
    """
    read: dict[str, Any] = {}
    for name, block in given.items():
        where = f"config: methods.{name}"
        known("config: methods", "method", name, methods)
        if not isinstance(block, dict):
            raise UserError(f"{where}: must be a block of settings, not {block!r}")
        parts: list[dict[str, Any]] = []
        for place, part in blocks(where, block):
            kept = {"of": part.pop("of")} if place == where and "of" in part else {}
            if place != where:
                kept = {"when": _when(place, part.pop("when"), AXES, names)}
            recipe = part.pop("experts", None) if methods[name].needs_experts else None
            properties = {**methods[name].settings, **common(methods[name])}
            parts.append({**kept, **_settings(place, "setting", part, properties)})
            if recipe is not None:
                known(place, "expert recipe", recipe, recipes)
                parts[-1]["experts"] = recipe
        first, *overrides = parts
        read[name] = first | ({"overrides": overrides} if "overrides" in block else {})
    return read


def _settings(
    where: str, what: str, given: Mapping[str, Any], properties: Mapping[str, Any]
) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in given.items():
        known(where, what, name, properties)
        read[name] = values.declared(f"{where}.{name}", properties[name], value)
    return read


# ---- overrides -----------------------------------------------------------------------------------


def names(
    datasets: Iterable[str],
    methods: Iterable[str],
    networks: Iterable[str],
    starts: Iterable[str] = (),
) -> dict[str, Iterable[str]]:
    """Return what ``when`` may name of each key that is no number."""
    return {
        "dataset": list(datasets),
        "method": list(methods),
        "network": list(networks),
        "init": (*INITS, *starts, IMPORTED),
    }


def read_overrides(
    config: dict[str, Any], names: Mapping[str, Iterable[str]], augmentations: Iterable[str]
) -> None:
    """Read in place the overrides of every section but the methods', whose settings the methods
    declare.

    Raises:
        UserError: one names no job, or a key does not take its value.
    """
    places = {
        f"experts.{name}": (block, schema.Experts) for name, block in config["experts"].items()
    }
    places |= {
        "evaluate": (config["evaluate"], schema.Evaluate),
        "vanilla": (config["vanilla"], schema.Vanilla),
        "continual": (config["continual"], schema.Continual),
    }
    for name, (block, model) in places.items():
        section = name.partition(".")[0]
        keys = [key for key in model.model_fields if key not in _FIXED]
        for number, (place, part) in enumerate(list(blocks(f"config: {name}", block))[1:]):
            read = {"when": _when(place, part.pop("when"), _DIFFER_IN[section], names)}
            for key, value in part.items():
                known(place, "key", key, keys)
                kind = _of_key(model, key)
                read[key] = _plain(
                    values.checked(f"{place}.{key}", kind, value, values.known(augmentations))
                )
            block["overrides"][number] = read


@functools.cache
def _of_key(model: type[BaseModel], key: str) -> TypeAdapter[Any]:
    """Return what checks the value of a section's key."""
    field = model.model_fields[key]
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return TypeAdapter(field.annotation)
    kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return values.adapter(kind)


@functools.cache
def _count() -> TypeAdapter[int]:
    return values.adapter(Annotated[int, values.WHOLE])


def _when(
    where: str,
    when: Mapping[str, Any],
    differ_in: Iterable[str],
    names: Mapping[str, Iterable[str]],
) -> dict[str, Any]:
    """Return what an override is for. It must be something that jobs of its section differ in: it
    would never match otherwise."""
    read: dict[str, Any] = {}
    for key, given in when.items():
        place = f"{where}.when"
        known(place, "key", key, differ_in)
        wanted = listed(given)
        for number, value in enumerate(wanted):
            if key in names:
                known(place, key, value, names[key])
            else:
                wanted[number] = values.checked(f"{place}.{key}", _count(), value)
        read[key] = wanted if isinstance(given, list) else wanted[0]
    return read
