"""Fit the whitening of a dataset to the training images that distillation sees."""

from distillery import data, whitening
from distillery.run import job


def whiten(*, dataset, validation, seed, code, inputs, output):
    images = data.load(inputs.data)
    rows = data.split(images, validation, seed).train_index
    whitening.fit(images.images[rows]).save(output, {"dataset": dataset, "images": len(rows), "code": code})


if __name__ == "__main__":
    with job.run(snakemake.log[0]):
        whiten(
            dataset=snakemake.wildcards.dataset,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            code=snakemake.params.code,
            inputs=snakemake.input,
            output=snakemake.output.whitening,
        )
