"""Networks from outside: built by a factory, started from our streams, refused where they cannot be
repeated."""

import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from distillery import networks
from distillery.errors import UserError
from distillery.networks import NetworkSpec, _trial

NETS = '''
import os, random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def make(channels, size, classes, width=4):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(2, width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, classes))


class Own(nn.Module):
    """Layers that no one knows, with every kind of random number at their start."""

    def __init__(self, channels, size, classes):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 3))
        self.scale = nn.Parameter(torch.tensor(np.random.rand(3), dtype=torch.float32))
        self.register_buffer("grid", torch.arange(3.0))
        self.shift = random.random()
        self.out = nn.LazyLinear(classes)

    def forward(self, x):
        return self.out(x.flatten(1)[:, :3] * self.scale + self.token + self.grid)


def batch_norm(channels, size, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(4 * (size - 2) ** 2, classes))


class Mixing(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        self.out = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        x = x.flatten(1)
        return self.out(x - x.mean(0))


class NoHead(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, classes, size)

    def forward(self, x):
        return self.conv(x).flatten(1)


class Twice(nn.Module):
    """One linear layer that answers twice: its last input is no embedding of the output."""

    def __init__(self, channels, size, classes):
        super().__init__()
        self.out = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        return self.out(x.flatten(1)) + self.out(-x.flatten(1)).relu()


class OnceDifferentiable(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()
        self.out = nn.Linear(channels * size * size, classes)

    def forward(self, x):
        if float(x.sum()) > 1e9:
            return x
        return self.out(x.flatten(1))


class Untraced(Mixing):
    def forward(self, x):
        if torch.jit.is_tracing():
            raise RuntimeError("no tracing")
        return self.out(x.flatten(1))


def dropout(channels, size, classes):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(channels * size * size, classes))


class Functional(Mixing):
    def forward(self, x):
        return self.out(F.dropout(x.flatten(1), training=self.training))


class NumPys(Mixing):
    def forward(self, x):
        return self.out(x.flatten(1) * float(np.random.rand()))


class Counting(Mixing):
    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return self.out(x.flatten(1)) * self.calls


def entropy(channels, size, classes):
    made = nn.Linear(size, classes)
    made = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    with torch.no_grad():
        made[1].bias.fill_(int.from_bytes(os.urandom(2), "little"))
    return made


def learned(channels, size, classes):
    made = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, classes))
    with torch.no_grad():
        for value in made.parameters():
            value.fill_(0.1)
    return made


def raises(channels, size, classes):
    raise KeyError("no such thing")


def exits(channels, size, classes):
    print("leaving")
    raise SystemExit(2)


def nothing(channels, size, classes):
    pass


def a_class(channels, size, classes):
    return Mixing


def wrong_logits(channels, size, classes):
    return make(channels, size, classes + 1)


def large_images(channels, size, classes):
    return nn.Sequential(nn.Conv2d(channels, 4, 64), nn.Flatten(), nn.Linear(4, classes))


class Several(Mixing):
    def forward(self, x):
        return self.out(x.flatten(1)), x


def double(channels, size, classes):
    return make(channels, size, classes).double()


def frozen(channels, size, classes):
    made = make(channels, size, classes)
    made[0].weight.requires_grad_(False)
    return made


def empty(channels, size, classes):
    return nn.Flatten()
'''


@pytest.fixture(autouse=True)
def nets(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith("outside_"):
            del sys.modules[name]


def spec(factory, source="@nets.py", size=8, channels=3, dropout=True, **options):
    return NetworkSpec("mine", channels, size, 5, options, source, factory, dropout)


def started(module, seed):
    networks.initialise(module, torch.Generator().manual_seed(seed))
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


# ---- what works ----------------------------------------------------------------------------------


def test_a_factory_makes_a_network_with_its_options():
    module = networks.from_spec(spec("make", width=6))
    assert module.network[0].out_channels == 6
    assert module(torch.zeros(3, 3, 8, 8)).shape == (3, 5)


@pytest.mark.parametrize("factory", ["make", "Own", "batch_norm"])
def test_a_start_is_drawn_from_our_generator_and_from_nothing_else(factory):
    module = networks.from_spec(spec(factory))
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = started(module, 0)
    torch.rand(3)
    np.random.rand()
    random.random()
    assert same(first, started(module, 0)) and not same(first, started(module, 1))
    torch.set_rng_state(before[0])
    generator = torch.Generator().manual_seed(0)
    networks.initialise(module, generator)
    after_one = generator.get_state()
    networks.initialise(module, generator)
    assert not same(first, module.state_dict())
    assert not torch.equal(after_one, generator.get_state())
    assert torch.equal(torch.get_rng_state(), before[0])


def test_neither_building_nor_starting_moves_the_global_streams():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    started(networks.from_spec(spec("Own")), 0)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_layers_start_as_torch_starts_them():
    module = networks.from_spec(spec("make", width=64))
    weights = started(module, 0)["network.5.weight"]
    bound = 256**-0.5
    assert 0.95 * bound < float(weights.abs().max()) <= bound


def test_running_statistics_are_fresh_after_the_trial():
    module = networks.from_spec(spec("batch_norm"))
    assert torch.equal(module.network[1].running_mean, torch.zeros(4))
    assert int(module.network[1].num_batches_tracked) == 0


def test_the_embedding_is_what_the_last_linear_layer_gets():
    module = networks.from_spec(spec("make"))
    images = torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8)
    features = module.embed(images)
    assert torch.equal(features, module.network[:5](images))
    assert torch.equal(module.classifier(features), module(images))
    params = networks.parameters(module)
    assert torch.equal(networks.functional_embed(module)(params, images), features)
    doubled = {name: 2 * value for name, value in params.items()}
    assert not torch.allclose(networks.functional_embed(module)(doubled, images), features)


@pytest.mark.parametrize("factory", ["NoHead", "Twice"])
def test_where_there_is_no_embedding_it_is_said(factory):
    module = networks.from_spec(spec(factory))
    with pytest.raises(UserError, match="network mine has no embedding, which this method needs"):
        module.embed(torch.zeros(2, 3, 8, 8))


def test_dropout_can_be_taken_out():
    module = networks.from_spec(spec("dropout", dropout=False)).train()
    images = torch.ones(2, 3, 8, 8)
    assert torch.equal(module(images), module(images))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_network_of_torchvision_takes_our_images_and_classes(channels):
    one = spec("resnet18", "@torchvision", size=28, channels=channels)
    module = networks.from_spec(one)
    assert module.network.conv1.in_channels == channels
    assert module.network.fc.out_features == 5
    assert module.embed(torch.zeros(2, channels, 28, 28)).shape == (2, 512)
    assert same(started(module, 0), started(module, 0))
    assert networks.macs(one) > 1e6


def test_what_cannot_be_traced_is_counted_by_its_layers():
    assert networks.macs(spec("Untraced")) == 3 * 64 * 5


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("raises", r"^network mine: nets\.py:raises fails: KeyError: 'no such thing'$"),
        ("exits", r"^network mine: nets\.py:exits fails: it exits: 2$"),
        ("nothing", r"^network mine: nets\.py:nothing returns NoneType, not a torch\.nn\.Module$"),
        ("a_class", r"returns Mixing, not a torch\.nn\.Module$"),
        ("missing", r"^network mine: nets\.py has no 'missing'$"),
        ("make.inner", r"^network mine: nets\.py has no 'make\.inner'$"),
        ("wrong_logits", r"answers 2 images with \(2, 6\), not with logits \(2, 5\)$"),
        ("large_images", r"^network mine fails on images of 3x8x8: RuntimeError: "),
        ("Several", r"answers with tuple, not with a tensor of logits$"),
        ("dropout", r"draws random numbers .*\(1: Dropout\), so .*`dropout: off` in its block"),
        ("Functional", r"draws random numbers in its forward pass, so .*; leave that out$"),
        ("NumPys", r"draws random numbers in its forward pass"),
        ("double", r"has the parameter 0\.weight as torch\.float64 on cpu; make it float32"),
        ("frozen", r"has the parameter 0\.weight without a gradient"),
        ("empty", r"has no parameters to train$"),
    ],
)
def test_what_is_no_network_of_ours_is_refused_in_one_line(factory, words):
    before = torch.get_rng_state()
    with pytest.raises(UserError, match=words) as caught:
        networks.from_spec(spec(factory))
    assert "\n" not in str(caught.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_wrong_option_is_refused():
    with pytest.raises(UserError, match=r"make fails: TypeError: .*unexpected keyword .*'depth'"):
        networks.from_spec(spec("make", depth=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "options", "words"),
    [
        (
            "resnet81",
            {},
            r"torchvision has no model 'resnet81'; did you mean 'resnet18'\? it lists",
        ),
        ("resnet18", {"weights": "DEFAULT"}, "start from random values, not from learned ones"),
        ("resnet18", {"num_classes": 3}, "option 'num_classes' is set by the dataset"),
        ("inception_v3", {}, "fails on images of 3x8x8: RuntimeError"),
        ("vit_b_16", {}, "fails on images of 3x8x8: AssertionError: Wrong image height"),
    ],
)
def test_what_torchvision_has_not_is_refused(factory, options, words):
    with pytest.raises(UserError, match=words):
        networks.from_spec(spec(factory, "@torchvision", **options))


# ---- the trial -----------------------------------------------------------------------------------


def tried(factory, distils=False, embeds=False, size=8):
    network = vars(spec(factory, size=size))
    return _trial.tried({"network": network, "distils": distils, "embeds": embeds})


def test_what_can_be_done_with_a_network_is_tried():
    assert tried("make", distils=True, embeds=True) is None
    assert tried("Own", distils=True, embeds=True) is None
    assert tried("batch_norm") is None
    assert tried("NoHead", distils=True) is None


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("batch_norm", "has batch normalisation (1), whose statistics would mix the images"),
        ("Mixing", "answers an image by the others of its batch"),
        ("OnceDifferentiable", "cannot be differentiated twice or vectorised"),
    ],
)
def test_what_cannot_distil_is_reported_where_it_shall(factory, words):
    assert tried(factory) is None
    assert words in tried(factory, distils=True)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("entropy", "starts with another 1.bias each time, whatever the seed"),
        ("learned", "starts with the same values whatever the seed: leave out learned weights"),
        ("Counting", "answers the same images differently each time"),
        ("raises", "KeyError"),
        ("NoHead", "has no embedding"),
    ],
)
def test_what_no_seed_repeats_is_reported(factory, words):
    assert words in tried(factory, embeds=True)


def test_a_convolution_of_an_uncommon_form_stays_as_it_is_on_a_processor():
    """The fast form is of square ones that pad with zeros."""
    for layer in (
        nn.Conv2d(1, 2, (3, 5), padding=(1, 2)),
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 2, 3, padding=(1, 0)),
    ):
        images = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
        expected = layer(images)
        assert torch.equal(networks.for_device(layer, torch.device("cpu"))(images), expected)
