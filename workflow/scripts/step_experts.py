"""Train one shard of experts on the images of one step, for the part of a memory."""

from typing import Any

from distillery.run import job
from distillery.stages import experts, steps
from distillery.training import trajectories


def step_experts(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Train the experts of one shard and step, and write their trajectories."""
    trained, header = experts.train(
        asked,
        steps.seen(asked, inputs.data, run.device),
        compute=run.compute,
        progress=run.progress(len(asked.numbers) * asked.settings["epochs"], "experts", "epoch"),
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    trajectories.save(outputs.trajectories, trained, header)


if __name__ == "__main__":
    job.main(step_experts, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
