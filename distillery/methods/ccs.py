"""CCS: real images from all of a class's difficulties but the worst (Zheng, Liu, Lai and Prakash,
*Coverage-centric Coreset Selection for High Pruning Rates*, ICLR 2023, arXiv 2210.15809, algorithm
1).

The share ``cut`` of hardest images is left out, as mislabelled or odd. The range of scores of the
others is divided into ``strata`` of equal width; the budget goes to the strata in equal shares, the
smallest first, which may not have its share: what it cannot use is shared by those that follow.
Within a stratum images are drawn at random. DEVIATES: each class has its own strata, so that each
has its number of images; and the score is EL2N or forgetting, the paper's is AUM.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distillery.methods import _coreset, base

if TYPE_CHECKING:
    from distillery.estimate.sizes import Sizes

TITLE = "CCS"
KIND = "coreset"
CITATION = {
    "authors": "Zheng, Haizhong and Liu, Rui and Lai, Fan and Prakash, Atul",
    "title": "Coverage-centric Coreset Selection for High Pruning Rates",
    "venue": "ICLR",
    "year": 2023,
    "arxiv": "2210.15809",
}
ORDER = 18
NEEDS_EXPERTS = True
SETTINGS = {
    **_coreset.TEACHERS,
    **_coreset.EARLY,
    "score": {
        "type": "string",
        "enum": ["forgetting", "el2n"],
        "default": "forgetting",
        "description": "What difficulty is; teacher_epoch is EL2N's.",
    },
    "cut": {
        "type": "number",
        "minimum": 0,
        "maximum": 0.95,
        "default": 0.3,
        "description": "The share of hardest images that is left out.",
    },
    "strata": {
        "type": "integer",
        "minimum": 1,
        "default": 50,
        "description": "Ranges of difficulty.",
    },
}


def select(task: base.Task) -> Tensor:
    """Choose images over all difficulties of each class. ``stream("strata", c)`` draws those of
    class c.

    Raises:
        UserError: a class has fewer than ``ipc`` images, or there are no experts of the network.
    """
    settings = task.settings
    index = base.ClassIndex(task.labels, task.classes)
    base.enough(index, task.ipc)
    scores = (_coreset.el2n if settings["score"] == "el2n" else _coreset.forgetting)(task).cpu()
    chosen = []
    for c, members in enumerate(index.members):
        generator = task.stream("strata", c)
        # Equals of the last score that stays are drawn, too.
        order = _coreset.ranked(scores, members.cpu(), generator, hardest=False)
        kept = order[: max(task.ipc, len(order) - int(settings["cut"] * len(order)))]
        chosen.append(kept[stratified(scores[kept], task.ipc, settings["strata"], generator)])
    return torch.cat(chosen).to(task.device)


def stratified(scores: Tensor, number: int, strata: int, generator: torch.Generator) -> Tensor:
    """Draw ``number`` places of ``scores`` (n,), shared equally among ``strata`` ranges of equal
    width; n is ``number`` or more.

    Returns:
        (number,) int64.
    """
    low, high = float(scores.min()), float(scores.max())
    width = (high - low) / strata or 1.0
    stratum = ((scores - low) / width).long().clamp(max=strata - 1)
    groups = [(stratum == each).nonzero().flatten() for each in stratum.unique().tolist()]
    # Of strata of one size the order is drawn: with fewer images than strata, the last ones would
    # always be left out or always be taken.
    drawn = torch.randperm(len(groups), generator=generator).tolist()
    groups = sorted((groups[place] for place in drawn), key=len)
    chosen: list[Tensor] = []
    left = number
    for place, group in enumerate(groups):
        share = min(len(group), left // (len(groups) - place))
        chosen.append(group[torch.randperm(len(group), generator=generator)[:share]])
        left -= share
    return torch.cat(chosen)


def expected_work(sizes: "Sizes") -> list[tuple]:
    """Return the passes of the network that a set takes."""
    epochs = 1 if sizes.settings["score"] == "el2n" else sizes.expert_epochs
    return _coreset.expected_work_of_teachers(sizes, sizes.images, epochs)
