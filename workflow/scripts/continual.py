"""Class-incremental learning by one strategy, with one memory set where the strategy has a
memory."""

import functools
from dataclasses import replace

from distillery import streams
from distillery.evaluation import continual as learning
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.images.labelled import Images
from distillery.networks import NetworkSpec
from distillery.recipe import Recipe
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.training.train import Bench, Replay
from distillery.vocabulary import AFTERWARDS


def continual(run, *, identity, strategy, network, groups, settings, seed, asked, inputs, outputs):
    dataset = data.load(
        inputs.data,
        run.device,
        whitening.given(inputs.whitening if "whitening" in inputs.keys() else []),
    )
    metrics = Metrics(rule="continual", **identity, network=network["name"], strategy=strategy)
    memory, normalise = None, dataset.normalise
    if "memory" in inputs.keys():
        synthetic = SyntheticSet.load(inputs.memory)
        memory = Images(synthetic.images, synthetic.hard_labels).to(run.device)
        # Real images join the memory set in its own space.
        normalise = synthetic.normalise
    tested = Images(normalise(dataset.test_images), dataset.test_labels)
    # The same streams for every strategy and memory: all start from the same networks and see the
    # same order.
    names = "continual", identity["dataset"], network["name"]
    bench = Bench(
        network=NetworkSpec(**network),
        stream=functools.partial(streams.generator, seed, *names),
        compute=run.compute,
        flip=dataset.horizontal_flip,
    )
    if strategy == AFTERWARDS:
        own = {name: settings[f"afterwards_{name}"] for name in ("epochs", "batch")}
        recipe = Recipe.of(settings | own | {"decay": "none"})
        learned = learning.Learned.unpacked(
            *artefact.load(inputs.finetuned, rule="continual_alone or continual_whitened")
        )
        metrics.extend(learning.afterwards(bench, recipe, memory, learned, tested, groups))
    else:
        recipe, models = Recipe.of(settings | {"decay": "none"}), settings["models"]
        images, labels = learning.limited(
            dataset.images, dataset.labels, settings.get("images_per_class", 0)
        )
        epochs = models * len(groups) * recipe.trained_epochs
        measured, learned = learning.learn(
            replace(bench, progress=run.progress(epochs, strategy, "epoch")),
            recipe,
            strategy,
            Images(normalise(images), labels),
            tested,
            groups,
            models,
            memory and Replay(memory, settings["replay_batch"]),
        )
        metrics.extend(measured)
        if "finetuned" in outputs.keys():
            artefact.save(outputs.finetuned, *learned.packed())
    metrics.save(outputs.metrics)
    told = {**identity, "network": network["name"], "strategy": strategy}
    run.save_cost(
        outputs.cost, rule="continual", asked=asked, inputs=inputs, outputs=outputs, **told
    )


if __name__ == "__main__":
    asked = job.asked("continual", snakemake.params, snakemake.wildcards)
    with job.run(snakemake.log[0], snakemake.params.compute, asked=asked) as run:
        continual(
            run,
            identity=snakemake.params.identity,
            strategy=snakemake.wildcards.strategy,
            network=snakemake.params.network,
            groups=snakemake.params.groups,
            settings=snakemake.params.settings,
            seed=snakemake.params.seed,
            asked=asked,
            inputs=snakemake.input,
            outputs=snakemake.output,
        )
