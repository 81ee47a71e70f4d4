"""`distillery init`: a folder for a study, checked before it is written."""

import filecmp

import pytest
import yaml

from distillery import __main__ as shell
from distillery import places
from distillery.study import load
from tests.unit.commands.drawn import CLASSES, draw


def study_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    load.check("config.yaml")
    with open("config.yaml", encoding="utf-8") as file:
        return load.study(yaml.safe_load(file))


def test_a_new_study_is_of_the_digits_and_says_where_one_s_own_images_go(
    tmp_path, monkeypatch, capsys
):
    assert shell.main(["init", str(tmp_path / "a study")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("a study of digits, 1 and 10 images per class")
    assert said[1] == f"Run it: cd '{tmp_path / 'a study'}' && distillery run"
    study = study_in(tmp_path / "a study", monkeypatch)
    assert study.dataset_names == ["digits"] and study.config["study"] == "a study"
    assert {cell.method for cell in study.cells} == {"dm", "random", "herding"}
    files = sorted(
        path.relative_to(tmp_path / "a study").as_posix()
        for path in (tmp_path / "a study").rglob("*")
        if path.is_file()
    )
    assert files == ["README.md", "config.yaml", "profiles/default/config.yaml"]
    profile = "profiles/default/config.yaml"
    assert filecmp.cmp(profile, places.ROOT / profile, shallow=False)
    # What is commented there is what a user writes.
    text = (tmp_path / "a study/config.yaml").read_text(encoding="utf-8")
    draw(tmp_path / "a study/data")
    shown = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    block = "\n".join(shown[shown.index("datasets:") : shown.index("datasets:") + 6])
    (given,) = yaml.safe_load(block)["datasets"].values()
    assert (given["kind"], given["path"]) == ("folder", "data")


@pytest.mark.slow
@pytest.mark.parametrize("absolute", [True, False])
def test_a_study_of_pictures_finds_them_from_its_folder(tmp_path, monkeypatch, capsys, absolute):
    draw(tmp_path / "my pictures", each=8)
    monkeypatch.chdir(tmp_path)
    pictures = str(tmp_path / "my pictures") if absolute else "my pictures"
    words = ["--images", pictures, "--size", "12x16", "--channels", "1", "--title", 'Of "squares"']
    more = ["--test", "0.25", "--fit", "pad", "--on-error", "skip"]
    assert shell.main(["init", "deep/study", *words, *more]) == 0
    assert capsys.readouterr().out.startswith(
        "deep/study/config.yaml: a study of my_pictures, 1 image per class, for its smallest class "
        "has 6 to start from\n"
    )
    study = study_in(tmp_path / "deep/study", monkeypatch)
    assert study.dataset_names == ["my_pictures"] and study.config["study"] == 'Of "squares"'
    own = study.own["my_pictures"]
    assert tuple(own.settings["size"]) == (12, 16) and own.settings["channels"] == 1
    assert own.settings["fit"] == "pad" and own.settings["on_error"] == "skip"
    assert own.settings["test"] == 0.25
    # Ten of each class are not there.
    assert {cell.ipc for cell in study.cells} == {1}


def test_a_study_of_a_table_has_what_was_said_of_it(tmp_path, monkeypatch):
    draw(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    rows = [f"{name}/{number},{name}" for name in CLASSES[:2] for number in range(10)]
    (tmp_path / "cases.csv").write_text("\n".join(["id,dx", *rows]), encoding="utf-8")
    first, second = CLASSES[:2]
    data = ["images=pictures", "file=id", "ending=.png", "label=dx"]
    data += [f"classes={{{second}: 'no', {first}: 'é: 1'}}"]
    words = [word for pair in data for word in ("--data", pair)]
    assert shell.main(["init", "study", "--images", "cases.csv", *words]) == 0
    own = study_in(tmp_path / "study", monkeypatch).own["cases"]
    assert own.record.classes == ("no", "é: 1") and len(own.listing.files) == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["there"], "init: there is there already; name a new or an empty folder"),
        (["there/file"], "init: there/file is there already"),
        (["new", "--images", "none"], "there is no folder none"),
        (["new", "--images", "there"], "there holds no images"),
        (["new", "--images", "pictures/red"], "10 images and no folders of classes"),
        (["new", "--images", "pictures", "--size", "4"], "size"),
        (["new", "--images", "few"], "few: test: leaves no image of any class"),
    ],
)
def test_what_is_no_study_is_one_line_and_leaves_no_folder(
    words, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "pictures")
    draw(tmp_path / "few", each=1)
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("mine", encoding="utf-8")
    assert shell.main(["init", *words]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0] and "config" not in told[0]
    assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]
