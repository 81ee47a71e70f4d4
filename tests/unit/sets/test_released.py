import io
import os
import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from distillery import plugins
from distillery.errors import UserError
from distillery.images.normalization import normalise
from distillery.images.whitening import fit
from distillery.sets import foreign
from distillery.sets import released as imported
from distillery.sets.synthetic import SyntheticSet

SPEC = {
    "name": "toy",
    "channels": 3,
    "size": 4,
    "classes": ("a", "b"),
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.25, 0.3),
}
IPC = 2
WHERE = "config: imported[0]"
ZIPPED = pytest.mark.parametrize("zipped", (True, False), ids=("zip", "legacy"))


def one(seed=0, ipc=IPC, classes=2, channels=3, size=4):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(ipc * classes, channels, size, size, generator=generator)
    return [images, torch.arange(classes).repeat_interleave(ipc)]


def result(*pairs):
    """What the gradient-matching authors save, their NumPy scalars included."""
    accuracies = [
        np.float64(0.31),
        np.float32(0.25),
        np.float16(0.5),
        np.int64(3),
        np.int32(-3),
        np.bool_(True),
    ]
    return {
        "data": list(pairs),
        "accs_all_exps": {"ConvNet": accuracies * 3, "MLP": []},
        "note": "done",
        "step": 1000,
    }


def torch_bytes(content, zipped, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped, **options)
    return buffer.getvalue()


def with_pickle(content, change):
    """A zip with its pickle changed and every checksum right."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.infolist():
            part = old.read(member)
            new.writestr(
                member.filename, change(part) if member.filename.endswith("data.pkl") else part
            )
    return changed.getvalue()


def renamed(content, zipped, module):
    """As an older or newer NumPy would name the scalars; nothing else in their pickles differs."""

    def change(part):
        part = part.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
        return part.replace(b"cnumpy.core.multiarray\n", b"c" + module + b"\n")

    changed = with_pickle(content, change) if zipped else change(content)
    assert b"c" + module + b"\nscalar\n" in changed
    return changed


def put(folder, content, name="res.pt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else torch_bytes(content, True))
    return path


def read(path, labels=None, number=0, **changes):
    entry = {
        "name": "theirs",
        "dataset": "toy",
        "file": str(path),
        "ipc": IPC,
        **({"labels": str(labels)} if labels else {}),
        **changes,
    }
    found = imported.read(entry, SPEC, number, where=WHERE)
    return found.images, found.labels


def check(path, **entry):
    return imported.check(
        {"name": "theirs", "dataset": "toy", "file": str(path), "ipc": IPC, **entry}, SPEC, WHERE
    )


def refusal(call, *arguments, **keywords):
    """The one line of a refusal, less the file's folder."""
    with pytest.raises(UserError) as error:
        call(*arguments, **keywords)
    line = str(error.value)
    assert (
        line.startswith(f"{WHERE}: ")
        and "\n" not in line
        and "\x1b" not in line
        and len(line) < 600
    )
    assert "weights_only" not in line and "safe_globals" not in line
    path = line.removeprefix(f"{WHERE}: ").partition(": ")[0]
    return line.replace(path, os.path.basename(path)).removeprefix(f"{WHERE}: ")


def same(first, second):
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(first, second, strict=True))


# ---- what is read --------------------------------------------------------------------------------


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


# ---- what is refused -----------------------------------------------------------------------------

IMAGES, LABELS = one()
SOFT = torch.full((4, 2), 0.5)


def spoilt(tensor, value):
    tensor = tensor.clone()
    tensor.view(-1)[-1] = value
    return tensor


WHOLE = "a whole file of torch.save, safetensors or NumPy, or a folder of pictures, is needed"
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


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(
                name.replace("__", "/").replace("_pkl", ".pkl").replace("_npy", ".npy"), content
            )
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    (
        (b"", "is empty"),
        (archive(readme=b"x"), "is a zip archive"),
        (archive(a__data_pkl=b"\x80\x02N.", a__constants_pkl=b""), "is a TorchScript archive"),
        (b"\x89PNG\r\n", "is a PNG image"),
        (b"\x1f\x8b\x08", "is gzipped"),
        (b"\n<!DOCTYPE html><html>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a Git LFS pointer, which stands for the file",
        ),
        (pickle.dumps({"data": []}), "is a plain pickle"),
        (b"hello", "is of an unknown kind"),
    ),
)
def test_another_kind_of_file_is_named(tmp_path, content, kind):
    assert refusal(check, put(tmp_path, content)) == f"res.pt: {kind}, which is not read; {WHOLE}"


def test_what_is_no_file_is_refused_without_opening_it(tmp_path):
    assert refusal(check, tmp_path / "no.pt").endswith(
        "no.pt is missing; give the path of a file that exists"
    )
    (tmp_path / "folder.pt").mkdir()
    assert refusal(check, tmp_path / "folder.pt").startswith(
        "folder.pt: is a folder without pictures in folders of its own"
    )
    os.mkfifo(tmp_path / "pipe.pt")
    assert refusal(check, tmp_path / "pipe.pt") == f"pipe.pt: is not a regular file; {WHOLE}"
    assert "is missing" in refusal(check, tmp_path / ("x" * 300))
    assert "file 'nul\\x00.pt' is missing" in refusal(read, "nul\0.pt")


# ---- what a set is not ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """The images, (1797, 1, 8, 8) in [0, 1], the labels, and the spec."""
    bunch = load_digits()
    return (
        torch.tensor(bunch.images).float()[:, None] / 16,
        torch.tensor(bunch.target),
        plugins.datasets()["digits"].spec,
    )


def first_of_each(images, labels):
    return torch.stack([images[labels == number][0] for number in range(10)])


def normalised(images, spec):
    return (images - spec["mean"][0]) / spec["std"][0]


def entry_of(path, dataset="digits", ipc=1, **more):
    return {"name": "theirs", "dataset": dataset, "file": str(path), "ipc": ipc, **more}


def trained(images, labels, tests, answers):
    """The accuracy of a linear model that is trained on a set."""
    weights = torch.zeros(64, 10, requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(
            torch.nn.functional.cross_entropy(images.flatten(1) @ weights, labels), weights
        )
        weights = (weights - 0.1 * gradient).detach().requires_grad_()
    return float(((tests.flatten(1) @ weights).argmax(1) == answers).float().mean())


def test_logits_are_refused_and_with_the_key_train_as_their_probabilities_do(tmp_path, digits):
    images, labels, spec = digits
    ten, logits = (
        normalised(first_of_each(images, labels), spec),
        torch.eye(10) * 9 - 0.9,
    )  # rows that sum to 0
    file, beside = put(tmp_path, ten, "images_best.pt"), put(tmp_path, logits, "labels_best.pt")
    entry = entry_of(file, labels=str(beside))
    for call in (imported.check, imported.read):
        line = refusal(call, entry, spec, where=WHERE)
        assert line.startswith(
            "labels_best.pt: soft labels are no probabilities (lowest -0.9, rows that sum to "
        )
        assert line.endswith("; if they are logits, `labels_are: logits` takes their softmax")
    found = imported.read({**entry, "labels_are": "logits"}, spec, where=WHERE)
    assert torch.equal(found.labels, logits.double().softmax(1).float()) and torch.equal(
        found.images, ten
    )
    tests = normalised(images, spec)
    right, wrong = trained(ten, found.labels, tests, labels), trained(ten, logits, tests, labels)
    assert right == trained(ten, logits.softmax(1), tests, labels) > 0.5 and right > wrong


def test_labels_are_said_to_be_logits_only_where_they_are(tmp_path):
    soft = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.75, 0.25]])
    assert (
        "labels are probabilities already, and a softmax would blur them; drop `labels_are`"
        in refusal(check, put(tmp_path, result([IMAGES, soft])), labels_are="logits")
    )
    assert "labels are one class an image, not logits" in refusal(
        check, put(tmp_path, result([IMAGES, LABELS])), labels_are="logits"
    )
    logarithms = put(
        tmp_path, result([IMAGES, soft.log()])
    )  # of probabilities, whose softmax gives them back
    assert "labels_are: logits" in refusal(check, logarithms)
    assert torch.allclose(read(logarithms, labels_are="logits")[1], soft)


@pytest.mark.parametrize(
    "rows",
    (
        [[0.5, 0.6], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
        [[1.5, -0.5], [1, 0], [1, 0], [1, 0]],
        [[5, 5], [5, 5], [5, 5], [5, 5]],
    ),
    ids=str,
)
def test_soft_labels_that_are_no_probabilities_are_no_set_of_ours_either(tmp_path, rows):
    soft = torch.tensor(rows, dtype=torch.float32)
    assert "no probabilities" in refusal(check, put(tmp_path, result([IMAGES, soft])))
    header = {"classes": ["a", "b"]}
    with pytest.raises(UserError, match="soft labels are no probabilities"):
        SyntheticSet(IMAGES, soft, None, header)
    SyntheticSet(
        IMAGES, torch.softmax(soft.bfloat16(), 1).float(), None, header
    )  # what rounds off is no fault


def spaces(digits):
    """Ten real digits in each space that files are found in."""
    images, labels, spec = digits
    ten = first_of_each(images, labels)
    whitening = fit((images * 255).round().to(torch.uint8))
    return {
        "channel": normalised(ten, spec),
        "pixels": ten,
        "bytes": ten * 255,
        "zca": whitening.apply(ten),
    }


@pytest.mark.parametrize("space", ("channel", "pixels", "bytes", "zca"))
@pytest.mark.parametrize("said", (None, "channel", "pixels", "zca"))
def test_the_space_of_images_is_what_the_entry_says_or_it_is_told(tmp_path, digits, space, said):
    labels, spec = torch.arange(10), digits[2]
    images = spaces(digits)[space]
    path = put(tmp_path, [images, labels])
    entry = entry_of(path, **({} if said is None else {"normalization": said}))
    inside = "pixels" if space == "bytes" else space
    if (inside == "pixels" and said in (None, "zca")) or (space == "channel" and said == "pixels"):
        line = refusal(imported.check, entry, spec, where=WHERE)
        mean, std = (f"{float(value):.2f}" for value in (images.mean(), images.std(correction=0)))
        assert (
            f"its mean is {mean} and its standard deviation {std} (" in line
            and f"`normalization: {inside}`" in line
        )
        return
    told = imported.check(entry, spec, WHERE)
    assert len(told) == (inside != (said or "channel")) and "\n" not in "".join(told)
    assert all("standard deviation" in line and str(path) in line for line in told)
    found = imported.read(entry, spec, where=WHERE).images
    if said == "pixels" and inside == "pixels":
        assert torch.allclose(found, spaces(digits)["channel"], atol=1e-5)
    elif said != "pixels":
        assert torch.equal(found, images)


def test_whole_numbers_are_pixels_whatever_is_said_and_normalised_as_the_dataset_is(
    tmp_path, digits
):
    images, labels, spec = digits
    bytes_ = (first_of_each(images, labels) * 255).round().to(torch.uint8)
    for dtype in (torch.uint8, torch.int64):
        path = put(tmp_path, [bytes_.to(dtype), torch.arange(10)])
        space = {"kind": "channel", "mean": spec["mean"], "std": spec["std"]}
        assert torch.equal(
            imported.read(entry_of(path), spec, where=WHERE).images, normalise(bytes_, space)
        )
        (line,) = imported.check(entry_of(path), spec, WHERE)
        assert (
            "its pixels, 0 to 255, were normalised by the mean and standard deviation of digits"
            in line
        )
        assert imported.check(entry_of(path, normalization="pixels"), spec, WHERE) == []
    assert "no whitened images" in refusal(
        imported.check, entry_of(path, normalization="zca"), spec, WHERE
    )


def test_a_set_of_one_value_says_nothing_of_its_space(tmp_path):
    assert check(put(tmp_path, result([torch.zeros(4, 3, 4, 4), LABELS]))) == []


# ---- hostile files -------------------------------------------------------------------------------


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
    os.truncate(path, foreign.FILE_BYTES + 1)  # a hole, which takes no room
    assert refusal(check, path) == (
        "res.pt: has 2147483649 bytes; at most 2147483648 are read, more than any released set has"
    )

    content = bytearray(torch_bytes(result(one()), True))
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 0xFFFFFF00)
    line = refusal(check, put(tmp_path, bytes(content)))
    assert "res.pt: unpacks to 42949" in line and "at most 2147483648 are read" in line

    content = with_pickle(
        torch_bytes(7, True), lambda part: b"\x80\x02" + b"N0" * foreign.PICKLE_BYTES + b"K\x07."
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
    foreign._LEGACY,
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


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
def test_random_bytes_give_nothing_worse_than_a_refusal(scratch, start, rest):
    survives(scratch, start + rest)


@settings(max_examples=150, deadline=None)
@given(flips=FLIPS)
def test_flipped_bytes_of_a_legacy_file_give_nothing_worse_than_a_refusal(scratch, flips):
    survives(scratch, flipped(WHOLE_LEGACY, flips))


@settings(max_examples=150, deadline=None)
@given(flips=FLIPS, checksums=st.booleans())
def test_flipped_bytes_of_a_zip_give_nothing_worse_than_a_refusal(scratch, flips, checksums):
    """With checksums made anew, as a forger would, the flips of the pickle reach torch."""
    content = (
        with_pickle(WHOLE_ZIP, lambda part: flipped(part, flips))
        if checksums
        else flipped(WHOLE_ZIP, flips)
    )
    survives(scratch, content)
