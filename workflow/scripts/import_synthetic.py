"""Take over one set that others released."""

from typing import Any

from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job
from distillery.sets.released.read import read
from distillery.sets.synthetic import SyntheticSet, header


def import_synthetic(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Read the released files, and write them as a set of ours."""
    cell, entry = asked.cell, asked.entry
    dataset = data.load(inputs.data, whitening=whitening.given(inputs.whitening))
    spec = {
        "name": cell["dataset"],
        "channels": dataset.images.shape[1],
        "size": tuple(dataset.images.shape[2:]),
        "classes": dataset.classes,
        "mean": dataset.mean,
        "std": dataset.std,
    }
    released = read(entry, spec, cell["seed"], where=f"imported set {entry['name']}")
    for line in released.notes:
        print(line, flush=True)
    about = header(dataset, cell, settings={}, network=None, iterations=0, code=asked.code)
    about |= run.origin
    if released.normalization is not None:
        about["normalization"] = released.normalization
    SyntheticSet(
        released.images,
        released.labels,
        released.step_size,
        about,
        released.whitening or dataset.whitening,
    ).save(outputs.synthetic)


if __name__ == "__main__":
    job.main(import_synthetic, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
