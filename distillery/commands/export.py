"""Write a synthetic set for others."""

import argparse

EXAMPLES = """\
  distillery export set.safetensors pictures --as images
  distillery export set.safetensors upload --as hub --metrics results/summary.csv
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("set", metavar="SET", help="a synthetic.safetensors")
    parser.add_argument("folder", metavar="FOLDER", help="a new or an empty folder")
    parser.add_argument(
        "--as",
        dest="form",
        choices=["images", "hub"],
        required=True,
        help="pictures and labels, or what a dataset hub takes",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="FILE",
        help="the study's summary.csv, or metrics.csv of evaluations: figures for the card",
    )


def run(given: argparse.Namespace) -> None:
    """Write the folder, and say what of."""
    from distillery import load
    from distillery.sets import facts, folder

    write = {"images": folder.image_folder, "hub": folder.hub}[given.form]
    synthetic = load(given.set)
    write(synthetic, given.folder, given.metrics)
    print(f"{given.folder}: {facts.title(synthetic)}")
