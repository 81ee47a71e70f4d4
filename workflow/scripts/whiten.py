"""Fit the whitening of a dataset to the training images that distillation sees."""

from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job
from distillery.store import artefact


def whiten(*, dataset, validation, seed, asked, inputs, output):
    images = data.load(inputs.data)
    rows = data.split(images, validation, seed).train_index
    about = {
        "dataset": dataset,
        "images": len(rows),
        "asked": asked,
        "inputs": artefact.contents({"data": inputs.data}),
    }
    whitening.fit(images.images[rows]).save(output, about)


if __name__ == "__main__":
    asked = job.asked("whiten", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], asked=asked):
        whiten(
            dataset=snakemake.wildcards.dataset,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            asked=asked,
            inputs=snakemake.input,
            output=snakemake.output.whitening,
        )
