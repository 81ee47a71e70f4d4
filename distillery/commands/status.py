"""Say where a study stands."""

import argparse
import json
import time

EXAMPLES = """\
  distillery status results
  distillery status results --every 30
  distillery status results --json

It reads records and logs only: run it from another terminal, or on another machine that sees the
folder, while the study runs.
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("results", metavar="RESULTS", help="the results folder of a study")
    parser.add_argument("--all", action="store_true", help="name the jobs that wait, too")
    parser.add_argument(
        "--every", type=_every, metavar="SECONDS", help="say it again and again, until Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, job by job")


def _every(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 1 to 86400")
    return value


def run(given: argparse.Namespace) -> None:
    """Print the state of the study."""
    from distillery.report import underway

    while True:
        about = underway.status(given.results)
        given.results = about["results"]  # the working directory is that of the study now
        if given.json:
            print(json.dumps(about, indent=1, ensure_ascii=False), flush=True)
        else:
            print("\n".join(underway.status_lines(about, given.all)), flush=True)
        if given.every is None:
            return
        try:
            time.sleep(given.every)
        except KeyboardInterrupt:
            return
        print(flush=True)
