"""Random streams: each is named, and derives from the study's seed and the identity of what is
drawn; never from time or order."""

import torch

from distillery.seeds import derive


def generator(
    seed: int, *identity: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a fresh ``torch.Generator`` on ``device`` for the named stream. The same name gives
    the same draws."""
    return torch.Generator(device=device).manual_seed(derive(seed, *identity))
