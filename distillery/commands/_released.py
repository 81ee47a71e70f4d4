"""A set that a command is given: one of ours, or what others released."""

import argparse


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the set, and the labels that others keep beside their images."""
    parser.add_argument(
        "set", metavar="SET", help="a synthetic.safetensors, its folder, or what others released"
    )
    parser.add_argument("--labels", metavar="FILE", help="the labels_*.pt beside an images_*.pt")
