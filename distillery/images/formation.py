"""Several images stored in one (Kim et al., *Dataset Condensation via Efficient Synthetic-Data
Parameterization*, ICML 2022, arXiv 2205.14959, section 4: multi-formation; IDC).

A stored image is cut into f x f parts, and each part is scaled up, bilinearly, to the whole image's
sides: f² images for training in the bytes of one, of f times less resolution. Both ways are
linear. They act in the space in which a set is stored: where channels are normalised that is the
same as on pixels, for the weights of each scaled pixel add up to 1; whitened images are decoded as
whitened ones. DEVIATES: the authors pad sides that f does not divide; here f divides them. They
start from real images by every f-th pixel, here from the mean of each f x f.
"""

from torch import Tensor
from torch.nn import functional


def decode(images: Tensor, factor: int) -> Tensor:
    """Return the images that training sees.

    Args:
        images: (…, N, C, H, W) floating, as they are stored; ``factor`` divides H and W.
        factor: parts on a side, f; 1 gives the images as they are.

    Returns:
        (…, N·f², C, H, W): those of the first stored image first, row by row of its parts.
    """
    if factor == 1:
        return images
    *lead, count, channels, height, width = images.shape
    high, wide = height // factor, width // factor
    parts = images.reshape(-1, channels, factor, high, factor, wide).permute(0, 2, 4, 1, 3, 5)
    grown = functional.interpolate(
        parts.reshape(-1, channels, high, wide),
        size=(height, width),
        mode="bilinear",
        align_corners=False,
    )
    return grown.reshape(*lead, count * factor**2, channels, height, width)


def encode(images: Tensor, factor: int) -> Tensor:
    """Return stored images that hold others, each scaled down to its part: the mean of every f x f
    pixels.

    Args:
        images: (N·f², C, H, W) floating, in the order of :func:`decode`; f divides H and W.
        factor: parts on a side, f; 1 gives the images as they are.

    Returns:
        (N, C, H, W).
    """
    if factor == 1:
        return images
    channels, height, width = images.shape[1:]
    parts = functional.avg_pool2d(images, factor)
    parts = parts.reshape(-1, factor, factor, channels, height // factor, width // factor)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, height, width)
