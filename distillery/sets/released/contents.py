"""What a file of others holds, and the bounds within which it is read. Nothing in a file is
trusted, and no code in it runs."""

from dataclasses import dataclass, field
from typing import Any

from distillery.images.whitening import Whitening

# Five sets of CIFAR-100 at 50 images per class are 0.3 GB. The file and a float32 copy of one set
# must fit the memory of the rule import_synthetic, 4 GB.
FILE_BYTES = 1 << 31
PICTURES = 200_000
NEEDED = "a whole file of torch.save, safetensors or NumPy, or a folder of pictures, is needed"


@dataclass
class Contents:
    """What a file or a folder holds.

    Attributes:
        form: what it is, in words.
        value: tensors on the CPU and numbers, in lists, tuples and dictionaries.
        header: of a set of our own; ``None`` for what others wrote.
        whitening: that a set of our own carries.
        folders: of pictures: the names of the folders that the labels count, in order.
    """

    form: str
    value: Any
    header: dict[str, Any] | None = None
    whitening: Whitening | None = None
    folders: list[str] = field(default_factory=list)


def shown(text: str, length: int) -> str:
    """Make a text of a file fit for a message: printable, and at most ``length`` characters of
    it."""
    text = "".join(
        character if character.isprintable() else "?" for character in text[: length + 1]
    )
    return text if len(text) <= length else text[:length] + "..."


def reason(error: Exception) -> str:
    """Say an error's kind and the first line of its text, without torch's advice."""
    try:
        text = (getattr(error, "strerror", None) or str(error)).rpartition(
            "WeightsUnpickler error:"
        )[2]
    except Exception:  # of what the file made it hold
        text = ""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return shown(f"{type(error).__name__}: {line.strip()}" if line else type(error).__name__, 160)
