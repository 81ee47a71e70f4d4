"""Train networks of one kind on a whole dataset: what synthetic sets are measured against."""

import functools

from distillery import networks, streams
from distillery.evaluation import evaluate
from distillery.images import dataset as data
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.metrics import Metrics
from distillery.training.train import Bench
from distillery.vocabulary import WHOLE


def train_vanilla(run, *, dataset, network, settings, seed, asked, inputs, outputs):
    images = data.load(inputs.data, run.device)
    recipe = Recipe.of(settings)
    identity = {"dataset": dataset, "method": WHOLE, "network": network["name"]}
    metrics = Metrics(rule="train_vanilla", **identity)
    bench = Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, seed, "vanilla", dataset, network["name"]),
        compute=run.compute,
        flip=images.horizontal_flip,
        progress=run.progress(settings["models"] * recipe.trained_epochs, "training", "epoch"),
    )
    learned = Images(images.normalise(images.images), images.labels)
    tested = Images(images.normalise(images.test_images), images.test_labels)
    metrics.extend(
        evaluate.measure(bench, recipe, learned, tested, settings["models"], settings["curve"])
    )
    networks.record_training(metrics, bench.network, len(learned), recipe.trained_epochs)
    metrics.save(outputs.metrics)
    run.save_cost(
        outputs.cost, rule="train_vanilla", asked=asked, inputs=inputs, outputs=outputs, **identity
    )


if __name__ == "__main__":
    asked = job.asked("train_vanilla", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        train_vanilla(
            run,
            dataset=snakemake.wildcards.dataset,
            network=snakemake.params.network,
            settings=snakemake.params.settings,
            seed=snakemake.params.seed,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
