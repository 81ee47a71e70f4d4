"""Train one shard of experts on the images of one step, for the part of a memory."""

from typing import Any

from distillery.images import dataset as data
from distillery.run import job
from distillery.stages import experts
from distillery.training import trajectories


def step_experts(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train the experts of one shard and step, and write their trajectories."""
    seen = data.of_classes(
        data.load(inputs.data, run.device),
        asked.classes,
        asked.images_per_class,
        asked.validation,
        asked.seed,
    )
    trained, header = experts.train(
        asked,
        seen,
        compute=run.compute,
        progress=run.progress(len(asked.numbers) * asked.settings["epochs"], "experts", "epoch"),
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    trajectories.save(outputs.trajectories, trained, header)


if __name__ == "__main__":
    job.main(step_experts, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
