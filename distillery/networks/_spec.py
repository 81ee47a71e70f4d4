"""What is known of a network before it is built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NetworkSpec:
    """One network for images of one shape. Equal specs have equal hashes, so one is the key of all
    that is kept for a network.

    Attributes:
        name: of the plug-in, in its own capitals.
        channels, size: of the images: ``channels`` x ``size`` x ``size``.
        classes: how many classes it tells apart.
        options: those of the plug-in's ``SPEC["options"]``; what is left out takes its default. Not
            to be changed.
    """

    name: str
    channels: int
    size: int
    classes: int
    # Compared, but not hashed: a dict has no hash.
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
