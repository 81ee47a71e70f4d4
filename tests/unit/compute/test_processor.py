"""The name of the processor."""

from pathlib import Path

import pytest

from distillery.compute import processor


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: A Processor\nmodel name\t: Another\n", "A Processor"),
        ("model name\t:\nmodel name\t: Named later\n", "Named later"),
    ],
)
def test_the_first_name_counts(monkeypatch, text, name):
    monkeypatch.setattr(Path, "read_text", lambda *given, **named: text)
    assert processor.name() == name


def test_where_the_system_says_nothing_the_machine_does(monkeypatch):
    def missing(*given, **named):
        raise OSError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert processor.name() == "x86_64"
