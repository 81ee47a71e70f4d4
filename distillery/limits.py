"""What a network's options ask of each other and of the images, from its ``SPEC``: checked where a
config is read, and where one is built."""

from collections.abc import Mapping, Sequence
from typing import Any

# The pixels a side of a square image, or the height and width of any.
Size = int | Sequence[int]

# The first convolution pads a side of so many pixels, so that it leaves it as these.
PADDED = {28: 32}


def sides(size: Size) -> tuple[int, int]:
    """Return the height and width of an image, in pixels."""
    height, width = size if isinstance(size, Sequence) else (size, size)
    return height, width


def plain(size: Size) -> int | tuple[int, int]:
    """Return the one way to say a size: a number of a square, height and width of a rectangle."""
    height, width = sides(size)
    return height if height == width else (height, width)


def by(size: Size) -> str:
    """Return a size in words: ``28`` of a square, ``28 x 56`` of a rectangle."""
    height, width = sides(size)
    return str(height) if height == width else f"{height} x {width}"


def padded(size: Size) -> tuple[int, int]:
    """Return the height and width of an image of ``size`` after the first convolution."""
    height, width = sides(size)
    return PADDED.get(height, height), PADDED.get(width, width)


def defaults(spec: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Return a value for each option of a network where a config has none.

    Args:
        spec: a network's ``SPEC``: ``options`` with their ``default``, and ``by_size``: for an
            option that says how often an image is halved, the pixels that this leaves of its
            smaller side. It is then 1 or more.
        size: of the images.
    """
    values = {name: rule["default"] for name, rule in spec.get("options", {}).items()}
    for name, left in spec.get("by_size", {}).items():
        values[name] = max(1, (min(padded(size)) // left).bit_length() - 1)
    return values


def clash(spec: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    """Return what is wrong with options taken together; ``None`` where nothing is.

    Args:
        spec: a network's ``SPEC``; ``multiples`` lists the options that must be a multiple ``of`` a
            number, and ``when``.
        options: a value for each option.
    """
    for rule in spec.get("multiples", ()):
        name, number = rule["option"], rule["of"]
        if _holds(rule.get("when", {}), options) and options[name] % number:
            below = options[name] // number * number
            near = " or ".join(str(value) for value in (below, below + number) if value)
            named = ", ".join(f"{key} {options[key]}" for key in rule.get("when", {}))
            return (
                f"with {named} the {name} must be a multiple of {number}, such as {near}, not "
                f"{options[name]}"
            )
    return None


def too_small(spec: Mapping[str, Any], options: Mapping[str, Any], size: Size) -> str | None:
    """Return why images are too small for a network, as ``needs …``; ``None`` where they are not.

    Args:
        spec: a network's ``SPEC``: ``minimum_size``, and ``halvings``, how often an image is
            halved: a number, or the ``option`` that says it, ``unless`` others have certain values.
        options: a value for each option.
        size: of the images, whose smaller side counts.
    """
    if min(sides(size)) < spec["minimum_size"]:
        return f"needs images of at least {spec['minimum_size']} pixels a side"
    halvings, side = spec.get("halvings", 0), min(padded(size))
    name = None
    if not isinstance(halvings, int):
        if halvings.get("unless") and _holds(halvings["unless"], options):
            return None
        name = halvings["option"]
        halvings = options[name]
    if side >= 2**halvings:
        return None
    if name is None:
        least = 2**halvings
        sizes = [str(small) for small, large in PADDED.items() if large >= least > small]
        return f"needs images of {' or '.join([*sizes, f'at least {least}'])} pixels a side"
    return (
        f"with {name} {halvings} needs images of at least {2**halvings} pixels a side; {name} "
        f"{side.bit_length() - 1} is the most for these"
    )


def mixes_images(spec: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Return whether a network normalises an image by the others of its batch, so that nothing can
    be distilled with it.

    Args:
        spec: a network's ``SPEC``: ``batch_norm``, true or false, or the values of options with
            which it does.
        options: a value for each option.
    """
    declared = spec.get("batch_norm", False)
    if isinstance(declared, Mapping):
        return any(_holds({key: values}, options) for key, values in declared.items())
    return declared


def _holds(when: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    return all(options[key] in values for key, values in when.items())
