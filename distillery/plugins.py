"""What the library offers, read from its source without importing it: a parse of the workflow needs
no torch.

Each kind of plug-in has a folder, in which a file without an underscore is one plug-in, and a
frozen dataclass here that says what such a file binds. A field is the literal of that name in
capitals (``TITLE``, ``KIND``), or a key of the literal ``SPEC``; what has a default may be left
out. A field that is missing or wrong is named, with its file, in one line before any job starts.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from distillery import literals
from distillery.errors import UserError, hint
from distillery.literals import shown

# A file without an underscore in one of these is a plug-in.
FOLDERS = ("datasets", "networks", "augmentations", "methods")
# What shares a folder with plug-ins and is none of them.
_MACHINERY = {"methods": ("base",)}
# What a plug-in must bind beside its fields: jobs call or read it.
_BOUND = {
    "datasets": ("FILES", "SOURCES"),
    "networks": ("build",),
    "augmentations": ("draw",),
}
# What only tables and charts read: it stands beside ``SPEC``, whose every key is of the data.
SHOWN = ("title", "order")
# The kinds of methods, and the function that a file of each binds.
DISTILLED, CORESET = "distilled", "coreset"
_MADE_BY = {DISTILLED: "build", CORESET: "select"}
# Where a new plug-in stands in tables: after those that say where.
LAST = 1000
NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _field(what: str, fits: Callable[[Any], bool], default: Any = dataclasses.MISSING) -> Any:
    """Return a field of a plug-in: what it must be, in words and as a test, and its default."""
    metadata = {"what": what, "fits": fits}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _text(default: Any = dataclasses.MISSING) -> Any:
    return _field("a text", _is_text, default)


def _count(least: int = 1) -> Any:
    return _field(f"a whole number of {least} or more", lambda value: _is_whole(value, least))


def _flag(default: Any = dataclasses.MISSING) -> Any:
    return _field("True or False", lambda value: isinstance(value, bool), default)


def _numbers() -> Any:
    return _field(
        "a list of numbers, one a channel",
        lambda value: (
            isinstance(value, list | tuple) and bool(value) and all(map(_is_number, value))
        ),
    )


def _block(what: str = "a block of keys", default: Any = dataclasses.MISSING) -> Any:
    return _field(what, lambda value: isinstance(value, dict), default)


def _order() -> Any:
    return _field("a number", _is_number, LAST)


# ---- the kinds -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to make a set: a file in ``methods``, which binds ``build(task)`` where sets are
    distilled and ``select(task)`` where their images are chosen (:mod:`distillery.methods.base`).

    Attributes:
        name: in a config; a variant has a name of its own.
        module: its file's name.
        kind: ``distilled``, or ``coreset``: chosen real images, which have no start of their own.
        title: in the report.
        needs_experts: whether it learns from trained networks.
        needs_network: whether it runs a network.
        settings: name to JSON-schema property, with ``default`` and ``description``. One called
            ``augment`` names an augmentation: any, unless the method says which. A method that
            distils has ``iterations``.
        protocol: how networks are trained on its sets, as published; with ``overrides``.
        augment: the augmentation that it always takes.
        order: its place in tables, among its kind.
        colour: the number of its colour in charts; ``None`` for one that is free.
    """

    name: str
    module: str
    kind: str = _field(f"{DISTILLED} or {CORESET}", lambda value: value in (DISTILLED, CORESET))
    title: str = _text("")
    needs_experts: bool = _flag(False)
    needs_network: bool = _flag(True)
    settings: Mapping[str, Mapping[str, Any]] = _block(default={})
    protocol: Mapping[str, Any] = _block()
    augment: str | None = _text(None)
    order: float = _order()
    colour: int | None = _field("a whole number of 1 or more", lambda v: _is_whole(v, 1), None)

    @property
    def is_coreset(self) -> bool:
        """Return whether its images are chosen real ones."""
        return self.kind == CORESET


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A labelled image dataset: a file in ``datasets``, named as the dataset in lower case.

    Attributes:
        module: its file's name.
        spec: the file's ``SPEC``, which data files carry in their headers.
        channels, size: of an image; ``size`` in pixels a side.
        classes: their names, in the order of the labels.
        train, test: how many images there are.
        smallest_class: training images of the smallest class.
        mean, std: of the training pixels in [0, 1], for each channel.
        licence, home: of the data, and the address of their page.
        horizontal_flip: whether a mirrored image keeps its class.
        raw: the layout that ``sha256`` is of: ``nhwc`` or ``idx``.
        sha256, md5: published digests (hex), by array and by file.
        title, order: its name in the report and its place in tables.
    """

    name: str
    module: str
    spec: Mapping[str, Any]
    channels: int = _field("1 to 4", lambda value: _is_whole(value, 1) and value <= 4)
    size: int = _count()
    classes: tuple[str, ...] = _field(
        "a list of different texts",
        lambda value: (
            isinstance(value, list | tuple)
            and bool(value)
            and all(map(_is_text, value))
            and len(set(value)) == len(value)
        ),
    )
    train: int = _count()
    test: int = _count()
    smallest_class: int = _count()
    mean: tuple[float, ...] = _numbers()
    std: tuple[float, ...] = _numbers()
    licence: str = _text()
    home: str = _text()
    horizontal_flip: bool = _flag()
    raw: str = _field("nhwc or idx", lambda value: value in ("nhwc", "idx"))
    sha256: Mapping[str, str] = _block()
    md5: Mapping[str, str] = _block(default={})
    title: str = _text("")
    order: float = _order()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network: a file in ``networks``, named as the network in lower case, which binds
    ``build(channels, size, classes, **options)``.

    Attributes:
        module: its file's name.
        spec: the file's ``SPEC``, which :mod:`distillery.limits` reads.
        minimum_size: pixels a side of the smallest image that it takes.
        options: name to JSON-schema property, with ``default`` and ``description``; an integer has
            a ``minimum`` and a ``maximum``.
        batch_norm: whether its normalisation mixes the images of a batch, so that nothing can be
            distilled with it; or the values of options with which it does.
        halvings: how often it halves an image: a number, or the ``option`` that says it, ``unless``
            others have certain values.
        multiples: options that must be a multiple ``of`` a number, and ``when``.
        title, order: its name in the report and its place in tables.
    """

    name: str
    module: str
    spec: Mapping[str, Any]
    minimum_size: int = _count()
    options: Mapping[str, Mapping[str, Any]] = _block(default={})
    batch_norm: bool | Mapping[str, list[Any]] = _field(
        "True, False or a block of options and the values that bring it",
        lambda value: isinstance(value, bool | dict),
        False,
    )
    halvings: int | Mapping[str, Any] = _field(
        "a whole number or a block with `option`",
        lambda value: _is_whole(value) or (isinstance(value, dict) and "option" in value),
        0,
    )
    multiples: Iterable[Mapping[str, Any]] = _field(
        "a list of blocks with `option` and `of`",
        lambda value: (
            isinstance(value, list | tuple)
            and all(isinstance(rule, dict) and {"option", "of"} <= rule.keys() for rule in value)
        ),
        (),
    )
    title: str = _text("")
    order: float = _order()


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A random change to a batch of images: a file in ``augmentations``, which binds ``draw``."""

    name: str
    title: str = _text("")
    order: float = _order()


_Kind = TypeVar("_Kind", Method, Dataset, Network, Augmentation)


@functools.cache
def methods() -> dict[str, Method]:
    """Return every method by name: that of its file.

    Raises:
        UserError: a file does not say what a method is.
    """
    found = {}
    for module in _modules("methods"):
        file = f"methods/{module}.py"
        values = _bound(file, _fields(Method)) | {"name": module, "module": module}
        # How networks are trained on sets in the literature, unless the method says otherwise.
        values.setdefault("protocol", literals.literal("methods/base.py", "PROTOCOL"))
        method = _made(file, Method, values)
        _refuse_unbound(file, (_MADE_BY[method.kind],))
        if not method.is_coreset and "iterations" not in method.settings:
            raise UserError(f"{shown(file)}: SETTINGS.iterations: is missing")
        settings = _declared(file, "SETTINGS", _with_augmentations(method.settings))
        if method.augment is not None and method.augment not in augmentations():
            raise _wrong(file, "AUGMENT", _one_of(augmentations()), method.augment)
        found[module] = dataclasses.replace(method, settings=settings)
    return found


def _with_augmentations(settings: Mapping[str, Any]) -> dict[str, Any]:
    rule = settings.get("augment")
    if not isinstance(rule, dict):
        return dict(settings)
    return {**settings, "augment": {"enum": list(augmentations()), **rule}}


@functools.cache
def datasets() -> dict[str, Dataset]:
    """Return every dataset by name.

    Raises:
        UserError: a file does not say what a dataset is.
    """
    found = {}
    for module in _modules("datasets"):
        file = f"datasets/{module}.py"
        dataset = _made(file, Dataset, _specified(file, Dataset))
        for key in ("mean", "std"):
            if len(getattr(dataset, key)) != dataset.channels:
                what = f"a list of numbers, one a channel ({dataset.channels})"
                raise _wrong(file, f"SPEC.{key}", what, getattr(dataset, key))
        if dataset.smallest_class * len(dataset.classes) > dataset.train:
            most = dataset.train // len(dataset.classes)
            what = f"{most} or less, for there are {dataset.train} training images"
            raise _wrong(file, "SPEC.smallest_class", what, dataset.smallest_class)
        found[dataset.name] = dataset
    return found


@functools.cache
def networks() -> dict[str, Network]:
    """Return every network by name.

    Raises:
        UserError: a file does not say what a network is.
    """
    found = {}
    for module in _modules("networks"):
        file = f"networks/{module}.py"
        network = _made(file, Network, _specified(file, Network))
        options = _declared(file, "SPEC.options", network.options)
        for name, rule in options.items():
            if rule.get("type") == "integer" and not {"minimum", "maximum"} <= rule.keys():
                raise _wrong(
                    file,
                    f"SPEC.options.{name}",
                    "a whole number with `minimum` and `maximum`",
                    rule,
                )
        for key, name in _named_options(network):
            if name not in options:
                raise _wrong(file, f"SPEC.{key}", _one_of(options), name)
        found[network.name] = network
    return found


def _named_options(network: Network) -> Iterator[tuple[str, Any]]:
    """Return the options that a network's constraints name, each with the field that names it."""
    if isinstance(network.batch_norm, Mapping):
        yield from (("batch_norm", name) for name in network.batch_norm)
    if isinstance(network.halvings, Mapping):
        yield "halvings", network.halvings["option"]
        yield from (("halvings", name) for name in network.halvings.get("unless", ()))
    for rule in network.multiples:
        yield "multiples", rule["option"]
        yield from (("multiples", name) for name in rule.get("when", ()))


@functools.cache
def augmentations() -> dict[str, Augmentation]:
    """Return every augmentation by name: that of its file.

    Raises:
        UserError: a file does not say what an augmentation is.
    """
    found = {}
    for module in _modules("augmentations"):
        file = f"augmentations/{module}.py"
        found[module] = _made(file, Augmentation, _bound(file, SHOWN) | {"name": module})
    return found


def used(network: str, *settings: Any) -> list[str]:
    """Return the files of the network and the augmentations that a job runs, relative to the
    library: what its code is beside its script.

    Args:
        network: the network's name.
        settings: what the job is given; whatever is called ``augment`` in it, at any depth, names
            an augmentation.
    """
    names = sorted({name for block in settings for name in _augments(block)})
    return [
        f"networks/{networks()[network].module}.py",
        *(f"augmentations/{name}.py" for name in names),
    ]


def _augments(block: Any) -> Iterator[str]:
    for key, value in block.items() if isinstance(block, dict) else ():
        if key == "augment" and value is not None:
            yield value
        yield from _augments(value)


# ---- from files to kinds -------------------------------------------------------------------------


def _modules(folder: str) -> list[str]:
    stems = sorted(path.stem for path in (literals.LIBRARY / folder).glob("[!_]*.py"))
    modules = [stem for stem in stems if stem not in _MACHINERY.get(folder, ())]
    for module in modules:
        file = f"{folder}/{module}.py"
        if not NAME.fullmatch(module):
            raise UserError(
                f"{shown(file)}: is named by letters, digits and underscores, a letter first"
            )
        _refuse_unbound(file, _BOUND.get(folder, ()))
    return modules


def _refuse_unbound(file: str, needed: Iterable[str]) -> None:
    """Raise ``UserError`` where a module does not bind each of the names ``needed``."""
    for name in needed:
        if name not in literals.names(file):
            raise UserError(f"{shown(file)}: {name}: is missing")


def _fields(kind: type) -> list[str]:
    """Return the names of the fields that a file binds."""
    return [field.name for field in dataclasses.fields(kind) if "fits" in field.metadata]


def _bound(file: str, fields: Iterable[str]) -> dict[str, Any]:
    """Return those of ``fields`` that a file binds in capitals."""
    names = literals.names(file)
    return {field: _literal_of(file, field.upper()) for field in fields if field.upper() in names}


def _specified(file: str, kind: type) -> dict[str, Any]:
    """Return the fields of ``kind`` that a file binds: the keys of ``SPEC``, and ``TITLE`` and
    ``ORDER``."""
    if "SPEC" not in literals.names(file):
        raise UserError(f"{shown(file)}: SPEC: is missing")
    spec = _literal_of(file, "SPEC")
    if not isinstance(spec, dict):
        raise _wrong(file, "SPEC", "a block of keys", spec)
    known = ["name", *(field for field in _fields(kind) if field not in SHOWN)]
    for key in spec:
        if key not in known:
            raise UserError(
                f"{shown(file)}: SPEC: unknown key {key!r}; {hint(key, known)}known are "
                f"{', '.join(known)}"
            )
    if "name" not in spec:
        raise UserError(f"{shown(file)}: SPEC.name: is missing; it must be a text")
    name, module = spec["name"], Path(file).stem
    if not isinstance(name, str):
        raise _wrong(file, "SPEC.name", "a text", name)
    if not NAME.fullmatch(name):
        raise _wrong(file, "SPEC.name", "of letters, digits and underscores, a letter first", name)
    if name.lower() != module:
        what = kind.__name__.lower()
        raise UserError(
            f"{shown(file)}: holds the {what} {name}, so it must be called {name.lower()}.py"
        )
    return {**spec, **_bound(file, SHOWN), "module": module, "spec": spec}


def _made(file: str, kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    """Return the plug-in of these fields, each of which is what it must be.

    Raises:
        UserError: a field is missing or wrong.
    """
    in_spec = "spec" in values
    given = dict(values)
    for field in dataclasses.fields(kind):
        if "fits" not in field.metadata:
            continue
        capitals = field.name in SHOWN or not in_spec
        place = field.name.upper() if capitals else f"SPEC.{field.name}"
        if field.name in given:
            if not field.metadata["fits"](given[field.name]):
                raise _wrong(file, place, field.metadata["what"], given[field.name])
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(
                f"{shown(file)}: {place}: is missing; it must be {field.metadata['what']}"
            )
    given["title"] = given.get("title") or given["name"]
    return kind(**given)


_TYPES = ("integer", "number", "string", "boolean")
_RULES = {
    *("type", "enum", "const", "anyOf", "default", "description"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
}


def _declared(file: str, place: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a plug-in declares them: name to JSON-schema property.

    Raises:
        UserError: one is not declared so that a value could be checked against it.
    """
    for name, rule in rules.items():
        where = f"{place}.{name}"
        if not isinstance(rule, dict):
            raise _wrong(file, where, "a block with `type`, `default` and `description`", rule)
        for key in ("default", "description"):
            if key not in rule:
                raise UserError(f"{shown(file)}: {where}: {key}: is missing")
        forms = rule["anyOf"] if isinstance(rule.get("anyOf"), list) else [rule]
        for form in forms:
            unknown = next((key for key in form if key not in _RULES), None)
            if unknown is not None:
                raise UserError(
                    f"{shown(file)}: {where}: unknown key {unknown!r}; "
                    f"{hint(unknown, _RULES)}known are {', '.join(sorted(_RULES))}"
                )
            if form.get("type") not in (*_TYPES, None):
                raise _wrong(file, f"{where}.type", _one_of(_TYPES), form["type"])
            if not {"type", "enum", "const"} & form.keys():
                raise UserError(
                    f"{shown(file)}: {where}: type: is missing; it must be {_one_of(_TYPES)}"
                )
    return dict(rules)


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"


def _wrong(file: str, place: str, what: str, value: Any) -> UserError:
    return UserError(f"{shown(file)}: {place}: must be {what}, not {value!r}")


def _literal_of(file: str, name: str) -> Any:
    try:
        return literals.literal(file, name)
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"{shown(file)}: {name}: must be a literal of texts, numbers, lists and blocks, or that "
            "of another module, which is read without running the file"
        ) from None
