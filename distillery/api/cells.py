"""A study of one cell, about images in memory: by it settings are checked and resolved as those of
the workflow's jobs are."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distillery import declarations, plugins
from distillery.api.given import Given
from distillery.errors import UserError
from distillery.store.layout import Layout
from distillery.study import load
from distillery.study.jobs import Jobs

# Where a config has what a call is given by itself.
_OF_A_CONFIG = re.compile(r"^config: (?:(?:grid(?:\[0\])?|methods|evaluate)[.:] ?)?")
# A name, several, or names with the options of each.
Networks = str | Sequence[str] | Mapping[str, Mapping[str, Any]]


def declared(
    given: Given,
    name: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    licence: str = "not stated",
    home: str = "not stated",
    flip: bool,
) -> plugins.Dataset:
    """Return a dataset as the study knows it.

    Raises:
        UserError: the name cannot be one, or the mean and standard deviation are not one a channel.
    """
    if not isinstance(name, str) or not declarations.NAME.fullmatch(name):
        raise UserError(
            f"name: must be of letters, digits and underscores, a letter first, not {name!r}"
        )
    channels = given.images.shape[1]
    for what, values in (("mean", mean), ("std", std)):
        if len(values) != channels or not all(map(declarations.is_number, values)):
            raise UserError(f"{what}: must be {channels} numbers, one a channel, not {values}")
    if min(std) <= 0:
        raise UserError(f"std: must be above 0, not {std}")
    return plugins.Dataset(
        name=name,
        module="",
        spec={},
        channels=channels,
        size=given.size,
        classes=given.classes,
        train=len(given.images),
        test=1,
        smallest_class=given.smallest_class,
        mean=mean,
        std=std,
        licence=licence,
        home=home,
        horizontal_flip=flip,
        raw="nhwc",
        sha256={},
    )


def options(networks: Networks) -> dict[str, dict[str, Any]]:
    """Return the options of networks by name: of ``"ConvNet"``, ``["ConvNet", "MLP"]`` or
    ``{"ConvNet": {"width": 64}}``."""
    if isinstance(networks, str):
        return {networks: {}}
    if isinstance(networks, Mapping):
        return {str(name): dict(chosen) for name, chosen in networks.items()}
    return {str(name): {} for name in networks}


def distilled_with(network: Networks) -> dict[str, Any]:
    """Return what a config says of the network that distils.

    Raises:
        UserError: it is not one network.
    """
    chosen = options(network)
    if len(chosen) != 1:
        raise UserError(f"distil: network: must be one network, not {len(chosen)}")
    (name,) = chosen
    evaluated = {"networks": [name], "selection": {"models": 0}}
    return {"network": name, "networks": chosen, "evaluate": evaluated}


def jobs(dataset: plugins.Dataset, config: Mapping[str, Any], who: str) -> Jobs:
    """Return the jobs of the study of ``config``, which names ``dataset``.

    Args:
        dataset: the one of the study.
        config: what it asks for; what measures is left out unless it is there.
        who: the function that the user called, for messages.

    Raises:
        UserError: the config cannot be run.
    """
    complete = {
        "study": dataset.name,
        # There is no such folder: a set to start from may lie in any.
        "results": "in memory",
        "vanilla": {"networks": []},
        "continual": {"datasets": []},
        **config,
    }
    with said_by(who):
        return Jobs(load.study(complete, {dataset.name: dataset}), Layout("results"))


@contextlib.contextmanager
def said_by(who: str) -> Iterator[None]:
    """Let an error about a config be one about the arguments of a call."""
    try:
        yield
    except UserError as error:
        said = _OF_A_CONFIG.sub("", str(error), count=1)
        raise UserError(f"{who}: {said.replace('data.validation', 'validation')}") from None
