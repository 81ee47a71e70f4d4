"""The study's report: one self-contained HTML file, every figure of which is computed here from the
artefacts."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from distillery.errors import UserError, first_line
from distillery.report import charts_page
from distillery.report.comparison import SIGNIFICANT
from distillery.report.results import Results
from distillery.report.sections import (
    accuracy,
    architectures,
    confusion,
    continual,
    cost,
    curves,
    glance,
    images,
    imbalance,
    labels,
    nested,
    pairs,
    privacy,
    robustness,
    scorecard,
    search,
    traced,
    verdict,
    written,
)
from distillery.report.sections import provenance as origins
from distillery.store import files

# Rule `report` has all of their folder as its inputs: an edit of any makes the report stale.
TEMPLATE = Path(__file__).with_name("templates") / "page.html.jinja"
STYLE = TEMPLATE.with_name("style.css")
FIRST = TEMPLATE.with_name("scorecard.html.jinja")
FIRST_STYLE = TEMPLATE.with_name("scorecard.css")
SHARED, SCRIPT = (TEMPLATE.with_name(f"{name}.js") for name in ("common", "page"))


def build(  # noqa: PLR0913  # the inputs of the rule, by their names
    *,
    metrics: pd.DataFrame | str | Path | Sequence[str | Path],
    costs: Sequence[dict | str | Path] | str | Path,
    sets: Sequence[str | Path],
    evolutions: Sequence[str | Path],
    neighbours: Sequence[str | Path] = (),
    confusions: Sequence[str | Path] = (),
    data: Sequence[str | Path],
    config: dict,
    output: str | os.PathLike[str],
    provenance: dict,
    sums: str | Path | None = None,
    missing: dict[str, Any] | None = None,
) -> None:
    """Write the report: one HTML file that fetches nothing; the same inputs give the same bytes.

    Args:
        metrics: the study's tidy metrics: a frame, a CSV file or several. Accuracies are fractions.
        costs: one dictionary a job, or JSON files that hold one or a list of them.
        sets: synthetic sets (safetensors with ``images`` (N, C, H, W), ``labels`` and a header).
        evolutions: their snapshots (``images`` (S, N, C, H, W), ``iterations`` (S,) and the same
            header).
        neighbours: the nearest training images of sets (safetensors of rule evaluate_privacy).
        confusions: which classes are taken for which (safetensors of rule evaluate_synthetic).
        data: dataset files; may be empty.
        config: the resolved study config, shown as YAML. ``config["study"]`` names the study, if
            there.
        output: the HTML file, written atomically.
        provenance: what else tells where the figures come from (device, commit, date …), shown as
            it is; ``packages`` in it is the software bill, a list of ``name``, ``version`` and
            ``licence``.
        sums: the SHA-256 of ``metrics`` and ``costs``, then one file each, by which a damaged one
            is found.
        missing: what ``underway.missing_jobs`` says of jobs that the page is without; ``None``: it
            is of a complete study.

    What the study lacks (no continual learning, no training on the full training set, no images)
    leaves its section out.

    Raises:
        UserError: an artefact or the template is missing or unreadable; the message names the file
            and, of an artefact, the rule that makes it.
    """
    template = _read(TEMPLATE)
    style = "".join(_read(path) for path in (STYLE, FIRST_STYLE, charts_page.STYLE))
    if sums is not None:
        # Sums are of files, so the two are paths here.
        both: list[Any] = [metrics, costs]
        files.check_sums(sums, both, rule="collect")
    # Held by nothing more when the page is written: of a large study that is most of the memory.
    sections = _sections(
        Results(metrics, costs, sets, evolutions, data, config, provenance),
        neighbours,
        confusions,
        Path(output).parent,
    )
    templates = environment()
    view = {
        "style": Markup(style),
        "script": Markup(_read(SHARED) + _read(SCRIPT)),
        "board": charts_page.Board(
            templates, _read(charts_page.TEMPLATE), _read(charts_page.SCRIPT)
        ),
        "title": str((config or {}).get("study") or "Dataset distillation: a study"),
        "missing": missing,
        "significant": SIGNIFICANT,
        "most_classes": confusion.CLASSES,
        **sections,
    }
    try:
        page = templates.from_string(template).render(**view)
    except jinja2.TemplateError as error:
        raise UserError(
            f"{TEMPLATE}: the report's template is not valid: {first_line(error)}"
        ) from error
    files.write_text(output, page)


def environment() -> jinja2.Environment:
    """Return how the page's templates are read.

    Raises:
        UserError: a template is missing or unreadable.
    """
    return jinja2.Environment(
        loader=jinja2.DictLoader({FIRST.name: _read(FIRST)}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _sections(
    results: Results,
    neighbours: Sequence[str | Path],
    confusions: Sequence[str | Path],
    folder: Path,
) -> dict[str, Any]:
    """Return what each section of the page shows; ``folder``: that the page lies in."""
    card, verdicts = scorecard.view(results, folder), verdict.view(results)
    return {
        "scorecard": card,
        "answers": scorecard.answers(verdicts, card),
        "glance": glance.overview(results),
        "headlines": glance.headlines(results),
        "verdict": verdicts,
        "labels": labels.view(results),
        "nested": nested.view(results),
        "accuracy": accuracy.view(results),
        "pairs": pairs.view(results),
        "imbalance": imbalance.view(results),
        "robustness": robustness.view(results),
        "privacy": privacy.view(results, neighbours),
        "images": images.view(results),
        "evolution": images.evolution(results),
        "curves": curves.view(results),
        "confusion": confusion.view(results, confusions),
        "cross": architectures.view(results),
        "search": search.view(results),
        "continual": continual.view(results),
        "cost": cost.view(results),
        "provenance": origins.view(results),
        "written": written.view(results),
        "traced": Markup(traced.view(results)),
        "empty": results.metrics.empty and not results.sets,
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: the report's template cannot be read ({first_line(error)}); it is part of "
            "the repository"
        ) from error
