"""Distillery: an image dataset distilled into a few synthetic images a class, and what they are worth."""

__version__ = "0.1.0"
