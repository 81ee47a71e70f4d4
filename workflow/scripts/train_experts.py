"""Train one shard of experts and keep their trajectories."""

from typing import Any

from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job
from distillery.stages import experts
from distillery.store.metrics import Metrics
from distillery.training import trajectories


def train_experts(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train the experts of one shard, and write their trajectories and losses."""
    dataset = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    metrics = Metrics(rule=asked.kind, dataset=asked.job["dataset"], network=asked.network["name"])

    def note(first: int, epoch: int, summary: dict[str, Any]) -> None:
        columns = {"split": "train", "epoch": epoch, "selection": "expert"}
        for e in range(len(summary["loss"])):
            for measure in ("loss", "accuracy"):
                metrics.add(measure, summary[measure][e], model=first + e, **columns)

    epochs = len(asked.numbers) * asked.settings["epochs"]
    trained, header = experts.train(
        asked,
        dataset,
        compute=run.compute,
        progress=run.progress(epochs, "experts", "epoch"),
        after_epoch=note,
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    trajectories.save(outputs.trajectories, trained, header)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(train_experts, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
