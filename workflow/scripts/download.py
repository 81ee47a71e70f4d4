"""Fetch, check and convert the images of one dataset."""

import tempfile
from typing import Any

from distillery.datasets._fetch import fetch
from distillery.images.dataset import write
from distillery.run import job


def download(run: job.Run, asked: Any, inputs: Any, outputs: Any, resources: Any) -> None:
    """Fetch into a temporary folder, and write the one file of the dataset."""
    with tempfile.TemporaryDirectory() as workspace:
        arrays = fetch(
            asked.job["dataset"],
            asked.source,
            sources=resources.sources.split(","),
            local=resources.local_data,
            workspace=workspace,
            log=job.log.info,
        )
        write(arrays, outputs.data)


if __name__ == "__main__":
    job.main(
        download,
        snakemake.params,
        snakemake.input,
        snakemake.output,
        snakemake.log,
        snakemake.resources,
    )
