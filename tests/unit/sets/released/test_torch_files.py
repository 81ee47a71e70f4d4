"""No code of a file runs, and no file costs more than its size."""

import io
import os
import pickle
import pickletools
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillery.errors import UserError
from distillery.sets.released import contents, files, torch_files
from tests.unit.sets.released.toys import (
    IMAGES,
    LABELS,
    WHOLE,
    ZIPPED,
    check,
    one,
    put,
    read,
    refusal,
    result,
    same,
    torch_bytes,
    with_pickle,
)


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


@ZIPPED
@pytest.mark.parametrize("protocol", (1, 2, 4))
@pytest.mark.parametrize("place", ("data", "accs_all_exps", "other"))
@pytest.mark.parametrize("call", ("open", "system", "eval"))
def test_no_code_of_a_file_runs(tmp_path, call, place, protocol, zipped):
    mark = tmp_path / "mark"
    hostile = {
        "open": Runs(open, str(mark), "w"),
        "system": Runs(os.system, f"touch {mark}"),
        "eval": Runs(eval, f"open({str(mark)!r}, 'w')"),
    }[call]
    whole = result(one())
    whole[place] = [hostile, *whole[place]] if place == "data" else {"ConvNet": [hostile]}
    content = torch_bytes(whole, zipped, pickle_protocol=protocol)
    path = put(tmp_path, content)
    line = refusal(check, path)
    if protocol == 2:
        # Asked of pickle itself: which module it says that `open` is of depends on the Python.
        plain = pickle.dumps({"open": open, "system": os.system, "eval": eval}[call], 2)
        name = next(
            said.replace(" ", ".")
            for code, said, _ in pickletools.genops(plain)
            if code.name == "GLOBAL"
        )
        assert line == (
            f"res.pt: asks for {name}, which is refused and has not run; tensors, lists and "
            "numbers are read"
        )
    refusal(read, path)
    assert not mark.exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert mark.exists()  # it would have


def test_a_plain_pickle_does_not_run_either(tmp_path):
    for protocol in range(6):
        refusal(
            check, put(tmp_path, pickle.dumps(Runs(open, str(tmp_path / "mark"), "w"), protocol))
        )
    assert not (tmp_path / "mark").exists()


@ZIPPED
@pytest.mark.parametrize(
    "name",
    (
        "builtins bytearray",
        "torch.serialization load",
        "numpy ndarray",
        "numpy.core.multiarray _reconstruct",
    ),
)
def test_names_that_no_set_needs_are_refused_even_where_torch_allows_them(tmp_path, name, zipped):
    module, _, attribute = name.partition(" ")
    asked = f"c{module}\n{attribute}\n".encode() + b"J\xff\xff\xff\x7f\x85R."
    content = torch_bytes(7, zipped)
    assert content.count(b"\x80\x02K\x07.") == 1

    def change(part):
        return part.replace(b"\x80\x02K\x07.", b"\x80\x02" + asked)

    path = put(tmp_path, with_pickle(content, change) if zipped else change(content))
    assert refusal(check, path).startswith(
        f"res.pt: asks for {module}.{attribute}, which is refused"
    )


@pytest.mark.slow
def test_a_key_nested_too_deep_for_the_interpreter_is_refused(tmp_path):
    content = with_pickle(
        torch_bytes(7, True), lambda part: b"\x80\x02}" + b")" + b"\x85" * 300_000 + b"Ns."
    )
    assert (
        refusal(check, put(tmp_path, content))
        == "res.pt: its pickle has 300000 tuples; at most 20000 are read"
    )


def test_a_file_is_not_read_beyond_the_bounds(tmp_path):
    path = put(tmp_path, torch_bytes(result(one()), False))
    os.truncate(path, contents.FILE_BYTES + 1)  # a hole, which takes no room
    assert refusal(check, path) == (
        "res.pt: has 2147483649 bytes; at most 2147483648 are read, more than any released set has"
    )

    content = bytearray(torch_bytes(result(one()), True))
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 0xFFFFFF00)
    line = refusal(check, put(tmp_path, bytes(content)))
    assert "res.pt: unpacks to 42949" in line and "at most 2147483648 are read" in line

    content = with_pickle(
        torch_bytes(7, True),
        lambda part: b"\x80\x02" + b"N0" * torch_files.PICKLE_BYTES + b"K\x07.",
    )
    assert (
        refusal(check, put(tmp_path, content))
        == "res.pt: its pickle has 2097157 bytes; at most 1048576 are read"
    )


def test_a_tensor_cannot_claim_numbers_that_the_file_does_not_have(tmp_path):
    content = torch_bytes(torch.zeros(6, dtype=torch.float64), False)
    assert content.count(b"K\x06N") == 1
    path = put(tmp_path, content.replace(b"K\x06N", b"J\x00\x00\x00\x10N"))
    assert refusal(check, path).startswith(
        "res.pt: names 2147483648 bytes of numbers or more and holds "
    )

    # A shape that a few numbers serve, as an expanded tensor has: it is compared before any of it
    # is laid out.
    images = torch.zeros(1).expand(1 << 40, 3, 4, 4)
    assert refusal(check, put(tmp_path, result([images, LABELS]))).startswith(
        "res.pt: holds 1099511627776 images"
    )
    wide = torch.zeros(1).double().expand(4, 1 << 40)
    assert "soft labels are torch.float64" in refusal(check, put(tmp_path, result([IMAGES, wide])))


def test_a_damaged_pixel_is_noticed_where_the_file_has_checksums(tmp_path):
    content = torch_bytes(result(one()), True)
    pixels = IMAGES.numpy().tobytes()
    at = content.index(pixels) + 5
    damaged = content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]
    assert refusal(check, put(tmp_path, damaged)) == (
        f"res.pt: the checksum of `archive/data/0` is wrong, so it is damaged; {WHOLE}"
    )


@pytest.mark.slow
@ZIPPED
def test_a_file_that_is_cut_short_anywhere_is_refused(tmp_path, zipped):
    content = torch_bytes(result(one()), zipped)
    for length in range(0, len(content), 7):
        refusal(read, put(tmp_path, content[:length]))
    assert same(read(put(tmp_path, content)), one())


def survives(path, content):
    """Whatever the bytes are, there is a set or a refusal."""
    path.write_bytes(content)
    try:
        images, labels = read(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert (
            images.shape == (4, 3, 4, 4)
            and images.dtype == torch.float32
            and labels.shape in ((4,), (4, 2))
        )


STARTS = (
    b"",
    files._LEGACY,
    torch_bytes(7, False)[:100],
    b"PK\x03\x04",
    torch_bytes(7, True)[:200],
)
WHOLE_LEGACY, WHOLE_ZIP = torch_bytes(result(one()), False), torch_bytes(result(one()), True)
FLIPS = st.lists(st.tuples(st.integers(0, 1 << 12), st.integers(1, 255)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "res.pt"


def flipped(content, flips):
    content = bytearray(content)
    for place, mask in flips:
        content[place % len(content)] ^= mask
    return bytes(content)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
def test_random_bytes_give_nothing_worse_than_a_refusal(scratch, start, rest):
    survives(scratch, start + rest)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(flips=FLIPS)
def test_flipped_bytes_of_a_legacy_file_give_nothing_worse_than_a_refusal(scratch, flips):
    survives(scratch, flipped(WHOLE_LEGACY, flips))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(flips=FLIPS, checksums=st.booleans())
def test_flipped_bytes_of_a_zip_give_nothing_worse_than_a_refusal(scratch, flips, checksums):
    """With checksums re-created, as a forger would, the flips of the pickle reach torch."""
    content = (
        with_pickle(WHOLE_ZIP, lambda part: flipped(part, flips))
        if checksums
        else flipped(WHOLE_ZIP, flips)
    )
    survives(scratch, content)
