"""Train networks of one kind on a whole dataset: what synthetic sets are measured against."""

from distillery import networks, streams
from distillery.evaluation import evaluate
from distillery.images import dataset as data
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.metrics import Metrics
from distillery.vocabulary import WHOLE


def train_vanilla(run, *, dataset, network, settings, seed, asked, inputs, outputs):
    images = data.load(inputs.data, run.device)
    recipe = Recipe.of(settings)
    identity = {"dataset": dataset, "method": WHOLE, "network": network["name"]}
    metrics = Metrics(rule="train_vanilla", **identity)
    evaluate.measure(
        metrics,
        network,
        images.normalise(images.images),
        images.labels,
        images.normalise(images.test_images),
        images.test_labels,
        recipe,
        models=settings["models"],
        curve=settings["curve"],
        stream=lambda purpose, *more: streams.generator(
            seed, "vanilla", dataset, network["name"], purpose, *more
        ),
        compute=run.compute,
        flip_allowed=images.horizontal_flip,
        progress=run.progress(settings["models"] * recipe.trained_epochs, "training", "epoch"),
    )
    networks.record_training(metrics, network, len(images.labels), recipe.trained_epochs)
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
