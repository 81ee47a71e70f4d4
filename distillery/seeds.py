"""Seeds of random streams, by name. Imports no torch: studies draw the order of classes so."""

import hashlib
import json


def derive(seed: int, *identity: str | int) -> int:
    """Return a 63-bit seed from the study's ``seed`` and an identity such as ``("MNIST", "dc",
    "real", 1, 0)``.

    The identity is written as canonical JSON and hashed (SHA-256), so ``("a", 1)`` and ``("a",
    "1")`` differ.
    """
    text = json.dumps([int(seed), *identity], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
