"""What a newcomer may get wrong about images and networks of their own: each is one line that says
where, what is wrong and what would be right, before any job, and leaves nothing behind."""

import csv
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from distillery import __main__ as shell
from distillery import places
from distillery.errors import UserError
from distillery.study import load
from distillery.study.own_images import KINDS
from tests.unit.datasets import drawn

GRID = {"dataset": "pets", "method": ["dm", "random"], "init": "real", "ipc": 1}
PETS = [f"pets/{name}/{number}.png" for name in ("cat", "dog") for number in range(5)]
LABELS = [name.split("/")[1] for name in PETS]
NETS = "def make(channels, size, classes): ...\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pictures, tables and arrays, of which most are not as they should be."""
    root = tmp_path_factory.mktemp("newcomer")
    drawn.folder(root / "pets", {"cat": 5, "dog": 5})
    drawn.folder(root / "one", {"cat": 5})
    drawn.folder(root / "single", {"cat": 1, "dog": 1})
    drawn.folder(root / "split", {"train/cat": 2, "train/dog": 2, "test/cat": 1})
    drawn.folder(root / "untested", {"train/cat": 2, "train/dog": 2, "test/cat": 0})
    drawn.folder(root / "untrained", {"train/cat": 2, "train/dog": 2, "test/eel": 1})
    drawn.folder(root / "flat", {".": 2})
    drawn.folder(root / "only", {"test/cat": 2, "test/dog": 2})
    (root / "words").mkdir()
    (root / "words/a.txt").touch()
    (root / "empty").mkdir()
    rows = list(zip(PETS, LABELS, strict=True))
    tables = {
        "good": [("file", "label"), *rows],
        "bare": [],
        "head": [("file", "label")],
        "strange": [("file", "kind"), *rows],
        "ragged": [("file", "label"), rows[0], ("pets/cat/1.png",)],
        "torn": [("file", "label"), rows[0], (PETS[0], "dog")],
        "fold": [("file", "label", "split"), (*rows[0], "holdout")],
        "gone": [("file", "label"), *rows, ("pets/cow/0.png", "cow")],
    }
    for name, lines in tables.items():
        with (root / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
    (root / "latin.csv").write_bytes("file,label\nb\xe4r.png,cat\n".encode("latin-1"))
    images, labels = np.zeros((6, 8, 8), np.uint8), np.array([0, 0, 0, 1, 1, 1])
    arrays = {
        "good": {"images": images, "labels": labels},
        "fewer": {"images": images, "labels": labels[:5]},
        "beyond": {"images": images, "labels": labels + 4},
        "soft": {"images": images, "labels": labels + 0.5},
        "rows": {"images": images.reshape(6, 64), "labels": labels},
        "named": {"pixels": images, "labels": labels},
        "small": {"images": images[:, :4], "labels": labels},
        "medmnist": {
            "train_images": images,
            "train_labels": labels,
            "test_images": images[:0],
            "test_labels": labels[:0],
        },
    }
    for name, held in arrays.items():
        np.savez(root / f"{name}.npz", **held)
    (root / "cut.npz").write_bytes((root / "good.npz").read_bytes()[:300])
    (root / "nets.py").write_text(NETS, encoding="utf-8")
    (root / "broken.py").write_text("def make(:\n", encoding="utf-8")
    return root


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def config(kind="folder", path="pets", grid=None, networks=None, judged=None, **block):
    """A study of a dataset of one's own, and of networks."""
    shape = {} if kind == "arrays" else {"size": 32}
    return {
        "study": "Mine",
        "datasets": {"pets": {"kind": kind, "path": path, **shape, **block}},
        "grid": [{**GRID, **(grid or {})}],
        "data": {"validation": 0},
        "networks": networks or {},
        "evaluate": {"networks": judged or ["ConvNet"], "selection": {"models": 0}},
        "vanilla": {"networks": []},
        "continual": {"datasets": []},
    }


def table(path="good.csv", **block):
    return config("table", path, **block)


def arrays(path="good.npz", **block):
    return config("arrays", path, **block)


def mine(factory, **block):
    return config(networks={"mine": {"factory": factory}}, judged=["mine"], **block)


KNOWN = ", ".join(KINDS)
# What the config is, and the line, without `config: `; {here} is the folder.
REFUSED = {
    "a wrong path": (
        config(path="pats"),
        "datasets.pets.path: there is no folder pats (looked for {here}/pats)",
    ),
    "a file for a folder": (
        config(path="good.csv"),
        "datasets.pets.path: good.csv is a file; a folder is needed",
    ),
    "an empty folder": (
        config(path="empty"),
        "datasets.pets.path: empty holds no images; put those of each class into a folder of its "
        "name",
    ),
    "a folder of other files": (
        config(path="words"),
        "datasets.pets.path: words holds no images: 1 file of other kinds (a.txt); JPEG, PNG, "
        "WebP, BMP, GIF and TIFF are read",
    ),
    "no folders of classes": (
        config(path="flat"),
        "datasets.pets.path: flat holds 2 images and no folders of classes: put the images of each "
        "class into a folder of its name, or name the labels in a table (`kind: table`)",
    ),
    "one class": (
        config(path="one"),
        "datasets.pets: has one class, 'cat'; two or more are needed",
    ),
    "a test part alone": (
        config(path="only"),
        "datasets.pets: has one class, 'test'; two or more are needed; without a part train beside "
        "it, test is no part",
    ),
    "an empty split": (
        config(path="untested"),
        "datasets.pets.path: the part untested/test holds no images in folders of classes; put "
        "some there, or remove it",
    ),
    "a class that is tested on and not trained on": (
        config(path="untrained"),
        "datasets.pets: 1 class has no training images: eel (eel: 1 in test); add some, or list "
        "the other classes under `classes`",
    ),
    "nothing to test on": (
        config(path="single"),
        "datasets.pets.test: leaves no image of any class to test on; the largest has 1: raise the "
        "share, or add images",
    ),
    "a share of what is split": (
        config(path="split", test=0.5),
        "datasets.pets.test: the data have a test part of their own; leave the key out",
    ),
    "a share above all": (config(test=1.5), "datasets.pets.test: must be below 1, not 1.5"),
    "a class that is not there": (
        config(classes=["cat", "dgo"]),
        "datasets.pets.classes: there is no class 'dgo' among the data; did you mean 'dog'? there "
        "are cat, dog",
    ),
    "a class twice": (
        config(classes=["cat", "dog", "cat"]),
        "datasets.pets.classes: cat stands twice; name each class once",
    ),
    "a kind that is none": (
        config(kind="foldr"),
        f"datasets.pets: unknown kind 'foldr'; did you mean 'folder'? known are {KNOWN}",
    ),
    "too few pixels": (config(size=4), "datasets.pets.size: must be 8 or more, not 4"),
    "limits in the wrong order": (
        config(range=[255, 0]),
        "datasets.pets.range: must be two numbers of which the second is above the first, not "
        "[255, 0]",
    ),
    "more images per class than there are": (
        config(grid={"ipc": 9}),
        "grid: ipc 9 is above the smallest class of pets: 4 training images, 0 of them held out "
        "for validation; at most 4 is possible; init noise needs none of them",
    ),
    "a dataset that is misspelt": (
        config(grid={"dataset": "pet"}),
        "grid[0]: unknown dataset 'pet'; did you mean 'pets'? known are CIFAR10, CIFAR100, digits, "
        "FashionMNIST, MNIST, SVHN, pets",
    ),
    "no such table": (
        table("goood.csv"),
        "datasets.pets.path: there is no file goood.csv (looked for {here}/goood.csv)",
    ),
    "an empty table": (
        table("bare.csv"),
        "datasets.pets.path: bare.csv is empty; it needs a head, such as file,label, and a line "
        "for each image",
    ),
    "a table of a head": (
        table("head.csv"),
        "datasets.pets.path: head.csv names no image; it needs a line for each below its head",
    ),
    "a table in another encoding": (
        table("latin.csv"),
        "datasets.pets.path: latin.csv is not text in UTF-8 (byte 12); save it as CSV in UTF-8",
    ),
    "no column of labels": (
        table("strange.csv"),
        "datasets.pets.label: strange.csv has no column 'label' or of a like name; the columns are "
        "file, kind: say which by `label`",
    ),
    "a column that is misspelt": (
        table(label="lable"),
        "datasets.pets.label: good.csv has no column 'lable'; did you mean 'label'? the columns "
        "are file, label",
    ),
    "a line that is too short": (
        table("ragged.csv"),
        "datasets.pets.path: ragged.csv: line 3 has 1 field, the head 2; a line needs as many, and "
        "quotes around a field with the separator",
    ),
    "an image of two labels": (
        table("torn.csv"),
        "datasets.pets.path: torn.csv: line 3: pets/cat/0.png has two labels, 'cat' and 'dog'; one "
        "is needed",
    ),
    "a split that is none": (
        table("fold.csv"),
        "datasets.pets.path: fold.csv: line 2: split is 'holdout'; train, val and test are known",
    ),
    "a file of the table that is not there": (
        table("gone.csv"),
        "datasets.pets: 1 file of 11 is not in .: pets/cow/0.png; add them, or leave such rows "
        "out by `on_error: skip`",
    ),
    "labels beyond the classes": (
        arrays("beyond.npz", names=["cat", "dog"]),
        "datasets.pets.names: has 2, for labels from 4 to 5; name a class for each number from 0 "
        "on",
    ),
    "labels that are shares": (
        arrays("soft.npz"),
        "datasets.pets.path: soft.npz: labels is 0.5 for image 0; labels are whole numbers or "
        "texts",
    ),
    "fewer labels than images": (
        arrays("fewer.npz"),
        "datasets.pets.path: fewer.npz: images holds 6 images, and labels 5 labels; each image "
        "needs one",
    ),
    "images as rows": (
        arrays("rows.npz"),
        "datasets.pets.path: rows.npz: images has the shape (6, 64); images, height, width and, "
        "where there is more than one, channels are needed",
    ),
    "an array of another name": (
        arrays("named.npz"),
        "datasets.pets.path: named.npz has no array 'images' or of a like name; there are pixels, "
        "labels: say which by `keys: {{images: …}}`",
    ),
    "an empty split of arrays": (
        arrays("medmnist.npz"),
        "datasets.pets.path: medmnist.npz: test_images holds no images; leave test_images and "
        "test_labels out",
    ),
    "arrays of few pixels": (
        arrays("small.npz"),
        "datasets.pets.path: images of 4 x 8 pixels; say by `size` what they shall become, 8 to "
        "1024",
    ),
    "arrays that were cut short": (
        arrays("cut.npz"),
        "datasets.pets.path: cut.npz: cannot be read: File is not a zip file; was it copied to its "
        "end?",
    ),
    "arrays that are a picture": (
        arrays("pets/cat/0.png"),
        "datasets.pets.path: pets/cat/0.png: arrays come as .npz, .safetensors, or a folder of "
        ".npy files",
    ),
    "pictures for Parquet": (
        config("hub"),
        "datasets.pets.path: pets holds no .parquet file; pictures in folders are `kind: folder`",
    ),
    "a factory's file that is not there": (
        mine("nts.py:make"),
        "networks.mine.factory: nts.py: there is no such file",
    ),
    "a factory that is not there": (
        mine("nets.py:mak"),
        "networks.mine.factory: {here}/nets.py binds no 'mak'; did you mean 'make'? it binds make",
    ),
    "a factory that is no Python": (
        mine("broken.py:make"),
        "networks.mine.factory: {here}/broken.py: line 1: is not Python: invalid syntax",
    ),
    "a file without a factory": (
        mine("nets.py"),
        "networks.mine.factory: must be a module or a file and what makes the network in it, such "
        "as mypackage.nets:make, nets.py:make or torchvision:resnet18, not 'nets.py'",
    ),
    "a network of larger images": (
        config(size=16, judged=["VGG11"]),
        "evaluate.networks: VGG11 needs images of at least 28 pixels a side; pets has 16",
    ),
    "a network too deep for the images": (
        config(networks={"ConvNet": {"depth": 6}}),
        "network: ConvNet with depth 6 needs images of at least 64 pixels a side; depth 5 is the "
        "most for these; pets has 32",
    ),
    "an option of a network that has none": (
        config(networks={"AlexNet": {"width": 64}}),
        "networks.AlexNet: unknown option 'width'; there are none",
    ),
    "a network that is misspelt": (
        config(judged=["ResNet"]),
        "evaluate.networks: unknown network 'ResNet'; did you mean 'ResNet18'? known are AlexNet, "
        "ConvNet, LeNet, MLP, ResNet18, ResNet18BN, VGG11",
    ),
}


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_they_are_thirty_and_more():
    assert len(REFUSED) >= 30


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_is_refused_in_one_line(name, here):
    before = everything(here)
    given, line = REFUSED[name]
    with pytest.raises(UserError) as caught:
        load.study(given)
    assert str(caught.value) == f"config: {line.format(here=here)}"
    assert everything(here) == before


# Words of a command, and its line.
MISUSED = {
    "distil a wrong path": (
        ["distil", "pats", "-o", "a.safetensors"],
        "pats: there is no such folder or file, nor a built-in dataset; known are CIFAR10, "
        "CIFAR100, digits, FashionMNIST, MNIST, SVHN",
    ),
    "distil one class": (
        ["distil", "one", "-o", "a.safetensors"],
        "one: has one class, 'cat'; two or more are needed",
    ),
    "distil another file": (
        ["distil", "nets.py", "-o", "a.safetensors"],
        "nets.py: is no folder of pictures, nor one of .npz, .safetensors, .csv, .tsv, .parquet",
    ),
    "distil into another kind of file": (
        ["distil", "pets", "-o", "a.pt"],
        "--output: a.pt: must end in .safetensors",
    ),
    "distil into nowhere": (
        ["distil", "pets", "-o", "no/a.safetensors"],
        "--output: the folder no is not there, or not writable",
    ),
    "evaluate what is not there": (
        ["evaluate", "a.safetensors", "--on", "pets"],
        "a.safetensors: is missing; give the path of a file that exists",
    ),
    "evaluate into nowhere": (
        ["evaluate", "a.safetensors", "--on", "pets", "--csv", "no/a.csv"],
        "--csv: the folder no is not there, or not writable",
    ),
    "a study of a wrong path": (
        ["init", "new", "--images", "pats"],
        "there is no folder pats (looked for {here}/pats)",
    ),
    "a study over another": (
        ["init", "pets"],
        "init: pets is there already; name a new or an empty folder",
    ),
    "run what is no study": (
        ["run", "pats"],
        "run: {here} has no config.yaml, nor a folder pats; `distillery init FOLDER` makes a study",
    ),
    "report on what is not there": (
        ["report", "pats"],
        "pats: is no folder; give the results folder of a study, such as results/quickstart",
    ),
}


@pytest.mark.parametrize("name", MISUSED)
def test_a_command_is_refused_in_one_line(name, here, capsys):
    before = everything(here)
    words, line = MISUSED[name]
    assert shell.main(words) == 1
    assert capsys.readouterr().err == f"error: {line.format(here=here)}\n"
    assert everything(here) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "line"),
    [
        REFUSED["an empty split"],
        pytest.param(
            config(judged=["torchvision:vit_b_16"]),
            "on pets: network torchvision_vit_b_16 fails on images of 3x32x32: AssertionError: "
            "Wrong image height! Expected 224 but got 32!",
            marks=pytest.mark.long,
        ),
    ],
    ids=["an empty split", "a network that needs 224 pixels"],
)
def test_a_run_is_refused_in_one_line_before_any_job(given, line, made, tmp_path, starter):
    block = given["datasets"]["pets"]
    (tmp_path / block["path"]).symlink_to(made / block["path"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    before = everything(tmp_path)
    done = subprocess.run(
        [starter.interpreter, "-m", "distillery", "run", "--nocolor"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(places.ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not Path(tmp_path / "results").exists()
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert errors == [f"error: config: {line.format(here=tmp_path)}"]
    assert [path for path in everything(tmp_path) if not path.startswith(".")] == before
