"""Train one shard of experts and keep their trajectories."""

import functools
from typing import Any

from distillery import streams
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.store.metrics import Metrics
from distillery.training import experts, trajectories
from distillery.training.train import Bench


def train_experts(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train the experts of one shard, and write their trajectories and losses."""
    name, recipe = asked.job["dataset"], asked.job["recipe"]
    dataset = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    rows = data.split(dataset, asked.validation, asked.seed).train_index
    metrics = Metrics(rule=asked.kind, dataset=name, network=asked.network["name"])

    def note(first: int, epoch: int, summary: dict[str, Any]) -> None:
        columns = {"split": "train", "epoch": epoch, "selection": "expert"}
        for e in range(len(summary["loss"])):
            for measure in ("loss", "accuracy"):
                metrics.add(measure, summary[measure][e], model=first + e, **columns)

    epochs = len(asked.numbers) * asked.settings["epochs"]
    bench = Bench(
        network=NetworkSpec(**asked.network),
        stream=functools.partial(streams.generator, asked.seed, "experts", name, recipe),
        compute=run.compute,
        flip=dataset.horizontal_flip,
        progress=run.progress(epochs, "experts", "epoch"),
    )
    rows_of_experts = experts.train_experts(
        bench,
        Recipe.of(asked.settings | {"decay": "none"}),
        Images(dataset.normalise(dataset.images[rows]), dataset.labels[rows]),
        asked.numbers,
        after_epoch=note,
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    header = {
        "dataset": name,
        "recipe": recipe,
        "numbers": asked.numbers,
        "settings": asked.settings,
        "network": asked.network,
        "seed": asked.seed,
        "code": asked.code,
    }
    trajectories.save(outputs.trajectories, rows_of_experts, header)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(train_experts, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
