"""Fetch, check and convert the images of one dataset."""

import tempfile

from distillery.datasets._fetch import fetch
from distillery.images.dataset import write
from distillery.run import job


def download(run, asked, inputs, outputs, resources):
    with tempfile.TemporaryDirectory() as workspace:
        arrays = fetch(
            asked.job["dataset"],
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
