"""What the library offers, read from its source without importing it: a parse of the workflow needs
no torch.

Each kind of plug-in has a folder, in which a file without an underscore is one plug-in, and a
frozen dataclass here that says what such a file binds. A field is the literal of that name in
capitals (``TITLE``, ``KIND``), or a key of the literal ``SPEC``; what has a default may be left
out. :mod:`distillery.declarations` reads and checks the fields.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from distillery import declarations, literals, outside
from distillery.errors import UserError
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
# The kinds of methods, and the function that a file of each binds.
DISTILLED, CORESET = "distilled", "coreset"
_MADE_BY = {DISTILLED: "build", CORESET: "select"}


# ---- the kinds -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Plugin:
    """What every plug-in is.

    Attributes:
        name: in a config.
        module: its file's name.
        source: the reference of one from outside (:mod:`distillery.outside`); empty for one of the
            library.
    """

    folder: ClassVar[str]
    name: str
    module: str
    source: str = ""

    @property
    def code(self) -> str:
        """Return its file relative to the library, or its reference: what a fingerprint takes."""
        return self.source or f"{self.folder}/{self.module}.py"

    @property
    def place(self) -> str:
        """Return its file as messages name it."""
        return outside.shown(self.source) if self.source else shown(self.code)


@dataclass(frozen=True, kw_only=True)
class Method(_Plugin):
    """A way to make a set: a file in ``methods``, which binds ``build(task)`` where sets are
    distilled and ``select(task)`` where their images are chosen (:mod:`distillery.methods.base`).

    Attributes:
        name: in a config; a variant has a name of its own.
        kind: ``distilled``, or ``coreset``: chosen real images, which have no start of their own.
        title: in the report.
        needs_experts: whether it learns from trained networks; or the values of settings with which
            it does.
        needs_validation: the same of held-out images.
        needs_network: whether it runs a network.
        needs_embedding: whether it asks the network for embeddings; or the values of settings with
            which it does.
        factored: whether it learns stored images that hold several (``Task.decoded``), so that its
            sets may have a ``factor``.
        settings: name to JSON-schema property, with ``default`` and ``description``. One called
            ``augment`` names an augmentation: any, unless the method says which. A method that
            distils has ``iterations``.
        protocol: how networks are trained on its sets, as published; with ``overrides``.
        augment: the augmentation that it always takes.
        citation: where it is published: ``authors`` as BibTeX has them, ``title``, ``venue``,
            ``year`` and ``arxiv``, the number there. An edit makes nothing stale.
        order: its place in tables, among its kind.
        colour: the number of its colour in charts; ``None`` for one that is free.
    """

    folder = "methods"
    kind: str = declarations.field(
        f"{DISTILLED} or {CORESET}", lambda value: value in (DISTILLED, CORESET)
    )
    title: str = declarations.text("")
    needs_experts: bool | Mapping[str, list[Any]] = declarations.condition()
    needs_validation: bool | Mapping[str, list[Any]] = declarations.condition()
    needs_network: bool = declarations.flag(True)
    needs_embedding: bool | Mapping[str, list[Any]] = declarations.condition()
    factored: bool = declarations.flag(False)
    settings: Mapping[str, Mapping[str, Any]] = declarations.block(default={})
    protocol: Mapping[str, Any] = declarations.block()
    augment: str | None = declarations.text(None)
    citation: Mapping[str, Any] = declarations.block(default={})
    order: float = declarations.order()
    colour: int | None = declarations.field(
        "a whole number of 1 or more", lambda v: declarations.is_whole(v, 1), None
    )

    @property
    def is_coreset(self) -> bool:
        """Return whether its images are chosen real ones."""
        return self.kind == CORESET

    def learns(self, settings: Mapping[str, Any]) -> bool:
        """Return whether it learns from experts with these settings."""
        return _holds(self.needs_experts, settings)

    def validates(self, settings: Mapping[str, Any]) -> bool:
        """Return whether it looks at held-out images with these settings."""
        return _holds(self.needs_validation, settings)

    def embeds(self, settings: Mapping[str, Any]) -> bool:
        """Return whether it asks the network for embeddings with these settings."""
        return _holds(self.needs_embedding, settings)


def _holds(condition: bool | Mapping[str, list[Any]], settings: Mapping[str, Any]) -> bool:
    if isinstance(condition, bool):
        return condition
    return any(settings[name] in values for name, values in condition.items())


@dataclass(frozen=True, kw_only=True)
class Dataset(_Plugin):
    """A labelled image dataset: a file in ``datasets``, named as the dataset in lower case.

    Attributes:
        spec: the file's ``SPEC``, which data files carry in their headers.
        channels: of an image.
        size: of an image: pixels a side, or height and width.
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

    folder = "datasets"
    spec: Mapping[str, Any]
    channels: int = declarations.field(
        "1 to 4", lambda value: declarations.is_whole(value, 1) and value <= 4
    )
    size: int | Sequence[int] = declarations.size()
    classes: tuple[str, ...] = declarations.field(
        "a list of different texts",
        lambda value: (
            isinstance(value, list | tuple)
            and bool(value)
            and all(map(declarations.is_text, value))
            and len(set(value)) == len(value)
        ),
    )
    train: int = declarations.count()
    test: int = declarations.count()
    smallest_class: int = declarations.count()
    mean: tuple[float, ...] = declarations.numbers()
    std: tuple[float, ...] = declarations.numbers()
    licence: str = declarations.text()
    home: str = declarations.text()
    horizontal_flip: bool = declarations.flag()
    raw: str = declarations.field("nhwc or idx", lambda value: value in ("nhwc", "idx"))
    sha256: Mapping[str, str] = declarations.block()
    md5: Mapping[str, str] = declarations.block(default={})
    title: str = declarations.text("")
    order: float = declarations.order()


@dataclass(frozen=True, kw_only=True)
class Network(_Plugin):
    """A network: a file in ``networks``, named as the network in lower case, which binds
    ``build(channels, size, classes, **options)``.

    Attributes:
        spec: the file's ``SPEC``, which :mod:`distillery.limits` reads.
        minimum_size: pixels of the smaller side of the smallest image that it takes.
        options: name to JSON-schema property, with ``default`` and ``description``; an integer has
            a ``minimum`` and a ``maximum``.
        by_size: options whose default follows the images: they say how often an image is halved,
            and here is how many pixels that leaves of its smaller side.
        batch_norm: whether its normalisation mixes the images of a batch, so that nothing can be
            distilled with it; or the values of options with which it does.
        halvings: how often it halves an image: a number, or the ``option`` that says it, ``unless``
            others have certain values.
        multiples: options that must be a multiple ``of`` a number, and ``when``.
        title, order: its name in the report and its place in tables.
        factory: what makes it in ``source``, where it is no plug-in but named by a config.
    """

    folder = "networks"
    spec: Mapping[str, Any]
    factory: str = ""
    minimum_size: int = declarations.count()
    options: Mapping[str, Mapping[str, Any]] = declarations.block(default={})
    by_size: Mapping[str, int] = declarations.field(
        "a block of options and whole numbers of 1 or more",
        lambda value: (
            isinstance(value, dict) and all(declarations.is_whole(v, 1) for v in value.values())
        ),
        {},
    )
    batch_norm: bool | Mapping[str, list[Any]] = declarations.field(
        "True, False or a block of options and the values that bring it",
        lambda value: isinstance(value, bool | dict),
        False,
    )
    halvings: int | Mapping[str, Any] = declarations.field(
        "a whole number or a block with `option`",
        lambda value: (
            declarations.is_whole(value) or (isinstance(value, dict) and "option" in value)
        ),
        0,
    )
    multiples: Iterable[Mapping[str, Any]] = declarations.field(
        "a list of blocks with `option` and `of`",
        lambda value: (
            isinstance(value, list | tuple)
            and all(isinstance(rule, dict) and {"option", "of"} <= rule.keys() for rule in value)
        ),
        (),
    )
    title: str = declarations.text("")
    order: float = declarations.order()


@dataclass(frozen=True, kw_only=True)
class Augmentation(_Plugin):
    """A random change to a batch of images: a file in ``augmentations``, which binds ``draw``."""

    folder = "augmentations"
    title: str = declarations.text("")
    order: float = declarations.order()


@functools.cache
def methods() -> dict[str, Method]:
    """Return every method of the library by name: that of its file.

    Raises:
        UserError: a file does not say what a method is.
    """
    return _of_library("methods")


@functools.cache
def datasets() -> dict[str, Dataset]:
    """Return every dataset of the library by name.

    Raises:
        UserError: a file does not say what a dataset is.
    """
    return _of_library("datasets")


@functools.cache
def networks() -> dict[str, Network]:
    """Return every network of the library by name.

    Raises:
        UserError: a file does not say what a network is.
    """
    return _of_library("networks")


@functools.cache
def augmentations() -> dict[str, Augmentation]:
    """Return every augmentation of the library by name: that of its file.

    Raises:
        UserError: a file does not say what an augmentation is.
    """
    return _of_library("augmentations")


def with_augmentations(method: Method, names: Iterable[str]) -> Method:
    """Return a method whose setting ``augment``, where it has one, takes these augmentations; those
    that it lists itself stay."""
    rule = method.settings.get("augment")
    if not isinstance(rule, dict) or rule.get("enum", list(augmentations())) != list(
        augmentations()
    ):
        return method
    settings = {**method.settings, "augment": {**rule, "enum": list(names)}}
    return dataclasses.replace(method, settings=settings)


def used(network: Network, *settings: Any) -> list[str]:
    """Return the files of the network and the augmentations that a job runs, relative to the
    library, or their references: what its code is beside its script.

    Args:
        network: the network.
        settings: what the job is given; whatever is called ``augment`` in it, at any depth, names
            an augmentation.
    """
    names = sorted({name for block in settings for name in _augments(block)})
    return [
        network.code,
        *(name if outside.is_reference(name) else f"augmentations/{name}.py" for name in names),
    ]


def referring(
    settings: Mapping[str, Any], augmentations: Mapping[str, Augmentation]
) -> dict[str, Any]:
    """Return what a job is given with references in the place of the names of augmentations from
    outside, which no job would find."""
    return {
        key: augmentations[value].source or value
        if key == "augment" and value in augmentations
        else referring(value, augmentations)
        if isinstance(value, dict)
        else value
        for key, value in settings.items()
    }


def _augments(block: Any) -> Iterator[str]:
    for key, value in block.items() if isinstance(block, dict) else ():
        if key == "augment" and value is not None:
            yield value
        yield from _augments(value)


# ---- from files ----------------------------------------------------------------------------------


def read(kind: str, file: str, source: str = "") -> Any:
    """Return the plug-in that a file is.

    Args:
        kind: one of ``FOLDERS``.
        file: relative to the library's folder, or of one from outside its absolute path.
        source: the reference of one from outside.

    Raises:
        UserError: the file does not say what a plug-in of this kind is.
    """
    module = Path(file).stem
    if not declarations.NAME.fullmatch(module):
        raise UserError(
            f"{shown(file)}: is named by letters, digits and underscores, a letter first"
        )
    declarations.refuse_unbound(file, _BOUND.get(kind, ()))
    return dataclasses.replace(_READERS[kind](file, module), source=source)


def _of_library(kind: str) -> dict[str, Any]:
    stems = sorted(path.stem for path in (literals.LIBRARY / kind).glob("[!_]*.py"))
    found = [
        read(kind, f"{kind}/{stem}.py") for stem in stems if stem not in _MACHINERY.get(kind, ())
    ]
    return {plugin.name: plugin for plugin in found}


def _method(file: str, module: str) -> Method:
    values = declarations.bound(file, declarations.fields_of(Method)) | {
        "name": module,
        "module": module,
    }
    # How networks are trained on sets in the literature, unless the method says otherwise.
    values.setdefault("protocol", literals.literal("methods/base.py", "PROTOCOL"))
    method = declarations.built(file, Method, values)
    declarations.refuse_unbound(file, (_MADE_BY[method.kind],))
    if not method.is_coreset and "iterations" not in method.settings:
        raise UserError(f"{shown(file)}: SETTINGS.iterations: is missing")
    if method.factored and (method.is_coreset or "factor" in method.settings):
        raise UserError(
            f"{shown(file)}: FACTORED: is for a method that distils, and gives it the setting "
            "`factor`, which SETTINGS must not have"
        )
    method = with_augmentations(method, augmentations())
    settings = declarations.checked_settings(file, "SETTINGS", method.settings)
    for field in ("needs_experts", "needs_validation", "needs_embedding"):
        condition = getattr(method, field)
        for setting in condition if isinstance(condition, dict) else ():
            if setting not in settings:
                what = declarations.one_of(settings)
                raise declarations.wrong(file, field.upper(), what, setting)
    if method.augment is not None and method.augment not in augmentations():
        raise declarations.wrong(
            file, "AUGMENT", declarations.one_of(augmentations()), method.augment
        )
    return method


def _dataset(file: str, module: str) -> Dataset:
    dataset = declarations.built(file, Dataset, declarations.specified(file, Dataset))
    for key in ("mean", "std"):
        if len(getattr(dataset, key)) != dataset.channels:
            what = f"a list of numbers, one a channel ({dataset.channels})"
            raise declarations.wrong(file, f"SPEC.{key}", what, getattr(dataset, key))
    if dataset.smallest_class * len(dataset.classes) > dataset.train:
        most = dataset.train // len(dataset.classes)
        what = f"{most} or less, for there are {dataset.train} training images"
        raise declarations.wrong(file, "SPEC.smallest_class", what, dataset.smallest_class)
    return dataset


def _network(file: str, module: str) -> Network:
    network = declarations.built(file, Network, declarations.specified(file, Network))
    options = declarations.checked_settings(file, "SPEC.options", network.options)
    for name, rule in options.items():
        if rule.get("type") == "integer" and not {"minimum", "maximum"} <= rule.keys():
            raise declarations.wrong(
                file,
                f"SPEC.options.{name}",
                "a whole number with `minimum` and `maximum`",
                rule,
            )
    for key, name in _named_options(network):
        if name not in options:
            raise declarations.wrong(file, f"SPEC.{key}", declarations.one_of(options), name)
    return network


def _named_options(network: Network) -> Iterator[tuple[str, Any]]:
    """Return the options that a network's constraints name, each with the field that names it."""
    yield from (("by_size", name) for name in network.by_size)
    if isinstance(network.batch_norm, Mapping):
        yield from (("batch_norm", name) for name in network.batch_norm)
    if isinstance(network.halvings, Mapping):
        yield "halvings", network.halvings["option"]
        yield from (("halvings", name) for name in network.halvings.get("unless", ()))
    for rule in network.multiples:
        yield "multiples", rule["option"]
        yield from (("multiples", name) for name in rule.get("when", ()))


def _augmentation(file: str, module: str) -> Augmentation:
    values = declarations.bound(file, declarations.SHOWN) | {"name": module, "module": module}
    return declarations.built(file, Augmentation, values)


_READERS: dict[str, Callable[[str, str], Any]] = {
    "methods": _method,
    "datasets": _dataset,
    "networks": _network,
    "augmentations": _augmentation,
}
