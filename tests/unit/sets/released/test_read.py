"""Released sets are read as they are, or refused by what is wrong with them."""

import numpy as np
import pytest
import torch

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
    renamed,
    result,
    same,
    torch_bytes,
)


@ZIPPED
@pytest.mark.parametrize(
    "module", (b"numpy.core.multiarray", b"numpy._core.multiarray"), ids=("numpy1", "numpy2")
)
def test_every_set_of_a_result_file_is_read_whatever_wrote_it(tmp_path, zipped, module):
    pairs = [one(0), one(1), one(2)]
    path = put(tmp_path, renamed(torch_bytes(result(*pairs), zipped), zipped, module))
    check(path, sets=3)
    for number, pair in enumerate(pairs):
        assert same(read(path, number=number, sets=3), pair)
    assert same(read(str(path)), pairs[0])


@ZIPPED
def test_an_images_and_labels_pair_is_read(tmp_path, zipped):
    images, labels = one()
    first = put(tmp_path, torch_bytes(images, zipped), "images_best.pt")
    second = put(tmp_path, torch_bytes(labels, zipped), "labels_best.pt")
    check(first, labels=str(second), step_size=0.02)
    assert same(read(first, second), (images, labels))


@pytest.mark.parametrize("dtype", (torch.float64, torch.float16, torch.bfloat16), ids=str)
def test_other_dtypes_become_float32_and_int64(tmp_path, dtype):
    images, labels = one()
    images = images.to(dtype)
    for small in (torch.int32, torch.uint8):
        path = put(tmp_path, result([images, labels.to(small)]))
        assert same(read(path), (images.float(), labels))


@pytest.mark.parametrize("dtype", (torch.float64, torch.float32, torch.float16), ids=str)
def test_soft_labels_become_float32_and_need_no_balance(tmp_path, dtype):
    images, _ = one()
    labels = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.75, 0.25]], dtype=dtype)
    assert same(read(put(tmp_path, result([images, labels]))), (images, labels.float()))


@ZIPPED
def test_views_parameters_and_gradients_are_read_as_plain_tensors_of_their_own(tmp_path, zipped):
    many, labels = torch.randn(3, 40, 4, 4), torch.arange(4) // 2
    view = many.transpose(0, 1)[8:12]
    path = put(tmp_path, torch_bytes(result([torch.nn.Parameter(view), labels]), zipped))
    images, _ = read(path)
    assert type(images) is torch.Tensor and not images.requires_grad and torch.equal(images, view)
    assert images.is_contiguous() and images.untyped_storage().nbytes() == images.nbytes


def test_tensors_that_were_saved_from_a_gpu_are_read_without_one(tmp_path):
    content = torch_bytes(result(one()), False)
    assert b"X\x03\x00\x00\x00cpu" in content
    path = put(tmp_path, content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:7"))
    assert same(read(path), one())


def test_numpy_and_torch_allow_no_more_afterwards_than_before(tmp_path):
    before = set(
        torch.serialization.get_safe_globals()
    )  # torch keeps a set, so its list has no order to rely on
    read(put(tmp_path, result(one())))
    refusal(read, put(tmp_path, b"PK\x03\x04"))
    assert set(torch.serialization.get_safe_globals()) == before


SOFT = torch.full((4, 2), 0.5)


def spoilt(tensor, value):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = value
    return tensor


PAIRS = (
    "images with labels are needed: `images` and `labels`, a list of both, or `data` with such "
    "pairs"
)
WRONG = {
    "no data": (
        {"datas": [], "accs": [], 5: 0},
        f"has no key for images with one for labels (its keys: `datas`, `accs`); {PAIRS}",
    ),
    "one tensor": (IMAGES, "is one tensor, as an images_*.pt is; name its labels_*.pt as `labels`"),
    "a number": (7, f"holds a int, no images; {PAIRS}"),
    "images alone": (
        {"images": IMAGES},
        "holds images without labels; name the file with them as `labels`",
    ),
    "not pairs": ({"data": [IMAGES]}, f"`data` is not a list of (images, labels) pairs; {PAIRS}"),
    "no set": (
        {"data": []},
        "holds 0 sets, but 1 are asked for; a file with at least one would do",
    ),
    "not tensors": ({"data": [["x", LABELS]]}, "images are a str; a tensor (N, C, H, W) is needed"),
    "no labels": (
        {"data": [[IMAGES, None]]},
        "holds images without labels; name the file with them as `labels`",
    ),
    "labels of words": (
        {"data": [[IMAGES, "ab"]]},
        "labels are a str; a tensor (N,) or (N, K) is needed",
    ),
    "whole numbers": (
        result([torch.full((4, 3, 4, 4), 256), LABELS]),
        "images are whole numbers from 256 to 256; pixels, 0 to 255, or float32 is needed",
    ),
    "bool pixels": (
        result([IMAGES > 0, LABELS]),
        "images are torch.bool; float32, or uint8 pixels, is needed",
    ),
    "channels": (result(one(channels=1)), "images are (4, 1, 4, 4); toy needs (N, 3, 4, 4)"),
    "size": (result(one(size=5)), "images are (4, 3, 5, 5); toy needs (N, 3, 4, 4)"),
    "flat": (result([IMAGES.flatten(1), LABELS]), "images are (4, 48); toy needs (N, 3, 4, 4)"),
    "ipc": (
        result(one(ipc=5)),
        "holds 10 images; `ipc: 2` for the 2 classes of toy needs 4 (`ipc: 5` would fit)",
    ),
    "odd": (
        result([IMAGES[:3], LABELS[:3]]),
        "holds 3 images; `ipc: 2` for the 2 classes of toy needs 4",
    ),
    "none": (
        result([IMAGES[:0], LABELS[:0]]),
        "holds 0 images; `ipc: 2` for the 2 classes of toy needs 4",
    ),
    "NaN": (
        result([spoilt(IMAGES, torch.nan), LABELS]),
        "images hold NaN or infinite values; finite float32 is needed",
    ),
    "too large": (
        result([spoilt(IMAGES.double(), 1e300), LABELS]),
        "images hold NaN or infinite values; finite float32 is needed",
    ),
    "range": (
        result([IMAGES, LABELS + 1]),
        "labels run from 1 to 2; this dataset has classes 0 to 1",
    ),
    "negative": (
        result([IMAGES, LABELS - 1]),
        "labels run from -1 to 0; this dataset has classes 0 to 1",
    ),
    "balance": (
        result([IMAGES, torch.tensor([0, 1, 1, 1])]),
        "class 0 has 1 images; `ipc: 2` needs 2 of each class",
    ),
    "length": (
        result([IMAGES, LABELS[:3]]),
        "labels of shape (3,) do not go with 4 images; (N,) or (N, K) is needed",
    ),
    "no dimension": (
        result([IMAGES, torch.tensor(1)]),
        "labels of shape () do not go with 4 images; (N,) or (N, K) is needed",
    ),
    "float classes": (
        result([IMAGES, LABELS + 0.5]),
        "hard labels are torch.float32; int64 is needed",
    ),
    "bool classes": (
        result([IMAGES, LABELS.bool()]),
        "hard labels are torch.bool; int64 is needed",
    ),
    "width": (
        result([IMAGES, torch.full((4, 10), 0.1)]),
        "soft labels are torch.float32 of shape (4, 10); finite float32 (N, 2) is needed",
    ),
    "rows of whole numbers": (
        result([IMAGES, SOFT.long()]),
        "soft labels are torch.int64 of shape (4, 2); finite float32 (N, 2) is needed",
    ),
    "infinite": (
        result([IMAGES, spoilt(SOFT, torch.inf)]),
        "soft labels are torch.float32 of shape (4, 2); finite float32 (N, 2) is needed",
    ),
    "complex": (
        result([IMAGES.to(torch.complex64), LABELS]),
        "asks for torch.ComplexFloatStorage, which is refused and has not run; tensors, lists and "
        "numbers are read",
    ),
    "sparse": (
        result([IMAGES.to_sparse(), LABELS]),
        "asks for torch._utils._rebuild_sparse_tensor, which is refused and has not run; "
        "tensors, lists and numbers are read",
    ),
    "NumPy array": (
        result([IMAGES.numpy(), LABELS]),
        "asks for numpy._core.multiarray._reconstruct, which is refused and has not run; "
        "save the arrays as tensors (torch.from_numpy), or by numpy.savez",
    ),
    "NumPy text": (
        {**result(one()), "note": np.str_("x")},
        f"cannot be read (ValueError: a NumPy scalar is not a plain number); {WHOLE}",
    ),
}


@ZIPPED
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_set_of_the_dataset_is_refused(tmp_path, name, zipped):
    content, message = WRONG[name]
    path = put(tmp_path, torch_bytes(content, zipped))
    assert refusal(check, path) == f"res.pt: {message}"
    assert refusal(read, path) == f"res.pt: {message}"


def test_a_refusal_names_the_set_of_several_and_the_file_of_two(tmp_path):
    path = put(tmp_path, result(one(), [IMAGES, LABELS + 1], one()))
    check(path)
    assert refusal(check, path, sets=3).startswith("res.pt: set 1: labels run from 1 to 2")
    assert same(read(path, number=2, sets=3), one())

    images, labels = put(tmp_path, IMAGES, "images.pt"), put(tmp_path, LABELS + 1, "labels.pt")
    assert refusal(check, images, labels=str(labels)).startswith(
        "labels.pt: labels run from 1 to 2"
    )
    labels = put(tmp_path, LABELS, "labels.pt")
    images = put(tmp_path, spoilt(IMAGES, torch.nan), "images.pt")
    assert refusal(check, images, labels=str(labels)).startswith("images.pt: images hold NaN")


def test_as_many_sets_must_be_there_as_are_asked_for(tmp_path):
    path = put(tmp_path, result(one(), one()))
    message = "res.pt: holds 2 sets, but 3 are asked for; `sets: 2` or less would do"
    assert refusal(check, path, sets=3) == message
    assert refusal(read, path, sets=3) == message
    assert refusal(read, path, number=2, sets=2) == message


def test_labels_go_with_one_tensor_only(tmp_path):
    path, labels = put(tmp_path, result(one())), put(tmp_path, LABELS, "labels.pt")
    assert refusal(check, path, labels=str(labels)) == (
        "res.pt: is a dictionary, as a res_*.pt is, which has labels of its own; drop `labels`"
    )
    path = put(tmp_path, IMAGES, "images.pt")
    assert refusal(check, path, labels=str(labels), sets=2) == (
        "images.pt: with `labels` it is one set, but 2 are asked for; `sets: 1` goes with it"
    )
    assert refusal(check, path, labels=str(tmp_path / "no.pt")).endswith(
        "no.pt is missing; give the path of a file that exists"
    )
