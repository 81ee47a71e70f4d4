"""Report on a study that is under way."""

import argparse

EXAMPLES = """\
  distillery report results
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "results", metavar="RESULTS", help="the results folder of a study, finished or not"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the page (default: report-so-far.html in RESULTS)"
    )


def run(given: argparse.Namespace) -> None:
    """Print the state of the jobs, and write the page."""
    from distillery.report import underway

    print("\n".join(underway.show(given.results, given.output)))
