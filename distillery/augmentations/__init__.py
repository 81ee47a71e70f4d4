"""Random changes to a batch of images: drawn once, applied as a pure function, so that they can be
shared and replayed.

``draw`` takes every random number from a generator; ``apply`` takes none. The same draws can
therefore change real and synthetic images alike (Siamese augmentation), be vectorised, be
differentiated in the images, and be replayed in a backward pass. Images are in normalised space,
and nothing is clamped; what an operation uncovers becomes 0, the data's mean colour.

Inside a compiled loop keep ``apply`` outside the compiled function: each operation would be another
compilation.

A module without an underscore is one augmentation, under the name of its file. It has

``draw(n, generator, *, shape, flip_allowed)``
    for n images of ``shape`` (C, H, W): ``(operation, draws)``, where ``draws`` is a dict of
    tensors (n, ...) that hold every random number, and ``operation(images, draws)`` is a pure
    function, differentiable in the images; n may be 1 for many images. Without ``flip_allowed`` a
    mirrored image may be of another class.

A setting that names one is called ``augment``.
"""

from distillery.augmentations._base import apply, augment, draw

__all__ = ["apply", "augment", "draw"]
