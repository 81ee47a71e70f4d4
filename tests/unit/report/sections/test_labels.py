"""What the page says of images and of their labels."""

import pandas as pd
import pytest

from distillery.store.metrics import COLUMNS
from tests.unit.report.made import built, rows_of, section
from tests.unit.report.sections.test_verdict import TEACHER, jobs, under

LEVELS = {("dc", "real"): 0.6, ("random", "real"): 0.4}


def rows(labels="soft"):
    made = []
    for (method, init), level in LEVELS.items():
        accuracies = {seed: [level - 0.01, level + 0.01] for seed in (0, 1)}
        made += [{**row, "labels": labels} for row in rows_of(method, init, accuracies)]
    return made


@pytest.mark.slow
def test_every_set_stands_under_every_kind_of_labels_with_its_count(study, tmp_path):
    own = rows()
    more = {"labels": ["own", "hard", "teacher"], "teacher": TEACHER}
    found, text = section(
        study,
        tmp_path,
        "labels",
        [
            *own,
            *under(own, "hard", {"dc": 0.5, "random": 0.3}),
            *under(own, "teacher", {"dc": 0.45, "random": 0.55})[:4],
        ],
        costs=jobs(LEVELS, (0, 1), dc=more, random=more),
    )
    head, dc, random = found
    assert head.endswith("hard labels soft labels a teacher’s labels n sets × networks")
    assert dc == "DC, real images 1 50.0 ± 0.0 60.0 ± 1.0 45.0 ± 0.0 2 × 2"
    assert random == "Random 1 30.0 ± 0.0 40.0 ± 1.0 – 2 × 2"
    assert "teacher default, last epoch, temperature 20" in text


def test_a_study_of_one_kind_of_labels_has_no_such_table(study, tmp_path):
    metrics = pd.DataFrame(rows()).reindex(columns=list(COLUMNS))
    page = built(study, tmp_path / "r.html", metrics=metrics, sets=[], evolutions=[], costs=[])
    assert 'id="labels"' not in page and 'href="#labels"' not in page


@pytest.mark.slow
def test_other_labels_are_no_part_of_any_other_figure(study, tmp_path):
    own = rows()
    other = under(own, "hard", {"dc": 0.1, "random": 0.9})
    for name in ("accuracy", "pairs"):
        pages = [
            section(study, tmp_path, name, made, costs=jobs(LEVELS, (0, 1)))
            for made in (own, [*own, *other])
        ]
        assert pages[0] == pages[1]
