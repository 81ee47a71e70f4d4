"""The networks against published counts and closed forms, and as the pure functions that the
methods need."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from distillery import networks, plugins
from distillery.errors import UserError
from distillery.networks import NetworkSpec, _build

TINY = {"channels": 1, "size": 8, "classes": 3, "width": 4, "depth": 2}


def made(name, seed=0, **shape):
    return networks.initialise(networks.build(name, **shape), torch.Generator().manual_seed(seed))


def random(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# ---- architecture --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, channels, size, classes, parameters",
    [
        ("ConvNet", 3, 32, 10, 320_010),
        ("ConvNet", 1, 28, 10, 317_706),
        ("ConvNet", 3, 32, 100, 504_420),
        ("LeNet", 3, 32, 10, 62_006),
        ("LeNet", 1, 28, 10, 61_706),
        ("MLP", 1, 28, 10, 784 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        # The count that CIFAR-10 papers give for ResNet18 (11.17 M). Instance norm has as many
        # scales and shifts.
        ("ResNet18BN", 3, 32, 10, 11_173_962),
        ("ResNet18", 3, 32, 10, 11_173_962),
    ],
)
def test_parameter_counts_are_the_published_ones(name, channels, size, classes, parameters):
    assert count(networks.build(name, channels=channels, size=size, classes=classes)) == parameters


@pytest.mark.parametrize("width, depth, pooling", [(4, 1, "avg"), (8, 3, "max"), (8, 2, "none")])
@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group", "none"])
def test_convnet_has_what_its_options_say(width, depth, pooling, norm):
    channels, size, classes = 3, 16, 5
    module = networks.build(
        "ConvNet",
        channels=channels,
        size=size,
        classes=classes,
        width=width,
        depth=depth,
        norm=norm,
        pooling=pooling,
    )
    expected, inputs, side = 0, channels, size
    for _ in range(depth):
        expected += inputs * width * 9 + width
        expected += {"none": 0, "layer": 2 * width * side * side}.get(norm, 2 * width)
        inputs = width
        side //= 1 if pooling == "none" else 2
    assert count(module) == expected + width * side * side * classes + classes
    assert module.classifier.in_features == width * side * side


# Of every plug-in, one that is added too.
SHAPES = [
    (name, size, {"width": 4} if "width" in network.options else {})
    for name, network in plugins.networks().items()
    for size in sorted({network.minimum_size, 28})
]


@pytest.mark.parametrize("name, size, options", SHAPES)
def test_every_network_takes_its_smallest_image_and_a_28_by_28_one(name, size, options):
    module = made(name, channels=2, size=size, classes=3, **options).eval()
    images = random(2, 2, size, size)
    with torch.no_grad():
        logits, embedding = module(images), module.embed(images)
        assert logits.shape == (2, 3) and torch.isfinite(logits).all()
        assert not torch.allclose(logits[0], logits[1], rtol=0, atol=1e-6)
        assert embedding.ndim == 2 and torch.equal(module.classifier(embedding), logits)
        # No image's answer depends on its neighbours.
        assert torch.allclose(module(images[:1]), logits[:1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options", [("ConvNet", {"width": 4}), ("LeNet", {}), ("AlexNet", {}), ("VGG11", {})]
)
def test_a_28_by_28_image_is_one_of_32_by_32_with_a_border(name, options):
    small = made(name, channels=1, size=28, classes=3, **options)
    large = networks.build(name, channels=1, size=32, classes=3, **options)
    large.load_state_dict(small.state_dict())
    images = random(2, 1, 28, 28)
    with torch.no_grad():
        assert torch.allclose(small(images), large(functional.pad(images, (2, 2, 2, 2))), atol=1e-5)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("Convnet", {}, "unknown network 'Convnet'; known are .*ConvNet, "),
        ("ConvNet", {"depths": 3}, "no option 'depths'; its options: width"),
        ("LeNet", {"width": 3}, "it has none"),
        ("ConvNet", {"norm": "both"}, "norm must be one of instance"),
        ("ConvNet", {"width": 0}, "width must be an integer from 1 to 4096, not 0"),
        ("ConvNet", {"width": 10**9}, "width must be an integer from 1 to 4096, not 1000000000"),
        ("ResNet18BN", {"width": True}, "width must be an integer from 1 to 512, not True"),
        ("ConvNet", {"width": True}, "width must be an integer"),
        ("ConvNet", {"depth": 2.0}, "depth must be an integer"),
        ("ConvNet", {"depth": 4}, "with depth 4 needs images of at least 16 pixels a side"),
        ("ConvNet", {"norm": "group", "width": 6}, "multiple of 4"),
        ("ConvNet", {"size": 7}, "at least 8 pixels a side, not 7"),
        ("ConvNet", {"classes": 0}, "classes must be a positive integer"),
        ("ConvNet", {"channels": "3"}, "channels must be a positive integer"),
        ("ResNet18", {"size": 15}, "at least 16 pixels a side"),
        ("VGG11", {"size": 30}, "of 28 or at least 32 pixels a side"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name, arguments, message):
    with pytest.raises(UserError, match=message):
        networks.build(name, **{"channels": 1, "size": 8, "classes": 3, **arguments})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet18", "ResNet18BN"])
def test_resnet18_pads_28_by_28_images_by_one_as_published(name):
    module = made(name, channels=1, size=28, classes=10, width=4).eval()
    images, sides = random(2, 1, 28, 28), []
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output: sides.append(output.shape[-1]))
        for layer in module.features
    ]
    with torch.no_grad():
        found = module.features[0](images)
        assert (
            torch.equal(found, functional.conv2d(images, module.features[0].weight, padding=1))
            and found.shape[-1] == 28
        )
        sides.clear()
        module(images)
    assert sides == [28, 28, 28, 28, 28, 14, 14, 7, 7, 4, 4, 1]
    for hook in hooks:
        hook.remove()
    # What padding to 32 x 32 would cost more.
    small, large = (NetworkSpec(name, 1, size, 10) for size in (28, 32))
    assert networks.macs(large) / networks.macs(small) == pytest.approx(1.22, abs=0.005)


# ---- a plug-in's contract ------------------------------------------------------------------------


def plugged(monkeypatch, features, embedding=4 * 8 * 8, top=networks.Network):
    """Makes ``Mine``, a network of the given layers, known: as a file of that name would."""
    plugin = SimpleNamespace(
        SPEC={"name": "Mine", "minimum_size": 1},
        build=lambda channels, size, classes: top(nn.Sequential(*features()), embedding, classes),
    )
    monkeypatch.setattr(_build, "_plugin", lambda name: plugin)
    return NetworkSpec("Mine", 1, 8, 3, {})


def convolution():
    return nn.Conv2d(1, 4, 3, padding=1)


class Draws(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Drops(nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.5, self.training)


RANDOM = [
    nn.Dropout(0.5),
    nn.Dropout2d(),
    nn.AlphaDropout(),
    nn.RReLU(),
    nn.FractionalMaxPool2d(2, 4),
    Draws(),
    Drops(),
]


@pytest.mark.parametrize("layer", RANDOM, ids=lambda layer: type(layer).__name__)
def test_a_network_that_draws_random_numbers_is_refused_when_it_is_built(monkeypatch, layer):
    """It gave other figures at the same seed, and in gradient matching an error of vmap."""
    spec = plugged(monkeypatch, lambda: [convolution(), layer])
    before = torch.get_rng_state()
    with pytest.raises(
        UserError,
        match=r"^network Mine.* draws random numbers in its forward pass, "
        "so the same seed would give other figures; leave",
    ) as told:
        networks.from_spec(spec)
    assert "\n" not in str(told.value) and torch.equal(torch.get_rng_state(), before)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return x * self.scale


class Reset(Scaled):
    def reset(self, generator):
        self.scale.normal_(1, 0.1, generator=generator)


class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("grid", torch.linspace(-1, 1, 8))

    def forward(self, x):
        return x * self.grid


@pytest.mark.parametrize(
    ("layer", "names"), [(Scaled, "scale"), (nn.PReLU, "weight"), (Buffered, "grid")]
)
def test_a_layer_that_does_not_say_how_it_starts_is_refused_when_it_is_built(
    monkeypatch, layer, names
):
    spec = plugged(monkeypatch, lambda: [convolution(), layer()])
    with pytest.raises(UserError) as told:
        networks.from_spec(spec)
    assert str(told.value) == (
        f"network Mine: the layer features.1 ({layer.__name__}) has {names} of its own, and "
        "nothing says how they start; "
        "give the layer a method `reset(generator)` that fills them in place"
    )


def test_a_layer_s_reset_draws_its_parameters_from_the_network_s_stream(monkeypatch):
    spec = plugged(monkeypatch, lambda: [convolution(), Reset()])
    first, again, other = (
        networks.initialise(networks.from_spec(spec), torch.Generator().manual_seed(seed))
        for seed in (7, 7, 8)
    )
    assert torch.equal(first.features[1].scale, again.features[1].scale) and not torch.equal(
        first.features[1].scale, other.features[1].scale
    )
    assert 0 < float((first.features[1].scale - 1).abs().max()) < 1
    # What follows is drawn after it, and it learns.
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    first(random(2, 1, 8, 8)).sum().backward()
    assert (first.features[1].scale.grad != 0).any()


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [convolution(), nn.BatchNorm2d(4, affine=False)],
        lambda: [convolution(), nn.InstanceNorm2d(4, affine=True)],
        lambda: [convolution(), nn.LayerNorm([4, 8, 8], elementwise_affine=False)],
        lambda: [convolution(), nn.Flatten(), nn.BatchNorm1d(256)],
        lambda: [
            convolution(),
            nn.ConvTranspose2d(4, 4, 3, padding=1),
            nn.Flatten(2),
            nn.Conv1d(4, 4, 1),
        ],
    ],
    ids=["no affine", "instance", "layer", "batch 1d", "other convolutions"],
)
def test_layers_of_torch_whose_start_is_known_are_built_and_repeat(monkeypatch, layers):
    spec = plugged(monkeypatch, layers)
    images = random(4, 1, 8, 8)
    found = []
    for _ in range(2):
        module = networks.initialise(networks.from_spec(spec), torch.Generator().manual_seed(3))
        assert all(
            (value == 0).all()
            for name, value in module.named_buffers()
            if "mean" in name or "tracked" in name
        )
        found.append(module.train()(images))
    assert torch.equal(*found) and torch.isfinite(found[0]).all() and float(found[0].std()) > 0


def test_parameters_that_layers_share_stay_shared(monkeypatch):
    def layers():
        first, second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        second.weight = first.weight
        return [convolution(), first, second]

    module = networks.from_spec(plugged(monkeypatch, layers))
    assert module.features[1].weight is module.features[2].weight


def test_a_convolution_may_say_its_padding_by_a_word(monkeypatch):
    spec = plugged(monkeypatch, lambda: [nn.Conv2d(1, 4, 3, padding="same")])
    words = networks.for_device(networks.from_spec(spec), torch.device("cpu"))
    spec = plugged(monkeypatch, lambda: [convolution()])
    numbers = networks.for_device(networks.from_spec(spec), torch.device("cpu"))
    for module in (words, numbers):
        networks.initialise(module, torch.Generator().manual_seed(0))
    assert torch.allclose(words(random(2, 1, 8, 8)), numbers(random(2, 1, 8, 8)), atol=1e-6)


def one_more_class(features, embedding, classes):
    return networks.Network(features, embedding, classes + 1)


@pytest.mark.parametrize(
    ("layers", "top", "told"),
    [
        (
            lambda: [convolution(), nn.Linear(3, 3)],
            networks.Network,
            r"network Mine fails on images of \(1, 8, 8\): RuntimeError: ",
        ),
        (
            lambda: [convolution()],
            one_more_class,
            r"answers 2 images with \(2, 4\), not .* \(2, 3\)",
        ),
        (
            lambda: [convolution()],
            lambda features, embedding, classes: features,
            "gives no module with a method `embed`",
        ),
    ],
    ids=["fails", "classes", "no network"],
)
def test_a_network_that_does_not_work_is_reported_in_one_line(monkeypatch, layers, top, told):
    with pytest.raises(UserError, match=told) as caught:
        networks.from_spec(plugged(monkeypatch, layers, top=top))
    assert "\n" not in str(caught.value)


def test_a_network_is_found_by_the_name_of_its_file_alone():
    assert {network.module for network in plugins.networks().values()} == {
        path.stem for path in Path(networks.__file__).parent.glob("[!_]*.py")
    }
    for name, network in plugins.networks().items():
        assert name.lower() == network.module


# ---- normalisation -------------------------------------------------------------------------------


@pytest.mark.parametrize("compiling", [False, True])
def test_instance_norm_is_group_norm_with_a_group_a_channel(compiling, monkeypatch):
    """Both forms, with their first and second derivatives, in float64."""
    norm, group = networks.InstanceNorm(5).double(), nn.GroupNorm(5, 5).double()
    values = {
        "weight": random(5, seed=2, dtype=torch.float64),
        "bias": random(5, seed=3, dtype=torch.float64),
    }
    norm.load_state_dict(values)
    group.load_state_dict(values)
    direction = random(3, 5, 4, 6, seed=5, dtype=torch.float64)
    found = []
    for module in (norm, group):
        x = (3 * random(3, 5, 4, 6, seed=4, dtype=torch.float64) + 1).requires_grad_()
        if module is norm:
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
        out = module(x)
        first = torch.autograd.grad(
            (out.sin() * direction).sum(), (x, *module.parameters()), create_graph=True
        )
        second = torch.autograd.grad(
            sum(g.square().sum() for g in first), (x, *module.parameters())
        )
        found.append((out, *first, *second))
        monkeypatch.undo()
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    # And against the definition, so that the two cannot be wrong alike.
    x = x.detach()
    centred = x - x.mean((2, 3), keepdim=True)
    plain = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
    plain = plain * values["weight"][:, None, None] + values["bias"][:, None, None]
    assert torch.allclose(found[0][0], plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("compiling", [False, True])
def test_instance_norm_keeps_bfloat16_and_computes_wider(compiling, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    x = (random(2, 3, 16, 16) + 100).to(torch.bfloat16)
    out = networks.InstanceNorm(3)(x)
    assert out.dtype == torch.bfloat16
    exact = networks.InstanceNorm(3)(x.float())
    # At a mean of 100 a variance in bfloat16 would be lost.
    assert torch.allclose(out.float(), exact, atol=0.02)


@pytest.mark.slow
def test_the_compiler_sees_the_fusible_form_without_a_break():
    graphs = []

    def backend(graph, inputs):
        graphs.append(str(graph.graph))
        return graph.forward

    norm, x = networks.InstanceNorm(3), random(2, 3, 4, 4)
    compiled = torch.compile(norm, backend=backend, fullgraph=True)
    assert torch.allclose(compiled(x), norm(x), atol=1e-5)
    torch.compiler.reset()
    assert len(graphs) == 1 and "var_mean" in graphs[0] and "group_norm" not in graphs[0]


# ---- initial values ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_no_global_number_is_drawn():
    before = torch.get_rng_state()
    first, again, other = (networks.parameters(made("ConvNet", seed, **TINY)) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(networks.flatten(first), networks.flatten(other))


def test_initial_values_have_the_distributions_of_torch_layers():
    module = made("ConvNet", channels=3, size=32, classes=10, width=64)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == 4
    for layer in layers:
        weight, bias = layer.weight.detach(), layer.bias.detach()
        bound = 1 / math.sqrt(weight[0].numel())
        assert float(weight.abs().max()) <= bound and float(bias.abs().max()) <= bound
        assert float(weight.max()) > 0.98 * bound and float(weight.min()) < -0.98 * bound
        # Of a uniform distribution: standard deviation bound/√3, and half of the values within half
        # the bound.
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.04)
        assert float((weight.abs() < bound / 2).float().mean()) == pytest.approx(0.5, abs=0.04)
        assert float(bias.abs().max()) > 0.5 * bound
    weights = torch.cat(
        [layer.weight.detach().flatten() * layer.weight[0].numel() ** 0.5 for layer in layers]
    )
    assert float(weights.mean()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("norm", ["instance", "batch", "layer", "group"])
def test_normalisations_start_over_at_one_and_zero(norm):
    module = networks.build("ConvNet", **TINY, norm=norm)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data.fill_(9)
    networks.initialise(module, torch.Generator().manual_seed(0))
    layers = [
        layer
        for layer in module.features
        if not isinstance(layer, nn.Conv2d | nn.ReLU | nn.AvgPool2d)
    ]
    assert len(layers) == 2
    for layer in layers:
        assert (layer.weight == 1).all() and (layer.bias == 0).all()
        if norm == "batch":
            assert (layer.running_mean == 0).all() and (layer.running_var == 1).all()
            assert layer.num_batches_tracked == 0


def test_a_layer_without_a_known_distribution_is_refused():
    with pytest.raises(UserError, match="PReLU"):
        networks.initialise(nn.Sequential(nn.Linear(2, 2), nn.PReLU()), torch.Generator())


# ---- networks as functions -----------------------------------------------------------------------


def test_functional_is_the_module_under_other_parameters():
    module, other = made("ConvNet", 0, **TINY), made("ConvNet", 1, **TINY)
    apply, names = networks.functional(module)
    params, images = networks.parameters(other), random(3, 1, 8, 8)
    assert names == tuple(params)
    before = networks.flatten(networks.parameters(module))
    assert torch.equal(apply(params, images), other(images))
    assert torch.equal(networks.flatten(networks.parameters(module)), before)
    embedding = networks.functional_embed(module)(params, images)
    assert torch.equal(embedding, other.embed(images))


def test_parameters_are_copies():
    module = made("ConvNet", **TINY)
    params = networks.parameters(module)
    assert not any(value.requires_grad for value in params.values())
    kept = {name: value.clone() for name, value in params.items()}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert all(torch.equal(params[name], kept[name]) for name in params)


def test_flatten_and_unflatten_are_inverse_and_share_memory():
    params = networks.parameters(made("ConvNet", **TINY))
    vector = networks.flatten(params)
    assert vector.shape == (sum(value.numel() for value in params.values()),)
    again = networks.unflatten(vector, params)
    assert list(again) == list(params)
    assert all(torch.equal(again[name], value) for name, value in params.items())
    assert torch.equal(networks.flatten(again), vector)
    # C order, in the dict's order: the first row of the first convolution leads.
    first = next(iter(params.values()))
    assert torch.equal(vector[:9], first[0, 0].flatten())
    vector.zero_()
    assert all((value == 0).all() for value in again.values())
    for wrong in (vector[:-1], vector[None]):
        with pytest.raises(ValueError, match="cannot hold"):
            networks.unflatten(wrong, params)


@pytest.mark.parametrize("norm", ["instance", "layer", "group", "none"])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_vmap_over_parameters_is_a_loop(norm, pooling):
    members = [
        networks.parameters(made("ConvNet", seed, **TINY, norm=norm, pooling=pooling))
        for seed in range(3)
    ]
    apply, _ = networks.functional(networks.build("ConvNet", **TINY, norm=norm, pooling=pooling))
    images, labels = random(3, 5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])

    def loss(params, x):
        return functional.cross_entropy(apply(params, x), labels)

    stacked = {name: torch.stack([member[name] for member in members]) for name in members[0]}
    found, values = torch.vmap(torch.func.grad_and_value(loss))(stacked, images)
    for e, member in enumerate(members):
        gradient, value = torch.func.grad_and_value(loss)(member, images[e])
        assert torch.allclose(values[e], value, atol=1e-5)
        for name in member:
            assert torch.allclose(found[name][e], gradient[name], atol=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["instance", "layer", "group", "none"])
@pytest.mark.parametrize("compiling", [False, True])
def test_second_derivatives_are_those_of_finite_differences(norm, compiling, monkeypatch):
    options = {**TINY, "norm": norm, "activation": "sigmoid"}
    module = made("ConvNet", **options).double()
    apply, names = networks.functional(module)
    values = [value.requires_grad_() for value in networks.parameters(module).values()]
    images = random(2, 1, 8, 8, dtype=torch.float64).requires_grad_()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)

    def loss(images, *values):
        return functional.cross_entropy(
            apply(dict(zip(names, values, strict=True)), images), torch.tensor([0, 2])
        )

    assert torch.autograd.gradgradcheck(loss, (images, *values), fast_mode=True)


def test_batch_statistics_given_with_the_parameters_are_the_ones_that_move():
    module = made("ConvNet", **TINY, norm="batch").train()
    apply, _ = networks.functional(module)
    own = {name: value.clone() for name, value in module.named_buffers()}
    given = {name: value.clone() for name, value in own.items()}
    apply({**networks.parameters(module), **given}, random(4, 1, 8, 8))
    assert all(torch.equal(value, own[name]) for name, value in module.named_buffers())
    moved = [name for name in own if not torch.equal(given[name], own[name])]
    assert moved == list(own)


CASES = [
    ("ConvNet", {}),
    ("ConvNet", {"norm": "batch", "depth": 2}),
    ("MLP", {}),
    ("LeNet", {}),
    ("ResNet18BN", {"width": 8}),
]


@pytest.mark.parametrize("name, options", CASES)
@pytest.mark.parametrize("channels, size", [(1, 28), (3, 32)])
def test_the_count_of_operations_is_torchs(name, options, channels, size):
    module = networks.build(name, channels=channels, size=size, classes=10, **options)
    image = torch.zeros(channels, size, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(image[None])
    module.train()
    before = {key: value.clone() for key, value in module.named_buffers()}
    flops, activations = networks.count(module, image)
    assert flops == counter.get_total_flops() and activations > 0
    assert module.training and all(
        torch.equal(value, before[key]) for key, value in module.named_buffers()
    )


# ---- any shape -----------------------------------------------------------------------------------

SMALLEST = {name: network.minimum_size for name, network in plugins.networks().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize(("channels", "size"), [(2, (28, 56)), (4, (40, 33))])
def test_every_network_takes_rectangles_and_one_to_four_channels(name, channels, size):
    spec = NetworkSpec(name, channels, size, 7)
    module = networks.from_spec(spec)
    images = random(2, *spec.image)
    assert module(images).shape == (2, 7)
    # The form for this processor, whose first convolution may be another, is the same function.
    networks.initialise(module, torch.Generator().manual_seed(0))
    plain = module.eval()(images)
    assert torch.allclose(
        networks.for_device(module, torch.device("cpu"))(images), plain, atol=1e-5
    )


def test_one_grey_side_of_28_alone_is_padded():
    """Two digits side by side: the rows leave the first convolution as 32, the columns as they
    were."""
    module = networks.build("ConvNet", channels=1, size=(28, 56), classes=10, width=4, depth=1)
    assert module.features[0](torch.zeros(1, 1, 28, 56)).shape[2:] == (32, 56)
    turned = networks.build("ConvNet", channels=1, size=(56, 28), classes=10, width=4, depth=1)
    networks.for_device(turned, torch.device("cpu"))
    assert turned.features[0](torch.zeros(1, 1, 56, 28)).shape[2:] == (56, 32)


def test_a_rectangle_s_spec_is_one_key_however_its_sides_are_listed():
    listed = NetworkSpec("ConvNet", 1, [28, 56], 10)
    assert listed == NetworkSpec("ConvNet", 1, (28, 56), 10)
    assert hash(listed) == hash(NetworkSpec("ConvNet", 1, (28, 56), 10))
    assert NetworkSpec("ConvNet", 1, [28, 28], 10) == NetworkSpec("ConvNet", 1, 28, 10)


@pytest.mark.parametrize(
    "size, depth",
    [(8, 1), (16, 2), (25, 2), (28, 3), (32, 3), (64, 4), (128, 5), (224, 5), ((28, 56), 3)],
)
def test_convnet_s_depth_follows_the_image(size, depth):
    module = networks.build("ConvNet", channels=1, size=size, classes=3, width=4)
    convolutions = [layer for layer in module.features if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == depth
    *_, rows, columns = module.features(
        torch.zeros(1, 1, *NetworkSpec("", 1, size, 3).image[1:])
    ).shape
    assert 4 <= min(rows, columns) < 8, "halved until 4 pixels are left"


def test_a_size_that_is_none_is_refused():
    for size in (0, (28, 0), "32", (32.0, 32)):
        with pytest.raises(UserError, match="size must be a positive integer"):
            networks.build("MLP", channels=1, size=size, classes=3)
