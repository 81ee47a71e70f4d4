"""Markdown that is written from data: tables, and texts that stay in their cells."""

import re
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Keep a text in its cell of a table: on one line, its bars escaped."""
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Set a text as code in a cell; nothing stays nothing."""
    if not text.strip():
        return ""
    # A fence longer than any run of backticks inside; spaces, because the text may begin with one.
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{cell(text)}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells, each in Markdown already; it ends in a newline."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def folded(summary: str, text: str) -> str:
    """Fold a text under a summary, on GitHub and by mkdocs' md_in_html; it ends in a newline."""
    return f'\n<details markdown="1"><summary>{summary}</summary>\n\n{text}\n</details>\n'
