"""A step of an unrolled run as two functions that share the results of its convolutions.

The adjoint of a step needs its forward and its backward pass again, a third of the adjoint's
arithmetic. Nearly all of that is in convolutions, whose results are few beside all that a graph
remembers: of the ConvNet of width 128 on 100 images of 32 x 32 pixels 33 MB a step, where full
unrolling keeps 330. So the first function gives these results beside the gradient, and the second
takes them in place of its own; normalisations, nonlinearities and pooling are computed again, which
is faster than to read them would be. It is the same arithmetic, done once.

Both are graphs of ATen operations that torch traces. The adjoint's begins with the operations of
the gradient's, in their order, so the convolutions of the first are the first of the second.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

# Multiply-adds that a number must have taken to be kept. The first convolution's take 27 for three
# channels: they are as fast to compute as to read.
WORTH = 256

aten = torch.ops.aten


def halves(
    gradient: Callable, theta: Tensor, images: Tensor, labels: Tensor
) -> tuple[GraphModule, GraphModule]:
    """Trace a step and its adjoint for inputs of these shapes.

    Args:
        gradient: ``gradient(theta, images, labels)`` as ``_unroll.pieces`` gives it.
        theta: parameters (P,).
        images: of a step; with ``labels`` they give shapes and dtypes, no values.
        labels: theirs, class numbers or soft ones.

    Returns:
        ``step(theta, images, labels) -> (gradient, kept)``, and ``back(theta, images, labels,
        adjoint, *kept)``, the derivatives of the gradient's product with the adjoint in theta, the
        images and soft labels.

    Raises:
        Exception: of any kind, where the network cannot be traced, as one whose course depends on
            values.
    """
    # Late: it loads much of the compiler.
    from torch.fx.experimental.proxy_tensor import make_fx

    def traced(function: Callable, *inputs: Tensor) -> GraphModule:
        with _compiling():
            return make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)

    varied = 3 if labels.is_floating_point() else 2

    def derivatives(*given: Tensor) -> Any:
        *inputs, adjoint = given
        _, pull, *_ = torch.func.vjp(lambda *of: gradient(*of, *inputs[varied:]), *inputs[:varied])
        return pull(adjoint)

    step = traced(gradient, theta, images, labels)
    back = traced(derivatives, theta, images, labels, torch.empty_like(theta))
    kept = _results(step)
    _give(step, kept)
    _take(back, _results(back)[: len(kept)])
    return step, back


@contextlib.contextmanager
def _compiling() -> Iterator[None]:
    """Within the block layers take the form that they have where they are compiled."""
    flags: Any = torch.compiler
    before, flags._is_compiling_flag = flags._is_compiling_flag, True
    try:
        yield
    finally:
        flags._is_compiling_flag = before


def _results(module: GraphModule) -> list[Node]:
    """Return what the convolutions of a graph give that is worth keeping, and the derivatives in
    their images, in the order of the graph."""
    found: list[Node] = []
    for node in module.graph.nodes:
        arguments: Any = node.args
        if node.target is aten.convolution.default:
            found += [node] * _worth(arguments[1].meta["val"][0])
        elif node.target is aten.convolution_backward.default and arguments[-1][0]:
            worth = _worth(arguments[2].meta["val"][:, 0])
            found += [part for part in node.users if worth and part.args[1] == 0]
    # The layout in which they are given has four dimensions.
    return [node for node in found if node.meta["val"].ndim == 4]


def _worth(kernels: Tensor) -> bool:
    """Tell whether what a convolution gives took enough to be kept, by the part of its kernels
    that one number takes."""
    return kernels.numel() >= WORTH


def _give(module: GraphModule, kept: list[Node]) -> None:
    """Have a graph give ``kept`` beside its result."""
    graph = module.graph
    output = next(node for node in graph.nodes if node.op == "output")
    with graph.inserting_before(output):
        # The layout of the fast convolutions, which read and write it without a copy.
        last: dict[str, Any] = {"memory_format": torch.channels_last}
        copies = [graph.call_function(aten.clone.default, (node,), last) for node in kept]
    output.args = ((output.args[0], copies),)
    _finish(module)


def _take(module: GraphModule, kept: list[Node]) -> None:
    """Have a graph take ``kept`` as inputs, behind those that it has, and not compute them."""
    graph = module.graph
    first = next(node for node in graph.nodes if node.op != "placeholder")
    for number, node in enumerate(kept):
        with graph.inserting_before(first):
            given = graph.placeholder(f"kept_{number}")
        node.replace_all_uses_with(given)
        graph.erase_node(node)
    for node in graph.nodes:
        # What is computed of another layout may not allow a view.
        if node.target is aten.view.default:
            node.target = aten.reshape.default
    _finish(module)


def _finish(module: GraphModule) -> None:
    module.graph.eliminate_dead_code()
    module.graph.lint()
    module.recompile()
