"""Measure what the label- and augmentation-robust scores of one synthetic set are made of."""

import functools

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


def evaluate_robust(run, *, cell, network, settings, validation, seed, asked, inputs, outputs):
    dataset = data.load(inputs.data, run.device)
    synthetic = SyntheticSet.load(inputs.synthetic)
    rows = data.split(dataset, validation, seed).train_index
    images, labels = dataset.images[rows], dataset.labels[rows]
    recipe, augment, models = (
        Recipe.of(settings, synthetic.step_size),
        settings["robust"]["augment"],
        settings["robust"]["models"],
    )
    # The same random images for every method.
    draws = [
        streams.generator(seed, "robust", cell["dataset"], cell["ipc"], cell["seed"], model)
        for model in range(models)
    ]
    random = [
        synthetic.normalise(robust.random_images(images, labels, synthetic.hard_labels, draw))
        for draw in draws
    ]
    learned = Images(synthetic.images, synthetic.labels).to(run.device)
    tested = Images(synthetic.normalise(dataset.test_images), dataset.test_labels)
    different = len(set(robust.trainings(recipe, augment, synthetic.labels.ndim == 2).values()))
    # The streams of the sets' evaluation: the same networks in the same order.
    identity = cell["dataset"], network["name"], cell["ipc"], cell["seed"]
    bench = Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, seed, "evaluate", *identity),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        progress=run.progress(different * models * recipe.trained_epochs, "robustness", "epoch"),
    )
    metrics = Metrics(rule="evaluate_robust", **cell, network=network["name"])
    metrics.extend(robust.measure(bench, recipe, learned, random, tested, augment))
    metrics.save(outputs.metrics)
    told = {**cell, "network": network["name"]}
    run.save_cost(
        outputs.cost, rule="evaluate_robust", asked=asked, inputs=inputs, outputs=outputs, **told
    )


if __name__ == "__main__":
    asked = job.asked("evaluate_robust", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        evaluate_robust(
            run,
            cell=snakemake.params.cell,
            network=snakemake.params.network,
            settings=snakemake.params.settings,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
