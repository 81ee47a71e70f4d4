"""The commands `info` and `export`."""

import math
import re
import subprocess

import pytest
import torch
import yaml

import distillery
from distillery import __main__ as commands
from distillery import plugins
from distillery.sets.released import read as released
from distillery.store import artefact
from tests.unit.sets.toys import ROOT, made


@pytest.mark.slow
def test_the_command_line_in_a_process_of_its_own(tmp_path, starter):
    made().save(tmp_path / "set.safetensors")
    run = [starter.interpreter, "-m", "distillery"]
    done = subprocess.run(
        [*run, "export", str(tmp_path / "set.safetensors"), str(tmp_path / "out"), "--as", "hub"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / 'out'}: FashionMNIST distilled into 2 images")
    assert torch.equal(
        distillery.load(tmp_path / "out/synthetic.safetensors").images, made().images
    )
    done = subprocess.run(
        [*run, "info", str(tmp_path / "none")], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: {tmp_path / 'none'}: is missing; give the path of a file that exists\n"
    )


def test_info_says_what_a_set_is(tmp_path, capsys):
    made().save(tmp_path / "set.safetensors")
    assert commands.main(["info", str(tmp_path / "set.safetensors")]) == 0
    lines = dict(re.split("  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["set"] == "FashionMNIST distilled into 2 images per class by MTT, seed 1"
    assert lines["images"].startswith(
        "(6, 1, 16, 16) float32, -0.424 to 2.82; normalised as (pixel / 255 - mean) / std with "
        "mean 0.1307"
    )
    assert lines["labels"] == "one of 3 classes each; 2 images per class"
    assert (
        lines["step size"] == "0.03"
        and "epochs 20; learning rate 0.03 (learned with the set)" in lines["published protocol"]
    )
    assert (
        lines["source"]
        == "FashionMNIST, https://github.com/zalandoresearch/fashion-mnist, licence: MIT"
    )
    assert lines["digest"] == artefact.digest(made().tensors())


def test_info_says_what_a_file_of_others_holds_and_which_entry_takes_it(tmp_path, capsys):
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save(images, tmp_path / "images_best.pt")
    torch.save(torch.eye(10).repeat(2, 1) * 9 - 0.9, tmp_path / "labels_best.pt")
    files = [str(tmp_path / name) for name in ("images_best.pt", "labels_best.pt")]
    assert commands.main(["info", files[0], "--labels", files[1]]) == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["images"] == "(20, 1, 8, 8) float32"
    assert rows["looks like"] == "pixels that were not normalised"
    mean, std = float(images.mean()), float(images.std(correction=0))
    spread = f"its mean is {mean:.2f} and its standard deviation {std:.2f} ("
    assert rows["spread"].startswith(spread)
    assert "no probabilities" in rows["labels"] and "they look like logits" in rows["labels"]
    entry = yaml.safe_load(rows["entry"])
    assert entry == {
        **{"name": "released", "dataset": "digits", "ipc": 2, "file": files[0]},
        **{"labels": files[1], "normalization": "pixels", "labels_are": "logits"},
    }
    spec = plugins.datasets()["digits"].spec
    assert released.check(entry, spec, "here") == []  # the entry that it names is taken
    (tmp_path / "page.pt").write_text("<html>")
    assert commands.main(["info", str(tmp_path / "page.pt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a web page, which is not read" in line


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.tensor(0.013289), {"step size": "0.013289", "entry": "step_size: "}),
        (torch.arange(10), {"labels": "(10) int64, 0 to 9", "entry": "labels: "}),
        (torch.eye(10), {"labels": "probabilities of 10 classes", "entry": "labels: "}),
        (torch.eye(10) * 9 - 0.9, {"labels": "logits", "entry": "labels_are: logits"}),
    ],
    ids=["step size", "classes", "probabilities", "logits"],
)
def test_info_takes_what_stands_beside_images_for_no_images(tmp_path, capsys, value, told):
    torch.save(value, tmp_path / "file.pt")
    assert commands.main(["info", str(tmp_path / "file.pt")]) == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["images"] == "none in the file" and "looks like" not in rows
    assert all(text in rows[name] for name, text in told.items()), rows


def test_info_reads_flat_rows_as_images_and_refuses_what_is_not_finite(tmp_path, capsys):
    torch.save(torch.randn(10, 784), tmp_path / "flat.pt")
    assert commands.main(["info", str(tmp_path / "flat.pt")]) == 0
    assert "(10, 784) float32" in capsys.readouterr().out
    torch.save(torch.full((10, 1, 8, 8), math.nan), tmp_path / "nan.pt")
    assert commands.main(["info", str(tmp_path / "nan.pt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "NaN" in line and "finite float32 is needed" in line


@pytest.mark.slow
def test_export_with_figures_and_its_errors(tmp_path, measured, capsys):
    made().save(tmp_path / "set.safetensors")
    arguments = [
        "export",
        str(tmp_path / "set.safetensors"),
        str(tmp_path / "out"),
        "--as",
        "images",
        "--metrics",
        str(measured),
    ]
    assert commands.main(arguments) == 0
    assert "60.00 ± 10.00" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert commands.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "is not empty" in line
    assert (
        commands.main([*arguments[:2], str(tmp_path / "set.safetensors/below"), "--as", "hub"]) == 1
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
