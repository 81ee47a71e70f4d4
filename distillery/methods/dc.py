"""DC: dataset condensation with gradient matching (Zhao, Mopuri and Bilen, ICLR 2021, arXiv
2006.05929, algorithm 1).

With D the distance of two gradients, layer by layer and output row by output row 1 - cosine
(``matching.distance``), T the real and S the synthetic images, and L_c the mean cross-entropy on
the images of class c, the images S descend

    sum over c of D(grad L_c(S, theta_t), grad L_c(T, theta_t)),    theta_0 a random network,
    theta_t+1 trained on S from theta_t.

The loop is ``_gradient_matching``'s.
"""

from distillery.methods import _gradient_matching, _representative, base

TITLE = "DC"
KIND = "distilled"
CITATION = {
    "authors": "Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan",
    "title": "Dataset Condensation with Gradient Matching",
    "venue": "ICLR",
    "year": 2021,
    "arxiv": "2006.05929",
}
ORDER = 10
FACTORED = True
COLOUR = 1
AUGMENT = "none"
NEEDS_EMBEDDING = _representative.NEEDS_EMBEDDING
SETTINGS = _gradient_matching.SETTINGS
# Published: 300 epochs; 1000 where images are augmented, which they are on MNIST alone.
PROTOCOL = base.PROTOCOL


def build(task: base.Task) -> base.Distillation:
    """Match gradients without augmentation; errors are those of ``_gradient_matching``."""
    return _gradient_matching.GradientMatching(task, strategy=AUGMENT)


expected_work = _gradient_matching.expected_work
