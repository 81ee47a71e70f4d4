"""A pickle runs nothing."""

import os
import pickle
import struct

import numpy as np
import pytest

from distillery.datasets import _unpickle
from distillery.errors import UserError
from tests.unit.datasets.toys import COLOUR, python2_batch, toy


def test_python_2_batch_is_what_plain_pickle_reads_too():
    images, labels, _, _ = toy(COLOUR)
    found = pickle.loads(python2_batch(images, labels), encoding="latin1")
    assert (
        np.array_equal(found["data"], images.reshape(6, -1)) and found["labels"] == labels.tolist()
    )


class Attack:
    def __init__(self, command, *arguments):
        self.call = command, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_runs_nothing(tmp_path, protocol):
    marker = tmp_path / "marker"
    for attack in (
        Attack(os.mkdir, str(marker)),
        Attack(eval, f"__import__('os').mkdir({str(marker)!r})"),
    ):
        with pytest.raises(
            UserError, match=r"data_batch_1: is refused: it asks for .*\.(mkdir|eval)"
        ):
            _unpickle.unpickle(pickle.dumps({"data": attack}, protocol), "data_batch_1")
    assert not marker.exists()


def test_malformed_pickles_are_refused():
    images, labels, _, _ = toy(COLOUR)
    whole = python2_batch(images, labels)
    floats = pickle.dumps({"data": images.astype(np.float32)}, 2)
    objects = pickle.dumps({"data": np.array([object], dtype=object)}, 2)
    lying = whole.replace(struct.pack("<i", 6) + b"J", struct.pack("<i", 2**31 - 1) + b"J", 1)
    for content in (b"", b"not a pickle", whole[: len(whole) // 2], floats, objects, lying):
        with pytest.raises(UserError, match="batch: is refused"):
            _unpickle.unpickle(content, "batch")
