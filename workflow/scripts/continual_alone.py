"""Learn classes group by group without a memory set, or jointly, and keep the networks."""

from typing import Any

from distillery.evaluation import continual
from distillery.images import whitening
from distillery.images.dataset import limited, load
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.run import job
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training.train import Bench


def continual_alone(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train, measure and keep the networks of one strategy."""
    dataset, settings = (
        load(inputs.data, run.device, whitening.given(inputs.whitening)),
        asked.settings,
    )
    recipe, models = continual.recipe_of(asked.strategy, settings), settings["models"]
    rows = limited(dataset.labels, settings["images_per_class"])
    learned = Images(dataset.normalise(dataset.images[rows]), dataset.labels[rows])
    tested = Images(dataset.normalise(dataset.test_images), dataset.test_labels)
    epochs = models * len(asked.groups) * recipe.trained_epochs
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=continual.stream(
            asked.seed,
            asked.job["dataset"],
            asked.network["name"],
            order=int(asked.job["order"]),
        ),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
        progress=run.progress(epochs, asked.strategy, "epoch"),
    )
    measured, networks = continual.learn(
        bench, recipe, asked.strategy, learned, tested, asked.groups, models
    )
    artefact.save(outputs.finetuned, *networks.packed())
    metrics = Metrics(rule=asked.kind, **asked.identity)
    metrics.extend(measured)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(continual_alone, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
