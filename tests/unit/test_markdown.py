"""Texts stay in their cells."""

import pytest

from distillery import markdown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a | b", "a \\| b"),
        ("two\nlines  and\tspaces ", "two lines and spaces"),
    ],
)
def test_a_text_stays_in_its_cell(text, expected):
    assert markdown.cell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" ", ""),
        ("make | tee log", "`make \\| tee log`"),
        ("run `here`", "`` run `here` ``"),
        ("`` a ` b", "``` `` a ` b ```"),
    ],
)
def test_code_is_fenced_by_more_backticks_than_it_holds(text, expected):
    assert markdown.code(text) == expected


def test_a_table_has_a_line_per_row_and_ends_in_a_newline():
    assert markdown.table(("a", "b"), [("1", "2"), ("", "4")]) == (
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n|  | 4 |\n"
    )
