"""Fetch, check and convert the images of one dataset."""

import tempfile

from distillery.datasets._fetch import fetch
from distillery.images.dataset import write
from distillery.run import job


def download(*, dataset, order, local, output):
    with tempfile.TemporaryDirectory() as workspace:
        arrays = fetch(dataset, sources=order, local=local, workspace=workspace, log=job.log.info)
        write(arrays, output)


if __name__ == "__main__":
    asked = job.asked("download", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], asked=asked):
        download(
            dataset=snakemake.wildcards.dataset,
            order=snakemake.resources.sources.split(","),
            local=snakemake.resources.local_data,
            output=snakemake.output.data,
        )
