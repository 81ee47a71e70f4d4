"""Measure what the label- and augmentation-robust scores of one synthetic set are made of."""

import functools
from typing import Any

from distillery import streams
from distillery.evaluation import robust
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store.metrics import Metrics
from distillery.training.train import Bench


def evaluate_robust(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train on the set and on random images, with and without labels and augmentation."""
    cell, seed = asked.cell, asked.seed
    dataset, synthetic = data.load(inputs.data, run.device), SyntheticSet.load(inputs.synthetic)
    rows = data.split(dataset, asked.validation, seed).train_index
    images, labels = dataset.images[rows], dataset.labels[rows]
    recipe = Recipe.of(asked.settings, synthetic.step_size)
    augment, models = asked.settings["robust"]["augment"], asked.settings["robust"]["models"]
    # The same random images for every method.
    names = cell["dataset"], cell["ipc"], cell["seed"]
    draws = [streams.generator(seed, "robust", *names, model) for model in range(models)]
    random = [
        synthetic.normalise(robust.random_images(images, labels, synthetic.hard_labels, draw))
        for draw in draws
    ]
    learned = Images(synthetic.images, synthetic.labels).to(run.device)
    tested = Images(synthetic.normalise(dataset.test_images), dataset.test_labels)
    different = len(set(robust.trainings(recipe, augment, synthetic.labels.ndim == 2).values()))
    # The streams of the sets' evaluation: the same networks in the same order.
    names = cell["dataset"], asked.network["name"], cell["ipc"], cell["seed"]
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=functools.partial(streams.generator, seed, "evaluate", *names),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(different * models * recipe.trained_epochs, "robustness", "epoch"),
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    metrics.extend(robust.measure(bench, recipe, learned, random, tested, augment))
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(evaluate_robust, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
