"""`distillery distil` and `distillery evaluate`: from a folder to a set, and what it is worth."""

import csv
import re
import shlex
import shutil

import numpy as np
import pytest

import distillery
from distillery import __main__ as shell
from distillery.datasets import _fetch
from distillery.errors import UserError
from tests.unit.commands.drawn import CLASSES, draw

QUICK = ["--size", "16", "--threads", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of pictures, and a set that was chosen from it."""
    folder = tmp_path_factory.mktemp("made")
    pictures = draw(folder / "my pictures")
    words = [str(pictures), "-o", str(folder / "set.safetensors"), "--method", "random"]
    assert shell.main(["distil", *words, "--ipc", "4", *QUICK]) == 0
    return folder


def test_a_set_is_of_the_pictures_that_are_not_tested_on(made):
    chosen = distillery.load(made / "set.safetensors")
    assert chosen.images.shape == (12, 3, 16, 16) and chosen.header["dataset"] == "my_pictures"
    assert chosen.header["classes"] == sorted(CLASSES)
    assert chosen.header["method"] == "random" and chosen.header["ipc"] == 4


def test_settings_and_the_network_are_given_by_name(made, capsys):
    output = made / "dm.safetensors"
    words = ["--iterations", "2", "--set", "lr_images=2.5", "--set", "augment=none"]
    more = ["--ipc", "1", "--init", "noise", "--name", "squares", "--seed", "3", *QUICK]
    assert shell.main(["distil", str(made / "my pictures"), "-o", str(output), *words, *more]) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf"{output}: squares distilled into 1 image per class by DM, from 24 images in \d+ s",
        said[0],
    )
    assert said[1].startswith("What it is worth on the other 6: distillery evaluate ")
    header = distillery.load(output).header
    assert header["settings"]["lr_images"] == 2.5 and header["settings"]["augment"] == "none"
    assert header["settings"]["iterations"] == 2 and header["seed"] == 3


def test_a_built_in_dataset_is_named(tmp_path):
    output = tmp_path / "digits.safetensors"
    words = ["distil", "digits", "-o", str(output), "--method", "random", "--ipc", "1"]
    words += ["--source", "local"]  # embedded: it needs none
    assert shell.main(words) == 0
    header = distillery.load(output).header
    assert header["dataset"] == "digits" and header["licence"] == "CC BY 4.0"


def test_a_built_in_dataset_comes_from_the_sources_that_are_named(tmp_path, monkeypatch, capsys):
    asked = []

    def fetch(name, **given):
        asked.append((name, list(given["sources"])))
        raise UserError("not today")

    monkeypatch.setattr(_fetch, "fetch", fetch)
    words = ["distil", "MNIST", "-o", str(tmp_path / "a.safetensors")]
    assert shell.main(words) == 1
    assert shell.main([*words, "--source", "registry", "--source", "local"]) == 1
    usual = ["local", "torchvision", "registry"]
    assert asked == [("MNIST", usual), ("MNIST", ["registry", "local"])]
    capsys.readouterr()


def test_arrays_are_read_as_they_are_or_brought_to_a_size(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (30, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(30) % 3)
    for more, shape in (([], (3, 1, 12, 12)), (["--size", "8", "--channels", "3"], (3, 3, 8, 8))):
        words = ["distil", str(tmp_path / "mine.npz"), "-o", str(tmp_path / "set.safetensors")]
        assert shell.main([*words, "--method", "random", "--ipc", "1", "--force", *more]) == 0
        assert distillery.load(tmp_path / "set.safetensors").images.shape == shape
    words = ["evaluate", str(tmp_path / "set.safetensors"), "--on", str(tmp_path / "mine.npz")]
    assert shell.main([*words, "--set", "epochs=1", "--models", "1"]) == 0


def test_a_table_names_pictures_and_their_labels(made, tmp_path):
    lines = ["file,label"]
    for name in CLASSES:
        lines += [f"{name}/{number}.png,{name}" for number in range(10)]
    table = made / "my pictures/table.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    words = ["distil", str(table), "-o", str(tmp_path / "set.safetensors"), "--method", "random"]
    assert shell.main([*words, "--ipc", "1"]) == 0
    table.unlink()
    chosen = distillery.load(tmp_path / "set.safetensors")
    assert chosen.images.shape == (3, 3, 32, 32)
    assert chosen.header["classes"] == sorted(CLASSES) and chosen.header["dataset"] == "table"


def test_what_a_table_calls_its_columns_is_said_as_a_config_does(made, tmp_path, capsys):
    """As medical sets come: names without their endings, and diagnoses in short."""
    lines = ["image_id,view,dx"]
    lines += [f"{name}/{number},front,{name}" for name in CLASSES[:2] for number in range(10)]
    table, chosen = tmp_path / "cases.csv", str(tmp_path / "set.safetensors")
    table.write_text("\n".join(lines), encoding="utf-8")
    first, second = CLASSES[:2]
    said = [f"images={made / 'my pictures'}", "file=image_id", "ending=.png", "label=dx"]
    data = [word for pair in said for word in ("--data", pair)]
    data += ["--data", f"classes={{{second}: mel, {first}: nv}}"]
    words = ["--method", "random", "--ipc", "1", "-o", chosen, *QUICK]
    assert shell.main(["distil", str(table), *data, "--test", "0.3", *words]) == 0
    assert distillery.load(chosen).header["classes"] == ["mel", "nv"]
    # The command that it ends with reads the same images.
    again = shlex.split(capsys.readouterr().out.partition(" 6: distillery ")[2])
    assert again == ["evaluate", chosen, "--on", str(table), *data, "--test", "0.3"]
    quick = ["--networks", "MLP", "--models", "1", "--set", "epochs=1", "--threads", "1"]
    assert shell.main([*again, *quick]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("; 6 test images")


def test_parquet_of_a_hub_is_distilled_and_tested_on(made, tmp_path, capsys, monkeypatch):
    pytest.importorskip("pyarrow")
    given, chosen = tmp_path / "data/upload", str(tmp_path / "chosen.safetensors")
    assert shell.main(["export", str(made / "set.safetensors"), str(given), "--as", "hub"]) == 0
    (file,) = given.glob("*/*.parquet")
    words = ["--method", "random", "--ipc", "1", "--size", "16", "--force", "-o", chosen]
    # As a folder, as a file, and as the client of a hub has it after a download.
    home = tmp_path / "cache/hub/datasets--mine--squares"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text("0a1b", encoding="utf-8")
    shutil.copytree(given, home / "snapshots/0a1b")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    for place, name in ((given, "upload"), (file, None), ("mine/squares", "squares")):
        assert shell.main(["distil", str(place), *words]) == 0
        header = distillery.load(chosen).header
        assert header["classes"] == sorted(CLASSES) and name in (None, header["dataset"])
    more = ["--networks", "MLP", "--models", "1", "--set", "epochs=1", "--threads", "1"]
    capsys.readouterr()
    assert shell.main(["evaluate", chosen, "--on", str(given), *more]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 image per class of squares, chosen by Random; 3 test images"
    assert shell.main(["distil", "mine/circles", *words]) == 1
    assert "mine/circles: there is no such folder or file" in capsys.readouterr().err


def test_networks_are_tested_on_the_pictures_that_were_left_out(made, tmp_path, capsys):
    words = ["evaluate", str(made / "set.safetensors"), "--on", str(made / "my pictures")]
    more = ["--networks", "MLP", "LeNet", "--models", "2", "--set", "epochs=1", "--threads", "1"]
    table = tmp_path / "table.csv"
    assert shell.main([*words, *more, "--csv", str(table)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "4 images per class of my_pictures, chosen by Random; 6 test images"
    for line, name in zip(said[1:], ("MLP", "LeNet"), strict=True):
        number = r"\d+\.\d"
        assert re.fullmatch(
            rf"{name}: accuracy {number} % \(2 networks, standard deviation {number}\)", line
        )
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == ["MLP", "MLP", "LeNet", "LeNet"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "-o", "a.safetensors"], "none: there is no such folder or file, nor a"),
        (["Digits", "-o", "a.safetensors"], "did you mean 'digits'"),
        (["{pictures}", "-o", "a.pt"], "--output: a.pt: must end in .safetensors"),
        (["{pictures}", "-o", "no/a.safetensors"], "--output: the folder no is not there"),
        (["{pictures}", "-o", "{set}"], "is there already; --force writes over it"),
        (["{pictures}", "-o", "a.safetensors", "--set", "epochs"], "--set: must be NAME=VALUE"),
        (["{pictures}", "-o", "a.safetensors", "--set", "a=1", "--set", "a=2"], "a stands twice"),
        (["{pictures}", "-o", "a.safetensors", "--set", "a=["], "--set: a: cannot be read"),
        (["{pictures}", "-o", "a.safetensors", "--set", "a=1"], "distil: dm: unknown setting 'a'"),
        (["{pictures}", "-o", "a.safetensors", "--data", "lable=x"], "unknown key 'lable'"),
        (["{pictures}", "-o", "a.safetensors", "--data", "size=8"], "size: is said by --size"),
        (
            ["{pictures}", "-o", "a.safetensors", "--data", "kind=table"],
            "is what the command is",
        ),
        (
            ["{pictures}", "-o", "a.safetensors", "--data", "seed"],
            "--data: must be KEY=VALUE",
        ),
        (["digits", "-o", "a.safetensors", "--data", "seed=1"], "--data: digits is built in; only"),
        (
            ["{pictures}", "-o", "a.safetensors", "--source", "local"],
            "only they have sources",
        ),
        (["{pictures}", "-o", "a.safetensors", "--method", "dmm"], "distil: unknown method 'dmm'"),
        (["{pictures}", "-o", "a.safetensors", "--ipc", "9"], "ipc 9 is above the smallest class"),
        (["{pictures}", "-o", "a.safetensors", "--size", "4"], "size"),
        (["{pictures}", "-o", "a.safetensors", "--test", "2"], "test"),
        (["{pictures}/red/0.png", "-o", "a.safetensors"], "is no folder of pictures, nor one of"),
        (["{pictures}/red", "-o", "a.safetensors"], "10 images and no folders of classes"),
        (["{pictures}", "-o", "a.safetensors", "--experts", "2"], "dm learns from no experts"),
        (["{pictures}", "-o", "a.safetensors", "--device=x", "--ipc=1"], "device: 'x' cannot"),
    ],
)
def test_what_cannot_be_distilled_is_one_line_and_leaves_no_file(
    made, words, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    names = {"pictures": made / "my pictures", "set": made / "set.safetensors"}
    before = names["set"].read_bytes()
    assert shell.main(["distil", *(word.format(**names) for word in words)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0] and "config" not in told[0]
    assert not list(tmp_path.iterdir()) and names["set"].read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none", "--on", "{pictures}"], "is missing"),
        (["{set}", "--on", "none"], "none: there is no such folder"),
        (["{set}", "--on", "digits"], "digits: its 10 classes are not the 3 of the set"),
        (["{set}", "--on", "{pictures}", "--networks", "MPL"], "unknown network 'MPL'"),
        (["{set}", "--on", "{pictures}", "--set", "epoch=1"], "unknown key 'epoch'"),
        (["{set}", "--on", "{pictures}", "--models", "0"], "models: must be 1 or more"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(made, words, said, capsys):
    names = {"pictures": made / "my pictures", "set": made / "set.safetensors"}
    assert shell.main(["evaluate", *(word.format(**names) for word in words)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0] and "config" not in told[0]
