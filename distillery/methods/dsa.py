"""DSA: gradient matching with differentiable Siamese augmentation (Zhao and Bilen, ICML 2021, arXiv
2102.08259, algorithm 1).

DC's objective (``dc``), with one random augmentation A_w per class and step, the same for the real
and the synthetic images:

    sum over c of D(grad L_c(A_w(S), theta_t), grad L_c(A_w(T), theta_t)).

The derivative passes through A_w to the images. A_w is one of colour, crop, cutout, flip, scale and
rotation with one strength for all images (``augmentations.dsa``); the network trains between two
steps on images augmented one by one.
"""

from distillery.methods import _gradient_matching, _representative, base

TITLE = "DSA"
KIND = "distilled"
CITATION = {
    "authors": "Zhao, Bo and Bilen, Hakan",
    "title": "Dataset Condensation with Differentiable Siamese Augmentation",
    "venue": "ICML",
    "year": 2021,
    "arxiv": "2102.08259",
}
ORDER = 20
FACTORED = True
COLOUR = 3
AUGMENT = "dsa"
NEEDS_EMBEDDING = _representative.NEEDS_EMBEDDING
SETTINGS = _gradient_matching.SETTINGS
PROTOCOL = base.AUGMENTED


def build(task: base.Task) -> base.Distillation:
    """Match gradients under Siamese augmentation; errors are those of ``_gradient_matching``."""
    return _gradient_matching.GradientMatching(task, strategy=AUGMENT)


expected_work = _gradient_matching.expected_work
