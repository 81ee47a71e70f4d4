"""Learn classes group by group with a memory: replayed on the way, by itself, or afterwards."""

from dataclasses import replace
from typing import Any

import torch

from distillery.evaluation import continual
from distillery.images.dataset import limited, load
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training.train import Bench, Replay
from distillery.vocabulary import AFTERWARDS, GDUMB, PER_STEP


def continual_memory(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train and measure the networks of one strategy with a memory."""
    dataset, sets = load(inputs.data, run.device), list(map(SyntheticSet.load, inputs.memory))
    labels = [part.hard_labels for part in sets]
    if asked.job["memory"] == PER_STEP:
        # A part has its step's classes by their places in the group.
        labels = [torch.tensor(g)[part] for g, part in zip(asked.groups, labels, strict=True)]
    memory = Images(torch.cat([part.images for part in sets]), torch.cat(labels)).to(run.device)
    # Real images join the memory in its own space.
    normalise = sets[0].normalise
    tested = Images(normalise(dataset.test_images), dataset.test_labels)
    order = int(asked.job["order"])
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=continual.stream(
            asked.seed, asked.job["dataset"], asked.network["name"], order=order
        ),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        ledger=run.ledger(asked.checkpoint),
    )
    recipe = continual.recipe_of(asked.strategy, asked.settings)
    metrics = Metrics(rule=asked.kind, **asked.identity)
    carried = sets[0].whitening.carried if sets[0].whitening is not None else {}
    # As they are stored, each with its class.
    stored = [part.tensors()["images"] for part in sets]
    size = sum(tensor.nbytes for tensor in [*stored, *carried.values()])
    metrics.add("memory_bytes", size + memory.labels.itemsize * sum(map(len, stored)))
    if asked.strategy == AFTERWARDS:
        finetuned = continual.Learned.unpacked(
            *artefact.load(*inputs.finetuned, rule="continual_alone or continual_whitened")
        )
        metrics.extend(continual.afterwards(bench, recipe, memory, finetuned, tested, asked.groups))
    else:
        models, replay = asked.settings["models"], None
        epochs = models * len(asked.groups) * recipe.trained_epochs
        bench = replace(bench, progress=run.progress(epochs, asked.strategy, "epoch"))
        learned = memory
        if asked.strategy != GDUMB:
            rows = limited(dataset.labels, asked.settings["images_per_class"])
            learned = Images(normalise(dataset.images[rows]), dataset.labels[rows])
            replay = Replay(memory, asked.settings["replay_batch"])
        measured, _ = continual.learn(
            bench, recipe, asked.strategy, learned, tested, asked.groups, models, replay
        )
        metrics.extend(measured)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(continual_memory, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
