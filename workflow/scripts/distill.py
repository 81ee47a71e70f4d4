"""Make one synthetic set: distilled, or chosen from the real images."""

import functools
import importlib
from typing import Any

from distillery import streams
from distillery.errors import named
from distillery.images import dataset as data
from distillery.images import pictures, whitening
from distillery.methods import _driver
from distillery.methods.base import Task, initial_images
from distillery.networks import NetworkSpec
from distillery.run import job
from distillery.sets.evolution import Evolution
from distillery.sets.synthetic import SyntheticSet, header
from distillery.store.metrics import Metrics
from distillery.training import trajectories


def distill(run: job.Run, asked: Any, inputs: Any, outputs: Any) -> None:
    """Run the method, and write the set with its snapshots, picture and losses."""
    cell, settings, seed = asked.cell, asked.settings, asked.seed
    dataset = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    rows = data.split(dataset, asked.validation, seed).train_index
    images, labels = dataset.normalise(dataset.images[rows]), dataset.labels[rows]
    classes, iterations = len(dataset.classes), settings.get("iterations", 0)
    names = [cell[name] for name in ("dataset", "init", "ipc", "seed")]
    start = streams.generator(seed, "initial", *names)
    progress = run.progress(iterations, "distillation", "iteration")
    evolution = Evolution(iterations, asked.snapshots, progress.iteration)
    task = Task(
        images=images,
        labels=labels,
        initial=initial_images(cell["init"], images, labels, classes, cell["ipc"], start),
        classes=classes,
        ipc=cell["ipc"],
        network=NetworkSpec(**asked.network),
        settings=settings,
        stream=functools.partial(streams.generator, seed, "distill", *cell.values()),
        compute=run.compute,
        flip_allowed=dataset.horizontal_flip,
        experts=trajectories.Experts(inputs.experts, run.device) if inputs.experts else None,
    )
    variant_of = asked.module if asked.module != cell["method"] else None
    with named(variant_of and f"{cell['method']} (a variant of {asked.module})"):
        method = importlib.import_module(f"distillery.methods.{asked.module}")
        result = _driver.run(method, task, evolution, run.checkpoint(asked.checkpoint))
    about = header(
        dataset,
        cell,
        settings=settings,
        network=asked.network,
        iterations=iterations,
        code=asked.code,
        protocol=asked.protocol,
        of=variant_of,
        experts=trajectories.about(inputs.experts),
    )
    step_size = None if result.step_size is None else float(result.step_size)
    synthetic = SyntheticSet(
        result.images.cpu(), result.labels.cpu(), step_size, about, dataset.whitening
    )
    synthetic.save(outputs.synthetic)
    evolution.save(outputs.evolution, about)
    pictures.save_grid(outputs.picture, synthetic.pixels(), synthetic.hard_labels)
    metrics = Metrics(rule=asked.kind, **asked.identity)
    evolution.record(metrics)
    metrics.save(outputs.metrics)


if __name__ == "__main__":
    job.main(distill, snakemake.params, snakemake.input, snakemake.output, snakemake.log)
