"""Measure what one synthetic set is worth to one kind of network."""

from dataclasses import replace
from typing import Any

from distillery import networks
from distillery.evaluation import evaluate
from distillery.evaluation.confusion import Confusion
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.evolution import load_evolution
from distillery.sets.synthetic import SyntheticSet
from distillery.stages import evaluation
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training import teachers


def evaluate_synthetic(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and test networks on the set, and on its snapshots where one is selected."""
    settings = asked.settings
    dataset, synthetic = data.load(inputs.data, run.device), SyntheticSet.load(inputs.synthetic)
    # In the set's space, which its file describes in full.
    tested = Images(synthetic.normalise(dataset.test_images), dataset.test_labels)
    rows = data.split(dataset, asked.validation, asked.seed).validation_index
    held = Images(synthetic.normalise(dataset.images[rows]), dataset.labels[rows])
    taught = teachers.asked_for(asked, inputs.experts, run.device)
    splits = {"test": tested, "validation": held}
    trainings = evaluation.Trainings(asked, synthetic, splits, taught)
    recipe, kinds = trainings.recipe, trainings.kinds
    epochs = settings["models"] * recipe.trained_epochs
    bench = evaluation.bench(
        asked,
        compute=run.compute,
        flip=dataset.horizontal_flip,
        progress=run.progress(epochs, "evaluation", "epoch"),
        ledger=run.ledger(asked.checkpoint),
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    confusion = Confusion()
    metrics.extend(trainings.main(bench, confusion))
    networks.record_training(metrics, bench.network, len(synthetic), recipe.trained_epochs)
    run.stop_clock()  # selection, other labels and parts are no part of what a set costs its user
    if len(kinds) > 1:
        progress = run.progress(epochs * (len(kinds) - 1), "other labels", "epoch")
        metrics.extend(trainings.others(replace(bench, progress=progress)))
    for count in settings["first"]:
        progress = run.progress(epochs, f"first {count} per class", "epoch")
        # The networks of the sets that were made at this size.
        part = evaluation.bench(
            asked,
            compute=run.compute,
            flip=dataset.horizontal_flip,
            progress=progress,
            ledger=bench.ledger,
            ipc=count,
        )
        metrics.extend(trainings.first(count, part))
    if selection := settings["selection"]:
        snapshots = []
        for iteration, images, labels, step_size in load_evolution(
            inputs.evolution, synthetic.labels, run.device
        ):
            here, saved = trainings.labelled(kinds[0], bench, Images(images, labels))
            own = Recipe.of(settings, step_size)
            snapshots.append(evaluate.Snapshot(iteration, saved, own))
        epochs = selection["models"] * recipe.trained_epochs * len(snapshots)
        bench = replace(here, progress=run.progress(epochs, "selection", "epoch"))
        metrics.extend(
            evaluate.select(bench, snapshots, held, tested, selection["models"], selection["test"])
        )
    metrics.save(outputs.metrics)
    about = {**asked.identity, "models": settings["models"], "classes": list(dataset.classes)}
    artefact.save(outputs.confusion, {"pairs": confusion.pairs}, about)


if __name__ == "__main__":
    job.main(evaluate_synthetic, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
