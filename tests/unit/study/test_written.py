"""What a study leaves in its results folder when it is read."""

import os
from pathlib import Path

import pytest

from distillery.store.layout import Layout
from distillery.study import written
from distillery.study.jobs import Jobs
from tests.unit.study.small import study


@pytest.fixture
def jobs():
    return Jobs(study(), Layout("out"))


def test_what_a_study_leaves_is_written_again_only_where_it_is_not_what_stands_there(
    jobs, tmp_path
):
    here = Jobs(jobs.study, Layout(str(tmp_path / "out")))
    for write, path in (
        (written.write_asked, here.layout.asked),
        (written.write_study, here.layout.study),
    ):
        write(here)
        text = Path(path).read_bytes()
        os.utime(path, (1, 1))
        write(here)
        assert os.stat(path).st_mtime == 1
        Path(path).write_text("of another study", encoding="utf-8")
        write(here)
        assert Path(path).read_bytes() == text


def test_a_results_folder_that_cannot_be_written_to_is_left_alone(jobs, tmp_path):
    (tmp_path / "file").touch()
    here = Jobs(jobs.study, Layout(str(tmp_path / "file" / "out")))
    written.write_study(here)
    assert Path(written.write_asked(here)).read_text(encoding="utf-8") == f"{here.digest()}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
