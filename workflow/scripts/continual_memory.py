"""Learn classes group by group with one memory set: replayed on the way, or learned afterwards."""

from dataclasses import replace
from typing import Any

from distillery.evaluation import continual
from distillery.images.dataset import load
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training.train import Bench, Replay
from distillery.vocabulary import AFTERWARDS


def continual_memory(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and measure the networks of one strategy with a memory set."""
    dataset, synthetic = load(inputs.data, run.device), SyntheticSet.load(inputs.memory)
    memory = Images(synthetic.images, synthetic.hard_labels).to(run.device)
    # Real images join the memory set in its own space.
    tested = Images(synthetic.normalise(dataset.test_images), dataset.test_labels)
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=continual.stream(asked.seed, asked.job["dataset"], asked.network["name"]),
        compute=run.compute,
        flip=dataset.horizontal_flip,
    )
    recipe = continual.recipe_of(asked.strategy, asked.settings)
    metrics = Metrics(rule=asked.kind, **asked.identity)
    if asked.strategy == AFTERWARDS:
        finetuned = continual.Learned.unpacked(
            *artefact.load(*inputs.finetuned, rule="continual_alone or continual_whitened")
        )
        metrics.extend(continual.afterwards(bench, recipe, memory, finetuned, tested, asked.groups))
    else:
        models = asked.settings["models"]
        rows = continual.limited(dataset.labels, asked.settings["images_per_class"])
        learned = Images(synthetic.normalise(dataset.images[rows]), dataset.labels[rows])
        epochs = models * len(asked.groups) * recipe.trained_epochs
        bench = replace(bench, progress=run.progress(epochs, asked.strategy, "epoch"))
        replay = Replay(memory, asked.settings["replay_batch"])
        measured, _ = continual.learn(
            bench, recipe, asked.strategy, learned, tested, asked.groups, models, replay
        )
        metrics.extend(measured)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(continual_memory, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
