"""Decode the images of a dataset of the config's own, and sum them up."""

from typing import Any

from distillery.datasets._prepare import prepare as prepared
from distillery.images.dataset import write
from distillery.run import job


def prepare(run: job.Run, asked: Any, inputs: Any, outputs: Any, resources: Any) -> None:
    """Decode, and write the one file of the dataset."""
    arrays = prepared(
        asked.job["dataset"],
        {"path": resources.path, "images": resources.images},
        asked.settings,
        listing=asked.listing,
        workers=resources.workers,
        progress=lambda total: run.progress(total, "decoding", "image"),
        log=job.log.info,
    )
    run.stop_clock()
    write(arrays, outputs.data)


if __name__ == "__main__":
    job.main(
        prepare,
        snakemake.params,
        snakemake.input,
        snakemake.output,
        snakemake.log,
        snakemake.resources,
    )
