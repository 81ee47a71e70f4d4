"""Train the networks of a search on the full training set, or a budget of it: what they are
worth."""

import functools
from typing import Any

from distillery import streams
from distillery.evaluation import search
from distillery.images.dataset import load
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.metrics import Metrics
from distillery.training.train import Bench


def search_full(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and test every network."""
    dataset, settings = load(inputs.data, run.device), asked.settings
    specs = search.specs(asked.network, asked.grid)
    recipe, models = Recipe.of(settings), settings["models"]
    rows = search.budgeted(dataset.labels, settings["images_per_class"])
    learned = Images(dataset.normalise(dataset.images[rows]), dataset.labels[rows])
    tested = Images(dataset.normalise(dataset.test_images), dataset.test_labels)
    epochs = len(specs) * models * recipe.trained_epochs
    bench = Bench(
        network=next(iter(specs.values())),
        stream=functools.partial(streams.generator, asked.seed, "search", asked.job["dataset"]),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(epochs, "search", "epoch"),
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    metrics.extend(search.train(bench, specs, recipe, learned, {"test": tested}, models))
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(search_full, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
