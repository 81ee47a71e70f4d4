"""Make one synthetic set: distilled, or chosen from the real images."""

from typing import Any

from distillery.images import dataset as data
from distillery.images import pictures, whitening
from distillery.run import job
from distillery.stages import distillation
from distillery.store.metrics import Metrics


def distill(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Run the method, and write the set with its snapshots, picture and losses."""
    dataset = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    progress = run.progress(asked.settings.get("iterations", 0), "distillation", "iteration")
    synthetic, evolution = distillation.distill(
        asked,
        dataset,
        compute=run.compute,
        progress=progress.iteration,
        experts=inputs.experts,
        checkpoint=run.checkpoint(asked.checkpoint),
    )
    synthetic.save(outputs.synthetic)
    evolution.save(outputs.evolution, synthetic.header)
    pictures.save_grid(outputs.picture, synthetic.pixels(), synthetic.hard_labels)
    metrics = Metrics(rule=asked.kind, **asked.identity)
    evolution.record(metrics)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(distill, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
