"""What the grid and the imported sets of a config expand to."""

from distillery.study.cells import Cell
from tests.unit.study.small import refusal, study


def test_the_grid_is_the_union_of_its_blocks_and_a_block_the_product_of_its_lists():
    blocks = [
        {
            "dataset": ["MNIST", "digits"],
            "method": ["dc", "mtt"],
            "init": ["real", "noise"],
            "ipc": [1, 10],
            "seed": [0, 1],
        },
        {"dataset": "MNIST", "method": "random", "init": "real", "ipc": 10},
        {"dataset": "MNIST", "method": "dc", "init": "real", "ipc": [10, 50]},
    ]
    cells = study(grid=blocks).cells
    assert (
        len(cells) == len(set(cells)) == 32 + 1 + 1
    )  # (MNIST, dc, real, 10, 0) stands in two blocks
    assert cells[0] == Cell("MNIST", "dc", "real", 1, 0) and cells[-1] == Cell(
        "MNIST", "dc", "real", 50, 0
    )
    assert study(grid=blocks).dataset_names == ["MNIST", "digits"]


def test_released_sets_are_cells_one_an_experiment(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {
        "name": "DC_released",
        "dataset": "MNIST",
        "file": str(tmp_path / "res.pt"),
        "ipc": 10,
        "sets": 3,
    }
    found = study(imported=[released], continual__datasets=["digits"])
    assert [cell for cell in found.cells if found.is_imported(cell.method)] == [
        Cell("MNIST", "DC_released", "imported", 10, n) for n in range(3)
    ]
    assert (
        found.dataset_names == ["digits", "MNIST"]
        and found.evaluation(found.cells[-1], "ConvNet")["selection"] is None
    )


def test_a_study_of_released_sets_alone_needs_no_block(tmp_path):
    (tmp_path / "res.pt").touch()
    released = {"name": "theirs", "dataset": "digits", "file": str(tmp_path / "res.pt"), "ipc": 1}
    found = study(grid=[], imported=[released], evaluate__robust__models=2)
    assert (
        found.cells == [Cell("digits", "theirs", "imported", 1, 0)]
        and found.robust(found.cells[0])["robust"]["models"] == 2
    )
    assert "grid" in refusal(grid=[]) and "`imported` no set" in refusal(grid=[])
