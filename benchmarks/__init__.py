"""Speed and memory of Distillery beside the obvious implementation of the same mathematics:
``python -m benchmarks``."""
