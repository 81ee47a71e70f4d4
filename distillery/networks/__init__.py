"""The networks: small image classifiers as pure functions, twice differentiable, vectorised over
parameters, compiled.

The architectures are those of the dataset-distillation literature (Zhao, Mopuri and Bilen, *Dataset
Condensation with Gradient Matching*, ICLR 2021, section 4.1; Gidaris and Komodakis, CVPR 2018, for
the three-block ConvNet), so that parameter counts agree with the published studies: the ConvNet has
320,010 on CIFAR-10 and 317,706 on MNIST.

A module without an underscore is one network, named as its file in its own capitals. It binds

``SPEC``
    a literal, read without an import: ``name``, ``minimum_size`` (pixels of the smaller side),
    ``options`` (name to JSON-schema property with a ``default``; an integer has a ``minimum`` and a
    ``maximum``) and, where its normalisation mixes the images of a batch, so that nothing can be
    distilled with it, ``batch_norm``: true, or the values of options with which it does.
    ``halvings`` and ``multiples`` say what the options ask of the images and of each other,
    ``by_size`` which options follow the images (:mod:`distillery.limits`).
``build(channels, size, classes, **options)``
    the network for images of ``size`` pixels a side, or of a height and width where they differ
    (``limits.sides`` gives both): a ``Network``, or any module with ``embed(images)`` and
    ``classifier``. Convolutions, linear layers and normalisations start as :func:`initialise` says;
    another layer with parameters says so itself by a method ``reset(generator)``. A layer that
    draws random numbers in its forward pass is refused: it could not be repeated.
"""

from distillery.networks._arithmetic import count, macs, record_training, training_flops
from distillery.networks._build import build, from_spec
from distillery.networks._functional import (
    cast,
    flatten,
    functional,
    functional_embed,
    parameters,
    unflatten,
)
from distillery.networks._layers import InstanceNorm, Network, for_device, initialise
from distillery.networks._spec import NetworkSpec

__all__ = [
    "InstanceNorm",
    "Network",
    "NetworkSpec",
    "build",
    "cast",
    "count",
    "flatten",
    "for_device",
    "from_spec",
    "functional",
    "functional_embed",
    "initialise",
    "macs",
    "parameters",
    "record_training",
    "training_flops",
    "unflatten",
]
