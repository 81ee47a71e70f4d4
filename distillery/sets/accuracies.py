"""Find the accuracies that were measured on a set, and under which settings."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from distillery.errors import UserError
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.measurements import read_metrics, summarise
from distillery.vocabulary import LAST, WHOLE


def accuracies(synthetic: SyntheticSet, metrics: Any) -> list[dict[str, Any]]:
    """Find how well networks do that were trained on the set: test accuracy after the last epoch,
    for each kind of network.

    Rows of the metrics are the set's by its names: dataset, method, init, ipc and seed.

    Args:
        synthetic: the set.
        metrics: files with the tidy metrics of a study (its ``summary.csv``) or of evaluations
            (their ``metrics.csv``), or a frame.

    Returns:
        Rows with ``network``, and three summaries: of this set (``this_set``), of every set of its
        cell, whatever its seed (``cell``), and of training on the full training set (``full``). A
        summary has ``mean`` and ``std`` (population; fractions), ``count`` (of networks) and
        ``sets``, and is ``None`` where nothing was measured. ``measured`` and ``full_measured`` are
        the settings that ``this_set`` and ``full`` were measured under, as the costs beside the
        metrics record them; ``None`` where they do not.

    Raises:
        UserError: a file is no such table, none of its rows is about this set, or they are about
            another set of the same names.
    """
    header = synthetic.header
    rows = read_metrics(metrics)
    records = _records(metrics)
    full = rows[(rows["dataset"] == header.get("dataset")) & (rows["method"] == WHOLE)]
    names = {name: header.get(name) for name in ("dataset", "method", "init", "ipc")}
    for name, value in names.items():
        rows = rows[rows[name] == value]

    def last(part: pd.DataFrame) -> dict[str, Any]:
        summary = summarise(part)
        final = summary[summary["selection"] == LAST]
        return {row["network"]: row for row in final.to_dict("records")}

    this_set, alike, full = last(rows[rows["seed"] == header.get("seed")]), last(rows), last(full)
    if not this_set:
        cell = ", ".join(
            f"{name} {value}" for name, value in {**names, "seed": header.get("seed")}.items()
        )
        raise UserError(
            f"metrics: hold no test accuracy of this set ({cell}); the summary.csv of the study "
            "that made it is needed"
        )
    digest = artefact.digest(synthetic.tensors())
    accuracies = []
    for network, row in alike.items():
        record = _record(
            records, "evaluate_synthetic", **names, seed=header.get("seed"), network=network
        )
        read = ((record or {}).get("inputs") or {}).get("synthetic")
        if read and read != [digest]:
            raise UserError(
                f"metrics: were measured with {network} on another set of the same names, that of "
                f"digest {read[0][:12]}, and this one is {digest[:12]}; the summary.csv of the "
                "study that made it is needed"
            )
        vanilla = _record(records, "train_vanilla", dataset=header.get("dataset"), network=network)
        accuracies.append(
            {
                "network": network,
                "this_set": this_set.get(network),
                "cell": row,
                "full": full.get(network),
                "measured": record and record.get("settings"),
                "full_measured": vanilla and vanilla.get("settings"),
            }
        )
    return accuracies


def _records(metrics: Any) -> list[dict[str, Any]]:
    """Read what the jobs of metrics files recorded of themselves.

    They stand in     ``costs.json`` beside a study's table, ``cost.json`` beside the table of one
    job.
    """
    paths = [metrics] if isinstance(metrics, (str, os.PathLike)) else metrics
    if not isinstance(paths, Sequence):
        return []
    records: list[dict[str, Any]] = []
    for path in map(Path, paths):
        for beside in (path.with_name("costs.json"), path.with_name("cost.json")):
            if beside.is_file():
                try:
                    content = json.loads(beside.read_text(encoding="utf-8"))
                except (OSError, ValueError) as error:
                    raise UserError(
                        f"{beside}: is no record of costs ({error}); that of the study is needed"
                    ) from error
                content = content if isinstance(content, list) else [content]
                records += [record for record in content if isinstance(record, dict)]
                break
    return records


def _record(records: list[dict[str, Any]], rule: str, **names: Any) -> dict[str, Any] | None:
    """Find the record of the one job that goes by these names."""
    wanted = {"rule": rule, **names}
    fits = (r for r in records if all(r.get(name) == value for name, value in wanted.items()))
    return next(fits, None)
