"""Class-incremental learning by one strategy, with one memory set where the strategy has a
memory."""

from distillery import streams
from distillery.evaluation import continual as learning
from distillery.images import dataset as data
from distillery.images import whitening
from distillery.run import job
from distillery.sets.synthetic import SyntheticSet
from distillery.store import artefact
from distillery.store.metrics import Metrics
from distillery.vocabulary import AFTERWARDS


def continual(run, *, identity, strategy, network, groups, settings, seed, asked, inputs, outputs):
    dataset = data.load(
        inputs.data,
        run.device,
        whitening.given(inputs.whitening if "whitening" in inputs.keys() else []),
    )
    images, labels = learning.limited(
        dataset.images, dataset.labels, settings.get("images_per_class", 0)
    )
    metrics = Metrics(rule="continual", **identity, network=network["name"], strategy=strategy)
    memory, normalise = None, dataset.normalise
    if "memory" in inputs.keys():
        synthetic = SyntheticSet.load(inputs.memory)
        memory = synthetic.images.to(run.device), synthetic.hard_labels.to(run.device)
        # Real images join the memory set in its own space.
        normalise = synthetic.normalise
    tests = normalise(dataset.test_images), dataset.test_labels
    # The same streams for every strategy and memory: all start from the same networks and see the
    # same order.
    shared = {
        "stream": lambda purpose, *more: streams.generator(
            seed, "continual", identity["dataset"], network["name"], purpose, *more
        ),
        "compute": run.compute,
        "flip_allowed": dataset.horizontal_flip,
    }
    recipe = learning.recipe(strategy, settings)
    if strategy == AFTERWARDS:
        finetuned, history = learning.finetuned(
            *artefact.load(inputs.finetuned, rule="continual_alone or continual_whitened")
        )
        learning.afterwards(
            metrics, network, finetuned, history, memory, tests, groups, recipe, **shared
        )
    else:
        finals, history = learning.learn(
            metrics,
            strategy,
            network,
            normalise(images),
            labels,
            tests,
            groups,
            recipe,
            models=settings["models"],
            memory=memory,
            replay_batch=settings.get("replay_batch", 0),
            progress=run.progress(
                settings["models"] * len(groups) * recipe.trained_epochs, strategy, "epoch"
            ),
            **shared,
        )
        if "finetuned" in outputs.keys():
            artefact.save(outputs.finetuned, *learning.packed(finals, history))
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
