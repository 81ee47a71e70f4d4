"""The accuracies that were measured on a set."""

import pytest

from distillery.errors import UserError
from distillery.sets import folder
from tests.unit.sets.toys import made, recorded


def test_the_figures_are_those_computed_by_hand(tmp_path, measured):
    folder.hub(made(), tmp_path / "out", [measured])
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    # 50 and 70; 50, 70, 90 and 50, whose mean is 65 and whose deviations are 15, 5, 25 and 15: the
    # root of 275 is 16.58.
    assert "| network | this set | all seeds | full training set |" in text
    assert (
        "| ConvNet | 60.00 ± 10.00 (2 networks) [a] | 65.00 ± 16.58 (4 networks, 2 sets) [a] "
        "| 80.00 ± 5.00 (2 networks) [a] |" in text
    )
    assert "LeNet" not in text
    assert "| MLP | 25.00 (1 network) [a] | 25.00 (1 network, 1 set) [a] | not measured |" in text
    assert (
        "- [a]: not recorded: the costs.json of the study does not stand beside the metrics" in text
    )


def test_figures_of_another_set_of_the_same_names_are_refused(tmp_path, measured):
    recorded(tmp_path, inputs={"synthetic": ["0" * 64]})
    with pytest.raises(
        UserError, match="on another set of the same names, that of digest 000000000000"
    ) as told:
        folder.hub(made(), tmp_path / "out", [measured])
    assert "\n" not in str(told.value) and not (tmp_path / "out").exists()


def test_one_set_alone_has_no_column_of_all_seeds(tmp_path, measured):
    lines = measured.read_text(encoding="utf-8").splitlines(keepends=True)
    measured.write_text(
        "".join(line for line in lines if ",2,2,ConvNet" not in line and ",whole," not in line),
        encoding="utf-8",
    )
    folder.image_folder(made(), tmp_path / "out", [measured])
    text = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert (
        "| network | this set |\n" in text
        and "| ConvNet | 60.00 ± 10.00 (2 networks) [a] |\n" in text
        and "all seeds" not in text
    )


def test_metrics_of_another_set_are_refused(tmp_path, measured):
    with pytest.raises(
        UserError,
        match=r"no test accuracy of this set "
        r"\(dataset FashionMNIST, method mtt, init noise, ipc 2, seed 7\)",
    ):
        folder.hub(made(seed=7), tmp_path / "out", [measured])
    assert not (tmp_path / "out").exists()
