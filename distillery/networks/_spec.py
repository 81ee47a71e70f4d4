"""What is known of a network before it is built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distillery.limits import Size, plain, sides


@dataclass(frozen=True)
class NetworkSpec:
    """One network for images of one shape. Equal specs have equal hashes, so one is the key of all
    that is kept for a network.

    Attributes:
        name: of the plug-in, in its own capitals.
        channels: of the images.
        size: of the images: pixels a side, or height and width.
        classes: how many classes it tells apart.
        options: those of the plug-in's ``SPEC["options"]``; what is left out takes its default. Not
            to be changed.
        source: the reference of a network from outside (:mod:`distillery.outside`); empty for a
            plug-in of this library.
        factory: what makes it, a name in ``source``, where that is no plug-in.
        dropout: whether layers of a factory's network that draw random numbers stay, with which it
            is refused.
    """

    name: str
    channels: int
    size: Size
    classes: int
    # Compared, but not hashed: a dict has no hash.
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    source: str = ""
    factory: str = ""
    dropout: bool = True

    def __post_init__(self) -> None:
        # A list, as JSON has it, has no hash.
        object.__setattr__(self, "size", plain(self.size))

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of an image."""
        return (self.channels, *sides(self.size))
