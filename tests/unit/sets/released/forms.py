"""A corpus: each form that a released set is met in, and what is read of it or said to it."""

import io
import json
import pickle
import zipfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from distillery import plugins
from distillery.images.normalization import normalise
from distillery.images.whitening import fit
from distillery.sets.folder import hub, image_folder
from distillery.sets.synthetic import SyntheticSet

SPECS = {name: dataset.spec for name, dataset in plugins.datasets().items()}
DIGITS, MNIST, CIFAR = SPECS["digits"], SPECS["MNIST"], SPECS["CIFAR10"]
WHERE = "config: imported[0]"


def made(spec, ipc=1, seed=0):
    """Pixels, (N, C, H, W) uint8, that are dark at the rim as digits are, and the labels of
    ``ipc`` images per class.
    """
    size = (ipc * 10, spec["channels"], spec["size"], spec["size"])
    pixels = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(seed)).to(
        torch.uint8
    )
    return pixels, torch.arange(10).repeat_interleave(ipc)


def channel(pixels, spec):
    return normalise(pixels, {"kind": "channel", "mean": spec["mean"], "std": spec["std"]})


BUNCH = load_digits()
LEVELS = torch.tensor(BUNCH.images).float()[:, None]
PIXELS = (
    torch.stack([LEVELS[BUNCH.target == number][0] for number in range(10)])
    .mul(255 / 16)
    .round()
    .to(torch.uint8)
)
IMAGES, LABELS = channel(PIXELS, DIGITS), torch.arange(10)
SOFT = torch.softmax(
    torch.randn(10, 10, generator=torch.Generator().manual_seed(1)) + 5 * torch.eye(10), 1
)
LOGITS = torch.eye(10) * 9 - 0.9
TWENTY, TWICE = torch.cat([IMAGES, IMAGES.flip(3)]), LABELS.repeat(2)


def saved(value, **options):
    def write(folder):
        torch.save(value, folder / "set.pt", **options)

    return write


def files(**values):
    """Several files: ``images`` is written to images.pt."""

    def write(folder):
        for name, value in values.items():
            torch.save(value, folder / f"{name}.pt")

    return write


def raw(content, name="set.pt"):
    return lambda folder: (folder / name).write_bytes(content)


def arrays(**values):
    return lambda folder: np.savez(
        folder / "set.npz", **{name: np.asarray(value) for name, value in values.items()}
    )


def tensors(**values):
    return lambda folder: save_file(dict(values), folder / "set.safetensors")


def pictures(pixels, labels, names, mode=None, suffix="png"):
    def write(folder):
        for number, (image, label) in enumerate(zip(pixels, labels.tolist())):
            array = image.permute(1, 2, 0).numpy()
            picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
            place = folder / "set" / names[label]
            place.mkdir(parents=True, exist_ok=True)
            (picture.convert(mode) if mode else picture).save(place / f"{number:03}.{suffix}")

    return write


def ours(spec=DIGITS, images=IMAGES, labels=LABELS, whitening=None, step_size=0.02, **header):
    space = (
        whitening.normalization
        if whitening
        else {"kind": "channel", "mean": list(spec["mean"]), "std": list(spec["std"])}
    )
    about = {
        "dataset": spec["name"],
        "classes": list(spec["classes"]),
        "method": "mtt",
        "init": "real",
        "ipc": 1,
        "seed": 0,
        "licence": "x",
    }
    return SyntheticSet(
        images,
        labels,
        step_size,
        {**about, "normalization": space, "protocol": None, **header},
        whitening,
    )


def own(synthetic, form="file"):
    def write(folder):
        if form == "file":
            synthetic.save(folder / "set.safetensors")
        else:
            {"images": image_folder, "hub": hub}[form](synthetic, folder / "set")

    return write


WHITENING = fit(LEVELS.mul(255 / 16).round().to(torch.uint8))
WHITE = WHITENING.apply(PIXELS)
MNIST_PIXELS, MNIST_LABELS = made(MNIST)
MNIST_IMAGES = channel(MNIST_PIXELS, MNIST)
CIFAR_PIXELS, CIFAR_LABELS = made(CIFAR)
CIFAR_IMAGES = channel(CIFAR_PIXELS, CIFAR)
PADDED = torch.nn.functional.pad(MNIST_IMAGES, (2, 2, 2, 2), value=float(MNIST_IMAGES.min()))
FOLDERS = [f"n0{number}" for number in range(10)]


def deep(count):
    value = 0
    for _ in range(count):
        value = [value]
    return value


def shared():
    """Lists of lists that hold 10 ** 9 numbers in a few bytes."""
    value = [0.0] * 10
    for _ in range(8):
        value = [value] * 10
    return value


def cyclic():
    value = []
    value.append(value)
    return [value, LABELS]


class Wrapped(torch.utils.data.Dataset):
    """What a user's own class leaves in a file."""


READ = {
    "list of pairs": (
        saved({"data": [[IMAGES, LABELS]], "accs_all_exps": {"ConvNet": [np.float64(0.3)]}}),
        {},
        IMAGES,
        LABELS,
    ),
    "five pairs": (saved({"data": [[IMAGES, LABELS]] * 5}), {"sets": 5}, IMAGES, LABELS),
    "pairs in the older format": (
        saved({"data": [(IMAGES, LABELS)]}, _use_new_zipfile_serialization=False),
        {},
        IMAGES,
        LABELS,
    ),
    "images and labels files": (
        files(images=IMAGES, labels=LABELS),
        {"file": "images.pt", "labels": "labels.pt"},
        IMAGES,
        LABELS,
    ),
    "files with the step size": (
        files(images=IMAGES, labels=LABELS, lr=torch.tensor(0.02)),
        {"file": "images.pt", "labels": "labels.pt", "step_size": "lr.pt"},
        IMAGES,
        LABELS,
    ),
    "data of one pair": (saved({"data": [IMAGES, LABELS]}), {}, IMAGES, LABELS),
    "data as a tuple": (saved({"data": (IMAGES, LABELS)}), {}, IMAGES, LABELS),
    "a list": (saved([IMAGES, LABELS]), {}, IMAGES, LABELS),
    "a tuple": (saved((IMAGES, LABELS)), {}, IMAGES, LABELS),
    "a list with the step size": (saved([IMAGES, LABELS, torch.tensor(0.02)]), {}, IMAGES, LABELS),
    "a list of pairs": (saved([[IMAGES, LABELS], [IMAGES, LABELS]]), {"sets": 2}, IMAGES, LABELS),
    "a list of dictionaries": (saved([{"images": IMAGES, "labels": LABELS}]), {}, IMAGES, LABELS),
    "a dictionary": (saved({"images": IMAGES, "labels": LABELS}), {}, IMAGES, LABELS),
    "a dictionary of torchvision's names": (
        saved({"data": PIXELS[:, 0], "targets": LABELS.tolist()}),
        {},
        IMAGES,
        LABELS,
    ),
    "a dictionary with x and y": (saved({"X": IMAGES, "y": LABELS}), {}, IMAGES, LABELS),
    "a dictionary with the step size": (
        saved({"image_syn": IMAGES, "label_syn": SOFT, "syn_lr": np.float32(0.02)}),
        {},
        IMAGES,
        SOFT,
    ),
    "a dictionary of classes": (
        saved({number: IMAGES[number : number + 1] for number in range(10)}),
        {},
        IMAGES,
        LABELS,
    ),
    "whole-number float labels": (saved([IMAGES, LABELS.float()]), {}, IMAGES, LABELS),
    "labels in a column": (saved([IMAGES, LABELS[:, None]]), {}, IMAGES, LABELS),
    "labels that mark a class": (saved([IMAGES, torch.eye(10).long()]), {}, IMAGES, LABELS),
    "labels in a list": (saved([IMAGES, LABELS.tolist()]), {}, IMAGES, LABELS),
    "labels of NumPy's numbers": (
        saved([IMAGES, [np.int64(number) for number in range(10)]]),
        {},
        IMAGES,
        LABELS,
    ),
    "soft labels": (saved([IMAGES, SOFT]), {}, IMAGES, SOFT),
    "soft labels in half precision": (
        saved([IMAGES.half(), SOFT.half()]),
        {},
        IMAGES.half().float(),
        SOFT.half().float(),
    ),
    "logits": (
        saved([IMAGES, LOGITS]),
        {"labels_are": "logits"},
        IMAGES,
        LOGITS.double().softmax(1).float(),
    ),
    "plain nested lists": (saved([IMAGES.tolist(), LABELS.tolist()]), {}, IMAGES, LABELS),
    "a list of images": (
        saved({"images": list(IMAGES), "labels": [torch.tensor(number) for number in range(10)]}),
        {},
        IMAGES,
        LABELS,
    ),
    "images without a channel": (saved([IMAGES[:, 0], LABELS]), {}, IMAGES, LABELS),
    "flat grey images": (saved([IMAGES.flatten(1), LABELS]), {}, IMAGES, LABELS),
    "channels last": (
        saved([CIFAR_IMAGES.permute(0, 2, 3, 1), CIFAR_LABELS]),
        {"dataset": "CIFAR10"},
        CIFAR_IMAGES,
        CIFAR_LABELS,
    ),
    "bytes, channels last": (
        arrays(x_train=CIFAR_PIXELS.permute(0, 2, 3, 1), y_train=CIFAR_LABELS),
        {"file": "set.npz", "dataset": "CIFAR10"},
        CIFAR_IMAGES,
        CIFAR_LABELS,
    ),
    "three equal channels of a grey dataset": (
        saved([IMAGES.expand(10, 3, 8, 8), LABELS]),
        {},
        IMAGES,
        LABELS,
    ),
    "MNIST padded to 32 by 32": (
        saved([PADDED, MNIST_LABELS]),
        {"dataset": "MNIST"},
        MNIST_IMAGES,
        MNIST_LABELS,
    ),
    "pixels": (saved([PIXELS / 255, LABELS]), {"normalization": "pixels"}, IMAGES, LABELS),
    "pixels from 0 to 255": (
        saved([PIXELS.float(), LABELS]),
        {"normalization": "pixels"},
        IMAGES,
        LABELS,
    ),
    "bytes": (saved([PIXELS, LABELS]), {}, IMAGES, LABELS),
    "whitened": (saved([WHITE, LABELS]), {"normalization": "zca"}, WHITE, LABELS),
    "two files of one set": (
        files(part_1=[TWENTY[:5], TWICE[:5]], part_2=[TWENTY[5:], TWICE[5:]]),
        {"file": ["part_1.pt", "part_2.pt"], "ipc": 2},
        TWENTY,
        TWICE,
    ),
    "a pattern": (
        files(
            **{
                f"part_{n}": [TWENTY[2 * n : 2 * n + 2], TWICE[2 * n : 2 * n + 2]]
                for n in range(10)
            }
        ),
        {"file": "part_*.pt", "ipc": 2},
        TWENTY,
        TWICE,
    ),
    "images in two files, labels in one": (
        files(images_1=TWENTY[:5], images_2=TWENTY[5:], labels=TWICE),
        {"file": "images_*.pt", "labels": "labels.pt", "ipc": 2},
        TWENTY,
        TWICE,
    ),
    "images and labels in two files each": (
        files(images_1=TWENTY[:5], images_2=TWENTY[5:], labels_1=TWICE[:5], labels_2=TWICE[5:]),
        {"file": "images_*.pt", "labels": "labels_*.pt", "ipc": 2},
        TWENTY,
        TWICE,
    ),
    "a folder of the trajectory-matching authors": (
        files(images_best=IMAGES, labels_best=LABELS, lr_best=torch.tensor(0.02)),
        {"file": "."},
        IMAGES,
        LABELS,
    ),
    "a folder of pictures": (
        pictures(PIXELS, LABELS, [str(number) for number in range(10)]),
        {"file": "set"},
        IMAGES,
        LABELS,
    ),
    "a folder of pictures, classes by name": (
        pictures(CIFAR_PIXELS, CIFAR_LABELS, list(CIFAR["classes"])),
        {"file": "set", "dataset": "CIFAR10"},
        torch.cat(
            [
                CIFAR_IMAGES[number : number + 1]
                for number in sorted(range(10), key=lambda n: CIFAR["classes"][n])
            ]
        ),
        torch.tensor(sorted(range(10), key=lambda n: CIFAR["classes"][n])),
    ),
    "a folder of pictures, classes in order": (
        pictures(PIXELS, LABELS, FOLDERS),
        {"file": "set"},
        IMAGES,
        LABELS,
    ),
    "a folder of colour pictures of a grey dataset": (
        pictures(PIXELS, LABELS, FOLDERS, mode="RGB"),
        {"file": "set"},
        IMAGES,
        LABELS,
    ),
    "a folder of pictures with an opaque alpha": (
        pictures(CIFAR_PIXELS, CIFAR_LABELS, FOLDERS, mode="RGBA"),
        {"file": "set", "dataset": "CIFAR10"},
        CIFAR_IMAGES,
        CIFAR_LABELS,
    ),
    "safetensors": (
        tensors(images=IMAGES, labels=LABELS),
        {"file": "set.safetensors"},
        IMAGES,
        LABELS,
    ),
    "npz": (arrays(images=IMAGES, labels=LABELS), {"file": "set.npz"}, IMAGES, LABELS),
    "npz of doubles and bytes": (
        arrays(images=IMAGES.double(), labels=LABELS.to(torch.uint8)),
        {"file": "set.npz"},
        IMAGES,
        LABELS,
    ),
    "npy": (
        lambda folder: [
            np.save(folder / f"{name}.npy", np.asarray(value))
            for name, value in (("images", IMAGES), ("labels", LABELS))
        ],
        {"file": "images.npy", "labels": "labels.npy"},
        IMAGES,
        LABELS,
    ),
    "npy in Fortran's order": (
        lambda folder: [
            np.save(folder / f"{name}.npy", np.asfortranarray(value))
            for name, value in (("images", IMAGES), ("labels", LABELS.to(torch.int16)))
        ],
        {"file": "images.npy", "labels": "labels.npy"},
        IMAGES,
        LABELS,
    ),
    "our own set": (own(ours()), {"file": "set.safetensors"}, IMAGES, LABELS),
    "our own soft labels": (own(ours(labels=SOFT)), {"file": "set.safetensors"}, IMAGES, SOFT),
    "our own whitened set": (
        own(ours(images=WHITE, whitening=WHITENING)),
        {"file": "set.safetensors", "normalization": "zca"},
        WHITE,
        LABELS,
    ),
    "our export for a hub": (own(ours(), "hub"), {"file": "set"}, IMAGES, LABELS),
    "our export as pictures": (own(ours(), "images"), {"file": "set"}, IMAGES, LABELS),
    "our export as pictures, soft labels": (
        own(ours(labels=SOFT), "images"),
        {"file": "set"},
        IMAGES,
        SOFT,
    ),
}
WITH_STEP = (
    "files with the step size",
    "a list with the step size",
    "a dictionary with the step size",
    "a folder of the trajectory-matching authors",
    *(name for name in READ if name.startswith("our ")),
)
TOLD = {
    "three equal channels of a grey dataset": "three equal channels were read as the one of digits",
    "MNIST padded to 32 by 32": "the plain border of 2 pixels around 28 by 28 was taken off",
    "channels last": "the channels stand last in the file",
    "bytes": "its pixels, 0 to 255, were normalised",
    "a folder of pictures": "its pixels, 0 to 255, were normalised",
    "a folder of pictures, classes in order": "its folders (n00, n01, n02,",
    "a dictionary with the step size": "its step size 0.02 was read with it",
}
HTML = b"<!DOCTYPE html><html><title>Sign in</title></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def torchscript():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02N.")
        archive.writestr("a/constants.pkl", b"")
    return file.getvalue()


REFUSED = {
    "logits without the key": (
        saved([IMAGES, LOGITS]),
        {},
        "`labels_are: logits` takes their softmax",
    ),
    "pixels without the key": (
        saved([PIXELS / 255, LABELS]),
        {},
        "`normalization: pixels` normalises them",
    ),
    "0 to 255 without the key": (
        saved([PIXELS.float(), LABELS]),
        {},
        "`normalization: pixels` normalises them",
    ),
    "a dataset that is not built in, by its images": (
        saved([torch.randn(10, 3, 64, 64), LABELS]),
        {},
        "images are (10, 3, 64, 64); digits needs (N, 1, 8, 8)",
    ),
    "another dataset's set of ours": (
        own(ours(dataset="MNIST")),
        {"file": "set.safetensors"},
        "is a set of MNIST, as its header says, not of digits",
    ),
    "our own whitened set, unsaid": (
        own(ours(images=WHITE, whitening=WHITENING)),
        {"file": "set.safetensors"},
        "`normalization: zca` goes with it",
    ),
    "our whitened set as pictures": (
        own(ours(images=WHITE, whitening=WHITENING), "images"),
        {"file": "set", "normalization": "zca"},
        "export the set `--as hub`",
    ),
    "colour of a grey dataset": (
        saved([torch.randn(10, 3, 8, 8), LABELS]),
        {},
        "their channels differ; digits is grey",
    ),
    "MNIST drawn on 32 by 32": (
        saved([torch.randn(10, 1, 32, 32), LABELS]),
        {"dataset": "MNIST"},
        "have no plain border that could be taken off",
    ),
    "images alone": (saved(IMAGES), {}, "name its labels_*.pt as `labels`"),
    "labels elsewhere and here": (
        files(set=[IMAGES, LABELS], labels=LABELS),
        {"labels": "labels.pt"},
        "has labels of its own; drop `labels`",
    ),
    "too few images": (
        saved([IMAGES[:9], LABELS[:9]]),
        {},
        "holds 9 images; `ipc: 1` for the 10 classes of digits needs 10",
    ),
    "another ipc": (saved([TWENTY, TWICE]), {}, "(`ipc: 2` would fit)"),
    "too few sets": (
        saved({"data": [[IMAGES, LABELS]]}),
        {"sets": 5},
        "holds 1 set, but 5 are asked for; `sets: 1` or less would do",
    ),
    "an unbalanced set": (
        saved([IMAGES, torch.zeros(10).long()]),
        {},
        "class 0 has 10 images; `ipc: 1` needs 1 of each class",
    ),
    "classes from 1": (
        saved([IMAGES, LABELS + 1]),
        {},
        "labels run from 1 to 10; this dataset has classes 0 to 9",
    ),
    "soft labels of other classes": (
        saved([IMAGES, torch.full((10, 100), 0.01)]),
        {},
        "finite float32 (N, 10) is needed",
    ),
    "labels of words": (saved([IMAGES, ["zero"] * 10]), {}, "labels are"),
    "rows of different lengths": (
        saved([[[0.0, 1.0], [0.0]] * 5, LABELS]),
        {},
        "lists of different lengths or kinds",
    ),
    "NaN": (saved([IMAGES * float("nan"), LABELS]), {}, "images hold NaN or infinite values"),
    "a checkpoint": (
        saved({"state_dict": {"weight": torch.zeros(3)}, "epoch": 5}),
        {},
        "has no key for images with one for labels (its keys: `state_dict`, `epoch`)",
    ),
    "NumPy arrays within": (
        saved([IMAGES.numpy(), LABELS.numpy()]),
        {},
        "save the arrays as tensors (torch.from_numpy), or by numpy.savez",
    ),
    "a dataset of torch": (
        saved(torch.utils.data.TensorDataset(IMAGES, LABELS)),
        {},
        "asks for torch.utils.data.dataset.TensorDataset, which is refused",
    ),
    "a class of its own": (saved(Wrapped()), {}, "which is refused and has not run"),
    "a network": (
        saved(torch.nn.Linear(2, 2)),
        {},
        "asks for torch.nn.modules.linear.Linear, which is refused",
    ),
    "a plain pickle": (raw(pickle.dumps([1, 2])), {}, "is a plain pickle, which is not read"),
    "objects in npy": (
        lambda folder: np.save(
            folder / "set.npy", np.array([{}, 1], dtype=object), allow_pickle=True
        ),
        {"file": "set.npy", "labels": "set.npy"},
        "holds object; arrays of plain numbers are read",
    ),
    "npy cut short": (
        lambda folder: raw(npy_bytes()[:-8], "set.npy")(folder),
        {"file": "set.npy", "labels": "set.npy"},
        "names 640 numbers and holds 638",
    ),
    "TorchScript": (raw(torchscript()), {}, "is a TorchScript archive, which is not read"),
    "gzipped": (raw(b"\x1f\x8b\x08rest"), {}, "is gzipped, which is not read"),
    "a web page": (raw(HTML), {}, "is a web page"),
    "a Git LFS pointer": (raw(LFS), {}, "is a Git LFS pointer, which stands for the file"),
    "empty": (raw(b""), {}, "is empty"),
    "cut short": (
        lambda folder: (
            saved([IMAGES, LABELS])(folder),
            (folder / "set.pt").write_bytes((folder / "set.pt").read_bytes()[:900]),
        ),
        {},
        "cannot be read",
    ),
    "missing": (lambda folder: None, {}, "set.pt is missing; give the path of a file that exists"),
    "a pattern of nothing": (lambda folder: None, {"file": "no_*.pt"}, "fits no file"),
    "a folder of nothing": (
        lambda folder: (folder / "set").mkdir(),
        {"file": "set"},
        "is a folder without pictures in folders of its own",
    ),
    "a folder of training and test pictures": (
        lambda folder: [(folder / "set" / name).mkdir(parents=True) for name in ("train", "test")],
        {"file": "set"},
        "has a folder train beside others; name ",
    ),
    "a folder of five classes": (
        pictures(PIXELS[:5], LABELS[:5], FOLDERS),
        {"file": "set"},
        "holds 5 images; `ipc: 1`",
    ),
    "a folder of two of each of five classes": (
        pictures(PIXELS, LABELS // 2, FOLDERS),
        {"file": "set"},
        "has 5 folders of pictures; digits has 10 classes",
    ),
    "pictures of two sizes": (
        lambda folder: (
            pictures(PIXELS, LABELS, FOLDERS)(folder),
            Image.new("L", (9, 8)).save(folder / "set/n03/003.png"),
        ),
        {"file": "set"},
        "003.png is 9 by 8 pixels and others are 8 by 8",
    ),
    "transparent pictures": (
        lambda folder: (
            pictures(PIXELS, LABELS, FOLDERS)(folder),
            Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(folder / "set/n03/003.png"),
        ),
        {"file": "set"},
        "003.png is transparent",
    ),
    "a picture that is none": (
        lambda folder: (
            pictures(PIXELS, LABELS, FOLDERS)(folder),
            (folder / "set/n03/003.png").write_bytes(b"no"),
        ),
        {"file": "set"},
        "003.png is not a PNG or JPEG, or is cut short",
    ),
    "an export that leads out of its folder": (
        lambda folder: (own(ours(), "images")(folder), led_out(folder / "set")),
        {"file": "set"},
        "which is outside the folder",
    ),
    "an export without its space": (
        lambda folder: (own(ours(), "images")(folder), unsaid(folder / "set")),
        {"file": "set"},
        "its header does not say how its images were normalised",
    ),
    "our own set, cut short": (
        lambda folder: (
            own(ours())(folder),
            (folder / "set.safetensors").write_bytes(
                (folder / "set.safetensors").read_bytes()[:-9]
            ),
        ),
        {"file": "set.safetensors"},
        "cannot be read",
    ),
    "a negative step size": (
        files(set=[IMAGES, LABELS], lr=torch.tensor(-0.02)),
        {"step_size": "lr.pt"},
        "the step size is -0.02; a number above 0 is needed",
    ),
    "a step size that is none": (
        files(set=[IMAGES, LABELS], lr=IMAGES),
        {"step_size": "lr.pt"},
        "one number above 0, as an lr_best.pt holds, is needed",
    ),
    "logits that are probabilities": (
        saved([IMAGES, SOFT]),
        {"labels_are": "logits"},
        "drop `labels_are`",
    ),
    "files of two spaces": (
        files(part_1=[PIXELS[:5], LABELS[:5]], part_2=[IMAGES[5:], LABELS[5:]]),
        {"file": "part_*.pt"},
        "all files of a set need one space",
    ),
    "files of two kinds of labels": (
        files(part_1=[IMAGES[:5], SOFT[:5]], part_2=[IMAGES[5:], LABELS[5:]]),
        {"file": "part_*.pt"},
        "has other labels than",
    ),
    "labels in more files than images": (
        files(set=IMAGES, labels_1=LABELS, labels_2=LABELS),
        {"labels": "labels_*.pt"},
        "2 files do not go with 1 of images",
    ),
    "lists without end": (saved([shared(), LABELS]), {}, "images are"),
    "lists too deep": (
        saved([deep(200), LABELS]),
        {},
        "images are a list; a tensor (N, C, H, W) is needed",
    ),
    "a list that holds itself": (saved(cyclic()), {}, "images are"),
}


def npy_bytes():
    file = io.BytesIO()
    np.save(file, IMAGES.numpy())
    return file.getvalue()


def led_out(folder):
    text = (folder / "labels.csv").read_text(encoding="utf-8")
    (folder / "labels.csv").write_text(text.replace("0/0.png", "../0.png", 1), encoding="utf-8")


def unsaid(folder):
    header = json.loads((folder / "set.json").read_text(encoding="utf-8"))
    (folder / "set.json").write_text(
        json.dumps({**header, "normalization": ["channel"]}), encoding="utf-8"
    )
