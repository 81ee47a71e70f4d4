"""Measure what one synthetic set may give away of the images that it was made from."""

import functools
from typing import Any

import torch

from distillery import streams
from distillery.evaluation import privacy
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training.train import Bench


def evaluate_privacy(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Find the nearest training image of each image, and attack networks trained on the set."""
    cell, settings = asked.cell, asked.settings
    dataset, synthetic = data.load(inputs.data, run.device), SyntheticSet.load(inputs.synthetic)
    seen = data.split(dataset, asked.validation, asked.seed).train_index
    training = Images(dataset.images[seen], dataset.labels[seen])
    tested = Images(dataset.test_images, dataset.test_labels)
    # The same rows for every set of the dataset.
    members, others = (
        torch.randperm(
            len(images),
            generator=streams.generator(asked.seed, "privacy", cell["dataset"], what),
        )[: settings["tested"]].to(run.device)
        for what, images in (("members", training), ("others", tested))
    )
    pixels = synthetic.pixels().to(run.device)
    found = privacy.nearest(pixels, training.images)
    reference = privacy.nearest(tested.images[others], training.images)
    copies = privacy.copies(found, reference)
    # What lies near a set is typical, and so easily learned: against test images as near as any.
    near = found.rows.unique().to(run.device)
    beside = privacy.nearest(pixels, tested.images).rows.unique().to(run.device)

    # The streams of the sets' evaluation: the same networks in the same order.
    names = cell["dataset"], asked.network["name"], cell["ipc"], cell["seed"]
    recipe, models = Recipe.of(settings, synthetic.step_size), settings["models"]
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=functools.partial(streams.generator, asked.seed, "evaluate", *names),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(models * recipe.trained_epochs, "privacy", "epoch"),
        calls=models,
    )
    judged = [training[members], tested[others], training[near], tested[beside]]
    losses = privacy.losses(
        bench,
        recipe,
        Images(synthetic.images, synthetic.labels).to(run.device),
        [Images(synthetic.normalise(part.images), part.labels) for part in judged],
        models,
    )
    metrics = Metrics(rule=asked.kind, **asked.identity)
    metrics.add("near_copies", int(copies.sum()))
    metrics.add("nearest_distance", found.distances.median())
    metrics.add("nearest_distance", reference.distances.median(), split="test")
    metrics.extend(privacy.judged("members", *losses[:2]))
    metrics.extend(privacy.judged("nearest", *losses[2:]))
    metrics.save(outputs.metrics)
    tensors = {"rows": seen.cpu()[found.rows], "copies": copies, **found.measured}
    about = {**cell, "network": asked.network["name"], "models": models}
    artefact.save(outputs.neighbours, tensors | {"reference": reference.distances}, about)


if __name__ == "__main__":
    job.main(evaluate_privacy, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
