"""Make one synthetic set: distilled, or chosen from the real images."""

import importlib

from distillery import streams
from distillery.errors import named
from distillery.images import dataset as data
from distillery.images import pictures, whitening
from distillery.methods.base import Task, initial_images
from distillery.networks import NetworkSpec
from distillery.run import job
from distillery.sets.evolution import Evolution
from distillery.sets.synthetic import SyntheticSet, header
from distillery.store.artefact import digests
from distillery.store.checkpoint import Checkpoint
from distillery.store.metrics import Metrics
from distillery.training import trajectories


def distill(
    run,
    *,
    cell,
    module,
    network,
    settings,
    protocol,
    snapshots,
    validation,
    seed,
    code,
    compute,
    checkpoint,
    asked,
    inputs,
    outputs,
):
    dataset = data.load(inputs.data, run.device, whitening.given(inputs.whitening))
    rows = data.split(dataset, validation, seed).train_index
    images, labels, classes = (
        dataset.normalise(dataset.images[rows]),
        dataset.labels[rows],
        len(dataset.classes),
    )
    start = streams.generator(
        seed, "initial", cell["dataset"], cell["init"], cell["ipc"], cell["seed"]
    )
    iterations = settings.get("iterations", 0)
    read = digests([inputs.data, *inputs.whitening, *inputs.experts])
    identity = {**cell, "of": [network, settings, snapshots, validation, seed, code, compute, read]}
    saved = Checkpoint(checkpoint, identity)
    saved.stop_gently()
    evolution = Evolution(
        iterations, snapshots, run.progress(iterations, "distillation", "iteration").iteration
    )
    task = Task(
        images=images,
        labels=labels,
        initial=initial_images(cell["init"], images, labels, classes, cell["ipc"], start),
        classes=classes,
        ipc=cell["ipc"],
        network=NetworkSpec(**network),
        settings=settings,
        stream=lambda *purpose: streams.generator(seed, "distill", *cell.values(), *purpose),
        recorder=evolution,
        compute=run.compute,
        flip_allowed=dataset.horizontal_flip,
        experts=trajectories.Experts(inputs.experts, run.device) if inputs.experts else None,
        checkpoint=saved,
    )
    variant_of = module if module != cell["method"] else None
    with named(variant_of and f"{cell['method']} (a variant of {module})"):
        result = importlib.import_module(f"distillery.methods.{module}").distill(task)
    made = {
        "settings": settings,
        "network": network,
        "iterations": iterations,
        "code": code,
        "protocol": protocol,
    }
    about = header(
        dataset, **cell, **made, of=variant_of, experts=trajectories.about(inputs.experts)
    )
    synthetic = SyntheticSet(
        result.images.cpu(), result.labels.cpu(), result.step_size, about, dataset.whitening
    )
    synthetic.save(outputs.synthetic)
    evolution.save(outputs.evolution, about)
    pictures.save_grid(outputs.picture, synthetic.pixels(), synthetic.hard_labels)
    metrics = Metrics(rule="distill", **cell)
    evolution.record(metrics)
    metrics.save(outputs.metrics)
    run.save_cost(outputs.cost, rule="distill", asked=asked, inputs=inputs, outputs=outputs, **cell)
    saved.finish()


if __name__ == "__main__":
    asked = job.asked("distill", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        distill(
            run,
            cell=snakemake.params.cell,
            module=snakemake.params.module,
            network=snakemake.params.network,
            settings=snakemake.params.settings,
            protocol=snakemake.params.protocol,
            snapshots=snakemake.params.snapshots,
            validation=snakemake.params.validation,
            seed=snakemake.params.seed,
            code=snakemake.params.code,
            compute=snakemake.params.compute,
            checkpoint=snakemake.params.checkpoint,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
