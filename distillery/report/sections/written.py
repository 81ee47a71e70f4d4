"""What a paper says of the study: a paragraph on how it was done, and the works to cite."""

import re
from collections.abc import Mapping
from typing import Any

from distillery import __version__, plugins
from distillery.report.comparison import SIGNIFICANT
from distillery.report.results import Results
from distillery.report.words import listed, quantity
from distillery.vocabulary import IMPORTED, LAST, WHOLE


def view(results: Results) -> dict[str, str] | None:
    """Return the paragraph and the BibTeX of what the study used; ``None`` where nothing was
    measured."""
    if results.summary.empty:
        return None
    return {"text": _text(results), "bibtex": _bibtex(results)}


def _text(results: Results) -> str:
    rows = results.summary[results.summary["selection"] == LAST]
    sets = rows[rows["ipc"].notna()]
    distilled = [name for name in results.methods if name != WHOLE and not results.is_coreset(name)]
    chosen = [name for name in results.methods if results.is_coreset(name)]
    sentences = [f"The study covers {listed([results.title(name) for name in results.datasets])}."]
    sizes = [f"{int(ipc)}" for ipc in sorted(set(sets["ipc"]))]
    at = f" at {listed(sizes)} image{'s' if sizes != ['1'] else ''} per class" if sizes else ""
    if distilled:
        sentences.append(f"Sets were distilled by {_named(results, distilled)}{at}.")
    if chosen:
        sentences.append(f"Real images were chosen by {_named(results, chosen)}.")
    starts = [
        results.start(method, init)
        for method, init in dict.fromkeys(zip(sets["method"], sets["init"]))
        if method in distilled and init != IMPORTED
    ]
    if starts:
        sentences.append(f"Synthetic images start from {listed(list(dict.fromkeys(starts)))}.")
    if len(sets):
        networks = sorted(set(sets["network"]))
        trained = _range(sets["models"])
        sentences.append(
            f"Each set trained {trained} networks of each architecture ({listed(networks)}) from "
            f"scratch{_epochs(results)}; there {'is' if sets['sets'].max() == 1 else 'are'} "
            f"{_quantity_range(sets['sets'], 'set')} of each kind. Figures are test accuracies of "
            "the final images, mean ± standard deviation (population formula) over all networks."
        )
    sentences.append(
        "Methods are compared in pairs of networks that start from the same parameters and see the "
        f"same order, by paired t-tests with Holm's adjustment ({SIGNIFICANT:g}); the best of each "
        "side is chosen on held-out training images."
    )
    commit = str(results.provenance.get("commit") or "")[:12]
    sentences.append(f"Made with Distillery {__version__}{f', commit {commit}' if commit else ''}.")
    return " ".join(sentences)


def _named(results: Results, methods: list[str]) -> str:
    names = []
    for method in methods:
        about = _citation(results, method)
        names.append(results.method_title(method) + (f" ({_short(about)})" if about else ""))
    return listed(names)


def _citation(results: Results, method: str) -> Mapping[str, Any]:
    known = plugins.methods().get(results.variants.get(method, method))
    return {} if known is None else known.citation


def _short(about: Mapping[str, Any]) -> str:
    """Cite in words: Zhao and Bilen, WACV 2023."""
    people = [name.partition(",")[0] for name in str(about["authors"]).split(" and ")]
    who = listed(people) if len(people) < 3 and "others" not in people else f"{people[0]} et al."
    return f"{who}, {about['venue']} {about['year']}"


def _range(counts: Any) -> str:
    few, many = int(counts.min()), int(counts.max())
    return f"{few}" if few == many else f"{few} to {many}"


def _quantity_range(counts: Any, noun: str) -> str:
    """Count things that there are more and less of: 1 to 3 sets."""
    few, many = int(counts.min()), int(counts.max())
    return quantity(few, noun) if few == many else f"{_range(counts)} {noun}s"


def _epochs(results: Results) -> str:
    """Say how long networks were trained on sets, as the jobs say."""
    epochs = sorted(
        {
            int(count)
            for cost in results.costs
            if cost.get("rule") == "evaluate_synthetic"
            and (count := (cost.get("settings") or {}).get("epochs")) is not None
        }
    )
    return f" for {listed([str(count) for count in epochs])} epochs" if epochs else ""


def _bibtex(results: Results) -> str:
    entries = {}
    for method in results.methods:
        about = _citation(results, method)
        if about:
            entries.setdefault(about["title"], _entry(method, about))
    software = [
        "@software{distillery,",
        "  title = {Distillery},",
        "  author = {{The Distillery authors}},",
        f"  version = {{{__version__}}},",
        "}",
    ]
    return "\n\n".join([*entries.values(), "\n".join(software)])


def _entry(method: str, about: Mapping[str, Any]) -> str:
    """Return a work as BibTeX, its key made of the first author, the year and the method."""
    first = re.sub(r"\W", "", str(about["authors"]).partition(",")[0]).lower()
    lines = [
        f"@inproceedings{{{first}{about['year']}{method},",
        f"  author = {{{about['authors']}}},",
        f"  title = {{{about['title']}}},",
        f"  booktitle = {{{about['venue']}}},",
        f"  year = {{{about['year']}}},",
    ]
    if about.get("arxiv"):
        lines += [f"  eprint = {{{about['arxiv']}}},", "  archivePrefix = {arXiv},"]
    return "\n".join([*lines, "}"])
