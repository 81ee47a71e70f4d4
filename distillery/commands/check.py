"""Say whether a synthetic set can be used, and how."""

import argparse

from distillery.commands._released import declare as declare

EXAMPLES = """\
  distillery check set.safetensors
  distillery check results/synthetic/digits/dm/real/ipc1/seed0
  distillery check images_best.pt --labels labels_best.pt

Its status is 1 where the set cannot be used as it is.
"""


def run(given: argparse.Namespace) -> int:
    """Print what was found, a line each; returns 1 where the set cannot be used as it is."""
    from distillery import load
    from distillery.sets import facts, usable
    from distillery.sets.released import describe

    own = facts.own_file(given.set)
    if own is None:
        rows = describe.describe(given.set, given.labels)
        print("\n".join(facts.aligned(rows)))
        print("not one of ours: list the entry under `imported` in a config to take it over")
        return 1
    found = usable.findings(load(own))
    lines = facts.aligned([(one.what, one.text) for one in found])
    print("\n".join(f"{one.level:4}  {line}" for one, line in zip(found, lines, strict=True)))
    return int(any(one.level == usable.BAD for one in found))
