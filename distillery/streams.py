"""Random streams: each is named, and derives from the study's seed and the identity of what is
drawn; never from time or order."""

import hashlib
import json

import torch


def derive(seed: int, *identity: str | int) -> int:
    """Return a 63-bit seed from the study's ``seed`` and an identity such as ``("MNIST", "dc",
    "real", 1, 0)``.

    The identity is written as canonical JSON and hashed (SHA-256), so ``("a", 1)`` and ``("a",
    "1")`` differ.
    """
    text = json.dumps([int(seed), *identity], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(
    seed: int, *identity: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return a fresh ``torch.Generator`` on ``device`` for the named stream. The same name gives
    the same draws."""
    return torch.Generator(device=device).manual_seed(derive(seed, *identity))
