"""Rank networks by training them on one set, against their ranks by the full training set."""

import functools
from typing import Any

from distillery import streams
from distillery.evaluation import search as searching
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import Metrics, read
from distillery.training.train import Bench


def search(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train every network on the set, and compare the ranks."""
    settings, cell = asked.settings, asked.cell
    specs = searching.specs(asked.network, asked.grid)
    dataset, synthetic = data.load(inputs.data, run.device), SyntheticSet.load(inputs.synthetic)
    learned = Images(synthetic.images, synthetic.labels).to(run.device)
    splits = {"test": Images(synthetic.normalise(dataset.test_images), dataset.test_labels)}
    rows = data.split(dataset, asked.validation, asked.seed).validation_index
    held = Images(synthetic.normalise(dataset.images[rows]), dataset.labels[rows])
    judging = "validation" if len(held) else "test"
    splits[judging] = held if len(held) else splits["test"]
    recipe = Recipe.of(settings, synthetic.step_size)
    # The same streams for every method: the same networks in the same order.
    names = cell["dataset"], cell["ipc"], cell["seed"]
    stream = functools.partial(streams.generator, asked.seed, "search", *names)
    epochs = len(specs) * settings["models"] * recipe.trained_epochs
    bench = Bench(
        network=next(iter(specs.values())),
        stream=stream,
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(epochs, "search", "epoch"),
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    measured = searching.train(bench, specs, recipe, learned, splits, settings["models"])
    metrics.extend(measured)
    by_full = searching.means(read(inputs.full), "test")
    by_set = searching.means(measured.rows, judging)
    metrics.extend(searching.ranking(by_set, by_full, stream("bootstrap")))
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(search, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
