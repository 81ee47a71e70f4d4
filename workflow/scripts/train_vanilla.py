"""Train networks of one kind on the full training set: what synthetic sets are measured
against."""

import functools
from typing import Any

from distillery import networks, streams
from distillery.evaluation import evaluate
from distillery.images.dataset import load
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.metrics import Metrics
from distillery.training import teachers
from distillery.training.train import Bench


def train_vanilla(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and test networks on the full training set."""
    dataset, settings = load(inputs.data, run.device), asked.settings
    taught = teachers.asked_for(asked, inputs.experts, run.device)
    recipe, models = Recipe.of(settings), settings["models"]
    learned = Images(dataset.normalise(dataset.images), dataset.labels)
    tested = Images(dataset.normalise(dataset.test_images), dataset.test_labels)
    names = asked.job["dataset"], asked.network["name"]
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=functools.partial(streams.generator, asked.seed, "vanilla", *names),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(models * recipe.trained_epochs, "training", "epoch"),
        teacher=taught,
    )
    metrics = Metrics(rule=asked.kind, labels=settings["labels"], **asked.identity)
    metrics.extend(
        evaluate.measure(bench, recipe, learned, {"test": tested}, models, settings["curve"])
    )
    networks.record_training(metrics, bench.network, len(learned), recipe.trained_epochs)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(train_vanilla, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
