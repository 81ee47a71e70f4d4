"""Rates that make a closed form, and a study's jobs."""

from distillery import plugins
from distillery.estimate.rates import Rates
from distillery.estimate.sizes import KINDS
from distillery.store.layout import Layout
from distillery.study import load
from distillery.study.jobs import Jobs

CONFIG = {
    "study": "Estimated",
    "compute": {"threads": 1},
    "networks": {"ConvNet": {"width": 8, "depth": 1}},
    "grid": [{"dataset": "digits", "method": ["dc", "mtt", "random"], "init": "real", "ipc": 1}],
    "methods": {
        "dc": {"iterations": 3},
        "mtt": {"iterations": 2, "max_start_epoch": 1, "expert_epochs": 1},
    },
    "experts": {"default": {"number": 2, "epochs": 2}},
    "evaluate": {"networks": ["ConvNet"], "models": 2, "epochs": 4},
    "vanilla": {"networks": ["ConvNet"], "epochs": 3},
}
TRAIN, TEST = (getattr(plugins.datasets()["digits"], part) for part in ("train", "test"))
# A layer's call takes a millisecond, an operation and an activation nothing.
CALLS = Rates(
    2.0,
    dict.fromkeys(KINDS, 1e-3),
    dict.fromkeys(KINDS, 0.0),
    dict.fromkeys(KINDS, 0.0),
)


def jobs_of(results="out", **changes) -> Jobs:
    study = load.study(CONFIG | {"results": str(results)} | changes)
    return Jobs(study, Layout(study.config["results"]))
