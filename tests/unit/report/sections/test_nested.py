"""What the page says of the first images of a larger set."""

import pandas as pd

from distillery.store.metrics import COLUMNS
from tests.unit.report.made import built, rows_of, section


def of_size(ipc, level, **columns):
    accuracies = {seed: [level - 0.01, level + 0.01] for seed in (0, 1)}
    return [
        {**row, "ipc": ipc, "labels": "hard", **columns}
        for row in rows_of("dc", "real", accuracies)
    ]


def parts(first, level):
    return of_size(10, level, measure="accuracy_of_first", first=first)


def test_the_first_images_stand_beside_the_set_that_was_made_at_their_size(study, tmp_path):
    rows = [*of_size(10, 0.7), *of_size(1, 0.5), *parts(1, 0.42), *parts(5, 0.6)]
    found, _ = section(study, tmp_path, "nested", rows)
    assert found[1:] == [
        "DC, real images 10 1 42.0 ± 1.0 50.0 ± 1.0 −8.0 −8.0 to −8.0 hard labels "
        "4 pairs of networks, 2 sets",
        "DC, real images 10 5 60.0 ± 1.0 – – hard labels –",
    ]


def test_a_study_without_parts_has_no_such_table(study, tmp_path):
    metrics = pd.DataFrame(of_size(10, 0.7)).reindex(columns=list(COLUMNS))
    page = built(study, tmp_path / "r.html", metrics=metrics, sets=[], evolutions=[], costs=[])
    assert 'id="nested"' not in page and 'href="#nested"' not in page


def test_parts_are_no_part_of_any_other_figure(study, tmp_path):
    whole = of_size(10, 0.7)
    pages = [
        section(study, tmp_path, "accuracy", made) for made in (whole, [*whole, *parts(1, 0.1)])
    ]
    assert pages[0] == pages[1]
