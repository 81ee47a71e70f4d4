"""Say what a synthetic set is."""

import argparse

from distillery.commands._released import declare as declare

EXAMPLES = """\
  distillery info set.safetensors
  distillery info images_best.pt --labels labels_best.pt
"""


def run(given: argparse.Namespace) -> None:
    """Print what is known of the set, a line each."""
    from distillery import load
    from distillery.sets import facts
    from distillery.sets.released import describe

    own = facts.own_file(given.set)
    rows = facts.describe(load(own)) if own else describe.describe(given.set, given.labels)
    print("\n".join(facts.aligned(rows)))
