"""Make the part of a memory that stands for one step: distilled, or chosen, from the images of that
step alone."""

from typing import Any

from distillery.run import job
from distillery.stages import distillation, steps


def step_distill(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Run the method on the classes of the step, and write the set."""
    progress = run.progress(asked.settings.get("iterations", 0), "distillation", "iteration")
    synthetic, _ = distillation.distill(
        asked,
        steps.seen(asked, inputs.data, run.device),
        compute=run.compute,
        progress=progress.iteration,
        experts=inputs.experts,
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    synthetic.save(outputs.synthetic)


if __name__ == "__main__":
    job.main(step_distill, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
