"""What accuracy hides where classes are of unequal size, or only two."""

import torch
from torch import Tensor

# A test set is uneven from here: its largest class has so many times the images of its smallest.
# MNIST's has 1.27 times, SVHN's 3.2 times.
UNEVEN = 1.5


def uneven(labels: Tensor, classes: int) -> bool:
    """Return whether accuracy alone would mislead on test images of these labels (N,) int64: there
    are two classes, or the largest is ``UNEVEN`` times the smallest that has images."""
    counts = torch.bincount(labels.cpu(), minlength=classes)
    counts = counts[counts > 0]
    return classes == 2 or bool(counts.max() >= UNEVEN * counts.min())


def balanced_accuracy(class_accuracy: Tensor) -> float:
    """Average the accuracies of the classes, (K,) with NaN where a class has no image: the mean
    recall of Brodersen et al., *The Balanced Accuracy and Its Posterior Distribution*, ICPR
    2010."""
    return float(class_accuracy.nanmean())


def auroc(logits: Tensor, labels: Tensor) -> float | None:
    """Compute the area under the ROC curve, of more than two classes the mean over those that have
    images, each against all others (Hand and Till 2001 average over pairs instead).

    Args:
        logits: (N, K).
        labels: (N,) int64.

    Returns:
        0 to 1, where 0.5 is chance; ``None`` where it is not defined: all images are of one class,
        or a logit is not finite.
    """
    from sklearn.metrics import roc_auc_score  # a second to load, which few jobs need

    if not torch.isfinite(logits).all():
        return None
    # What ranks an image for class c in a one-against-all curve is its probability; with two
    # classes both curves are one.
    probabilities, labels = logits.double().softmax(1).cpu(), labels.cpu()
    present = labels.unique().tolist()
    if len(present) < 2:
        return None
    asked = [1] if logits.shape[1] == 2 else present
    areas = [
        float(roc_auc_score((labels == c).numpy(), probabilities[:, c].numpy())) for c in asked
    ]
    return sum(areas) / len(areas)
