"""The fast 3 x 3 convolutions against torch's own, in double precision."""

import os
import shutil

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from distillery import networks
from distillery.compute import winograd
from distillery.compute.device import Compute
from distillery.methods import base
from distillery.networks import NetworkSpec


@pytest.fixture(autouse=True)
def _fast_ones():
    """Skip where there are none. They are compiled here for the first test, not for all that
    collects this file."""
    if winograd.library() is None:
        pytest.skip("there are no fast convolutions here: no AVX2 or no C++ compiler")


SHAPES = [
    (3, 8, 8, 32, 64),
    (2, 16, 12, 64, 32),
    (1, 24, 28, 32, 32),
    (7, 16, 16, 128, 128),
    (13, 8, 8, 96, 160),
]


def _far(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


def _drawn(shape, seed=0, groups=1):
    count, height, width, inputs, outputs = shape
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, groups * inputs, height, width, generator=generator)
    kernels = torch.randn(groups * outputs, inputs, 3, 3, generator=generator)
    return images, kernels, torch.randn(count, groups * outputs, height, width, generator=generator)


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_three_products_are_those_of_the_direct_convolution(shape, groups, threads):
    images, kernels, derivative = _drawn(shape, groups=groups)
    wide = images.double().requires_grad_(), kernels.double().requires_grad_()
    expected = functional.conv2d(*wide, padding=1, groups=groups)
    back, correlated = torch.autograd.grad(expected, wide, derivative.double())
    assert _far(winograd.convolve(images, kernels, False, groups), expected.detach()) < 1e-5
    assert _far(winograd.convolve(derivative, kernels, True, groups), back) < 1e-5
    assert _far(winograd.correlate(images, derivative, groups), correlated) < 1e-5


def test_an_image_depends_on_no_other_and_the_layout_does_not_matter():
    images, kernels, _ = _drawn(SHAPES[3])
    together = winograd.convolve(images, kernels, False, 1)
    assert torch.equal(
        together, winograd.convolve(images.to(memory_format=torch.channels_last), kernels, False, 1)
    )
    for n in range(len(images)):
        assert torch.equal(together[n], winograd.convolve(images[n : n + 1], kernels, False, 1)[0])


def test_the_same_call_gives_the_same_bits(threads):
    images, _, derivative = _drawn(SHAPES[3])
    assert torch.equal(
        winograd.correlate(images, derivative, 1), winograd.correlate(images, derivative, 1)
    )


def _network():
    # A ReLU whose input is about 0 opens or closes by the last bits, so one float32 gradient
    # differs from another by more than rounding.
    spec = NetworkSpec("ConvNet", 1, 28, 10, {"width": 32, "activation": "sigmoid"})
    module = base.network(spec, torch.device("cpu"))
    apply, _ = networks.functional(module)
    return apply, base.fresh_parameters(module, torch.Generator().manual_seed(3))


def _left(graph):
    return [
        node
        for node in graph.nodes
        if node.target
        in (winograd.aten.convolution.default, winograd.aten.convolution_backward.default)
    ]


def _rewritten(function, *arguments):
    made = make_fx(function, tracing_mode="fake")(*arguments)
    replaced = winograd.rewrite(made.graph)
    for node in made.graph.nodes:
        if node.target is torch.ops.aten.view.default:
            node.target = (
                torch.ops.aten.reshape.default
            )  # what the compiler makes of it, whatever the layout
    made.recompile()
    return made, replaced


@pytest.mark.slow
def test_every_wide_convolution_of_a_second_derivative_is_replaced_and_the_result_stays():
    apply, params = _network()
    names = tuple(params)
    generator = torch.Generator().manual_seed(4)
    images, labels = torch.randn(12, 1, 28, 28, generator=generator), torch.arange(12) % 10

    def projected(values, x, y):
        gradients = torch.func.grad(lambda p: functional.cross_entropy(apply(p, x), y))(
            dict(zip(names, values, strict=True))
        )
        return sum(gradient.square().sum() for gradient in gradients.values())

    second = torch.func.grad(projected, argnums=(0, 1))
    made, replaced = _rewritten(second, list(params.values()), images, labels)
    # What is left belongs to the first layer, whose single channel (and an empty second one) is too
    # few.
    assert replaced == 14
    for node in _left(made.graph):
        shapes = [
            argument.meta["val"].shape
            for argument in node.args
            if isinstance(argument, torch.fx.Node)
        ]
        assert any(len(shape) == 4 and shape[1] == 2 for shape in shapes)
    with torch.no_grad():
        theta, x = made(list(params.values()), images, labels)
        expected_theta, expected_x = second(
            [v.double() for v in params.values()], images.double(), labels
        )
    assert _far(x, expected_x) < 1e-4
    assert (
        _far(
            torch.cat([v.flatten() for v in theta]),
            torch.cat([v.flatten() for v in expected_theta]),
        )
        < 1e-4
    )


@pytest.mark.slow
def test_classes_side_by_side_become_groups():
    apply, params = _network()
    images = torch.randn(3, 8, 1, 28, 28, generator=torch.Generator().manual_seed(5))
    labels = torch.arange(3)[:, None].expand(3, 8)

    def gradients(values, x, y):
        return torch.vmap(
            torch.func.grad(lambda p, i, t: functional.cross_entropy(apply(p, i), t)),
            in_dims=(None, 0, 0),
        )(values, x, y)

    made, replaced = _rewritten(gradients, params, images, labels)
    assert replaced == 6
    assert any(
        node.target is torch.ops.distillery.correlate.default and node.args[2] == 3
        for node in made.graph.nodes
    )
    with torch.no_grad():
        found, expected = (
            made(params, images, labels),
            gradients(
                {name: value.double() for name, value in params.items()}, images.double(), labels
            ),
        )
    for name in ("features.4.weight", "features.8.weight", "classifier.weight"):
        assert _far(found[name], expected[name]) < 1e-4


@pytest.mark.parametrize(
    "why, images, kernels, options",
    [
        (
            "double precision",
            torch.zeros(8, 32, 16, 16, dtype=torch.float64),
            torch.zeros(32, 32, 3, 3, dtype=torch.float64),
            {"padding": 1},
        ),
        (
            "bfloat16",
            torch.zeros(8, 32, 16, 16, dtype=torch.bfloat16),
            torch.zeros(32, 32, 3, 3, dtype=torch.bfloat16),
            {"padding": 1},
        ),
        ("no padding", torch.zeros(8, 32, 16, 16), torch.zeros(32, 32, 3, 3), {}),
        (
            "a stride",
            torch.zeros(8, 32, 16, 16),
            torch.zeros(32, 32, 3, 3),
            {"padding": 1, "stride": 2},
        ),
        (
            "a dilation",
            torch.zeros(8, 32, 16, 16),
            torch.zeros(32, 32, 3, 3),
            {"padding": 1, "dilation": 2},
        ),
        ("another kernel", torch.zeros(8, 32, 16, 16), torch.zeros(32, 32, 5, 5), {"padding": 1}),
        ("few channels", torch.zeros(8, 3, 16, 16), torch.zeros(32, 3, 3, 3), {"padding": 1}),
        ("an uneven size", torch.zeros(8, 32, 14, 14), torch.zeros(32, 32, 3, 3), {"padding": 1}),
        ("few tiles", torch.zeros(2, 32, 4, 4), torch.zeros(32, 32, 3, 3), {"padding": 1}),
    ],
)
def test_what_the_kernels_cannot_do_or_are_slower_at_stays_as_it_is(why, images, kernels, options):
    made, replaced = _rewritten(lambda x, w: functional.conv2d(x, w, **options), images, kernels)
    assert replaced == 0 and len(_left(made.graph)) == 1


@pytest.mark.long
def test_compiled_functions_use_them(monkeypatch):
    images, kernels, derivative = _drawn(SHAPES[3])
    replaced, rewrite = [], winograd.rewrite
    monkeypatch.setattr(winograd, "rewrite", lambda graph: replaced.append(rewrite(graph)))

    def gradient(x, w):
        return torch.func.grad(
            lambda x, w: (torch.tanh(functional.conv2d(x, w, padding=1)) * derivative).sum(),
            argnums=(0, 1),
        )(x, w)

    with torch._inductor.config.patch(force_disable_caches=True), torch.no_grad():
        found = Compute().compiled(gradient, device="cpu", expected_seconds=1e9)(images, kernels)
    derivative = derivative.double()
    for one, expected in zip(found, gradient(images.double(), kernels.double()), strict=True):
        assert _far(one, expected) < 1e-4
    assert replaced == [2]


@pytest.mark.slow
def test_without_a_compiler_everything_stays_usual(tmp_path, starter):
    script = (
        "import os; os.environ['PATH'] = ''\n"
        "from distillery.compute import winograd\n"
        "import torch\n"
        "assert winograd.library() is None and winograd.options() == {}\n"
        "assert not winograd.fits(torch.zeros(8, 32, 16, 16), 32, 32)\n"
    )
    starter.script(tmp_path / "job.py", script)


@pytest.mark.slow
def test_a_compiler_that_fails_is_reported_and_the_usual_convolutions_serve(
    tmp_path, monkeypatch, caplog
):
    broken = tmp_path / "g++"
    real = shutil.which("g++")
    broken.write_text(
        f'#!/bin/sh\ncase "$*" in *march*) echo no such target >&2; exit 1;; esac\nexec {real} '
        '"$@"\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    winograd.library.cache_clear()
    try:
        with caplog.at_level("INFO", logger="distillery"):
            assert winograd.library() is None and winograd.options() == {}
        assert "no such target" in caplog.text and "usual" in caplog.text
        assert not list(tmp_path.rglob("*.so"))
    finally:
        winograd.library.cache_clear()


@pytest.mark.slow
def test_a_library_that_is_not_whole_is_re_created_before_it_is_loaded(tmp_path, starter):
    """One that was cut short would end every job that loads it, until somebody deletes it by
    hand."""
    script = (
        "import os, pathlib, sys\n"
        "os.environ['TORCHINDUCTOR_CACHE_DIR'] = sys.argv[1]\n"
        "from distillery.compute import winograd\n"
        "assert winograd.library() is not None\n"
        "(path,) = pathlib.Path(sys.argv[1]).glob('winograd-*.so')\n"
        "whole = path.read_bytes()\n"
        "run = winograd.subprocess.run\n"
        "def give_again(command, **how):\n"
        "    if '-o' not in command:\n"
        "        return run(command, **how)\n"
        "    pathlib.Path(command[-1]).write_bytes(whole[:-32])  # which takes seconds to compile\n"
        "for damaged in (whole[: len(whole) // 2], whole[:9] + bytes([whole[9] ^ 1]) + whole[10:], "
        "b'', whole[:-32]):\n"
        "    other = path.with_suffix('.tmp')\n"
        "    other.write_bytes(damaged)\n"
        "    other.replace(path)  # what is loaded stays as it is\n"
        "    assert not winograd._whole(path)\n"
        "    if damaged == whole[: len(whole) // 2]:\n"
        "        winograd.library.cache_clear()\n"
        "        winograd.subprocess.run = give_again\n"
        "        assert winograd.library().lanes() in (8, 16)\n"
        "        assert winograd._whole(path)\n"
    )
    starter.script(tmp_path / "job.py", script, str(tmp_path / "cache"))
