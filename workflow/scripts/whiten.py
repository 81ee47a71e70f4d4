"""Fit the whitening of a dataset to the training images that distillation sees."""

from typing import Any

from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job


def whiten(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Fit the whitening, and write it."""
    dataset = data.load(inputs.data)
    rows = data.split(dataset, asked.validation, asked.seed).train_index
    about = {"dataset": asked.job["dataset"], "images": len(rows), **run.origin}
    whitening.fit(dataset.images[rows]).save(outputs.whitening, about)


if __name__ == "__main__":
    job.main(whiten, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
