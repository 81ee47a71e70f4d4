"""The table of README, made of the records."""

import pytest

from distillery.errors import UserError
from distillery.published import readme
from distillery.published.recording import record
from tests.unit.published.studies import full, with_less_work

AS = "as published"


def test_it_has_the_reproductions_first_and_no_real_images(study, tmp_path):
    later = with_less_work(tmp_path)
    cells = full(study).cells + record(later.folder, "later").cells
    rows = [
        [text.strip() for text in line.split("|")[1:-1]]
        for line in readme.table(cells).splitlines()[2:]
    ]
    assert [row[:4] for row in rows] == [
        ["MNIST, dc from real, 10 per class", "**91.5 ± 0.8 (2 × 20)**", "97.4 ± 0.2", AS],
        ["CIFAR10, mtt from real, 10 per class", "40.5 ± 0.5 (1 × 2)", "65.3 ± 0.7", "smaller"],
    ]
    assert rows[0][4:] == ["110 s a set, 50 s evaluation", "A processor, 2 threads"]


def test_it_is_written_between_its_marks_again_and_again(study):
    cells = full(study).cells
    once = readme.render(f"before\n{readme.START}\nold\n{readme.END}\nafter\n", cells)
    assert once.startswith(f"before\n{readme.START}\n\n| distilled set |")
    assert once.endswith(f"|\n\n{readme.END}\nafter\n") and "old" not in once
    assert readme.render(once, cells) == once
    with pytest.raises(UserError, match="not both there"):
        readme.render(f"{readme.START}\n", cells)
