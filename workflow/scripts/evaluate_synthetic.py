"""Measure what one synthetic set is worth to one kind of network."""

from dataclasses import replace
from typing import Any

from distillery import networks
from distillery.evaluation import evaluate
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.evolution import load_evolution
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import evaluation
from distillery.store.metrics import Metrics


def evaluate_synthetic(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and test networks on the set, and on its snapshots where one is selected."""
    settings = asked.settings
    dataset, synthetic = data.load(inputs.data, run.device), SyntheticSet.load(inputs.synthetic)
    # In the set's space, which its file describes in full.
    tested = Images(synthetic.normalise(dataset.test_images), dataset.test_labels)
    rows = data.split(dataset, asked.validation, asked.seed).validation_index
    held = Images(synthetic.normalise(dataset.images[rows]), dataset.labels[rows])
    splits = {"test": tested, "validation": held}
    recipe = Recipe.of(settings, synthetic.step_size)
    bench = evaluation.bench(
        asked,
        compute=run.compute,
        flip=dataset.horizontal_flip,
        progress=run.progress(settings["models"] * recipe.trained_epochs, "evaluation", "epoch"),
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    metrics.extend(evaluation.evaluate_set(asked, bench, synthetic, splits))
    networks.record_training(metrics, bench.network, len(synthetic), recipe.trained_epochs)
    run.stop_clock()  # selection is no part of what a set costs its user
    if selection := settings["selection"]:
        snapshots = [
            evaluate.Snapshot(iteration, Images(images, labels), Recipe.of(settings, step_size))
            for iteration, images, labels, step_size in load_evolution(
                inputs.evolution, synthetic.labels, run.device
            )
        ]
        epochs = selection["models"] * recipe.trained_epochs * len(snapshots)
        bench = replace(bench, progress=run.progress(epochs, "selection", "epoch"))
        metrics.extend(
            evaluate.select(bench, snapshots, held, tested, selection["models"], selection["test"])
        )
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(evaluate_synthetic, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
