"""What a paper says of the study."""

import re

from distillery import plugins
from distillery.report.sections import written
from tests.unit.report.made import rows_of
from tests.unit.report.sections.test_scorecard import results_of
from tests.unit.report.sections.test_verdict import LEVELS, jobs, measured


def test_the_paragraph_counts_what_was_done_and_cites_it():
    found = written.view(results_of(measured(LEVELS), jobs(LEVELS)))
    text = found["text"]
    assert (
        "Sets were distilled by DC (Zhao et al., ICLR 2021) and MTT (Cazenavette et al., " in text
    )
    assert "at 1 image per class" in text and "Real images were chosen by Random." in text
    assert "start from real images and Gaussian noise" in text
    assert "Each set trained 2 networks of each architecture (ConvNet)" in text
    assert "for 300 epochs; there are 3 sets of each kind" in text
    assert (
        found["bibtex"].count("@inproceedings") == 2 and "@software{distillery," in found["bibtex"]
    )


def test_a_variant_cites_what_it_is_one_of_and_nothing_measured_says_nothing():
    results = results_of(rows_of("bold", "real", {0: [0.5]}))
    results.variants["bold"] = "dm"
    assert "zhao2023" in written.view(results)["bibtex"]
    assert written.view(results_of([])) is None


def test_every_published_method_is_cited_whole_and_keys_are_different():
    entries = [
        written._entry(name, method.citation)
        for name, method in plugins.methods().items()
        if method.citation
    ]
    assert len(entries) == len(plugins.methods()) - 1, "all but random images"
    keys = [re.match(r"@inproceedings\{(\w+),", entry).group(1) for entry in entries]
    assert len(set(keys)) == len(keys)
    for entry in entries:
        assert entry.count("{") == entry.count("}")
        assert re.search(r"author = \{[^,]+, ", entry) and re.search(r"year = \{\d{4}\}", entry)
