"""The augmentations, operation by operation, and their draws."""

import math

import pytest
import torch
from torch.nn import functional

from distillery import augmentations as augment
from distillery import plugins
from distillery.augmentations import _mixed, dsa
from distillery.errors import UserError

SHAPE = (3, 8, 8)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def ramp(factor_x, factor_y, size=9):
    """An image linear in x and y, from -1 to 1 each times its factor: bilinear interpolation keeps
    it exact."""
    line = torch.linspace(-1, 1, size, dtype=torch.float64)
    return (0.3 + 2 * factor_x * line[None, :] - factor_y * line[:, None])[None, None]


def operations(count=5, per="sample", shape=SHAPE, strategies=("dsa", "dc_mnist", "dc_bn")):
    """One draw of each operation that the strategies have."""
    found, source = {}, generator(3)
    for strategy in strategies:
        for _ in range(60 if strategy == "dsa" else 1):
            operation, draws = augment.draw(
                strategy, count, source, shape=shape, flip_allowed=True, per=per
            )
            found[strategy, operation.__name__] = draws
    return found


OPERATION = dsa.OPERATIONS | {"mixed": _mixed.mixed}


NAMES = [*(("dsa", name) for name in dsa.OPERATIONS), ("dc_mnist", "mixed"), ("dc_bn", "mixed")]


# ---- what each operation does --------------------------------------------------------------------


def test_none_changes_nothing():
    images = random(2, *SHAPE)
    source = generator()
    before = source.get_state()
    operation, draws = augment.draw("none", 2, source, shape=SHAPE)
    assert (
        operation(images, draws) is images
        and draws == {}
        and torch.equal(source.get_state(), before)
    )
    assert augment.augment("none", images, generator()) is images


def test_colour_is_brightness_then_saturation_then_contrast():
    images = random(2, *SHAPE, dtype=torch.float64)
    draws = {
        "brightness": torch.tensor([0.3, -0.2]),
        "saturation": torch.tensor([1.7, 0.0]),
        "contrast": torch.tensor([0.5, 1.4]),
    }
    found = augment.apply(dsa.OPERATIONS["color"], images, draws)
    for n in range(2):
        brightness, saturation, contrast = (
            float(draws[name][n]) for name in ("brightness", "saturation", "contrast")
        )
        image = images[n] + brightness
        grey = image.sum(0) / 3
        image = torch.stack([grey + saturation * (channel - grey) for channel in image])
        mean = image.sum() / image.numel()
        assert torch.allclose(found[n], mean + contrast * (image - mean), atol=1e-12)
    # Without saturation all channels are grey.
    assert torch.allclose(found[1, 0], found[1, 2], atol=1e-12)


@pytest.mark.parametrize("rows, columns", [(0, 0), (2, -3), (-1, 0), (8, 0)])
def test_a_shift_moves_pixels_and_leaves_zeros(rows, columns):
    images = random(2, *SHAPE)
    found = augment.apply(
        dsa.OPERATIONS["crop"], images, {"shift": torch.tensor([[rows, columns], [0, 1]])}
    )
    for i in range(8):
        for j in range(8):
            inside = 0 <= i + rows < 8 and 0 <= j + columns < 8
            expected = images[0, :, i + rows, j + columns] if inside else torch.zeros(3)
            assert torch.equal(found[0, :, i, j], expected)
    assert torch.equal(found[1, :, :, :-1], images[1, :, :, 1:]) and (found[1, :, :, -1] == 0).all()


@pytest.mark.parametrize("row, column, cleared", [(4, 4, 16), (0, 0, 4), (8, 4, 8), (2, 8, 8)])
def test_cutout_clears_a_square_of_half_the_side(row, column, cleared):
    images = random(1, *SHAPE)
    found = augment.apply(
        dsa.OPERATIONS["cutout"], images, {"centre": torch.tensor([[row, column]])}
    )
    gone = (found == 0).all(1)[0]
    assert int(gone.sum()) == cleared
    assert torch.equal(found[:, :, ~gone], images[:, :, ~gone])
    rows, columns = gone.any(1).nonzero(), gone.any(0).nonzero()
    assert (int(rows.min()), int(rows.max())) == (max(row - 2, 0), min(row + 1, 7))
    assert (int(columns.min()), int(columns.max())) == (max(column - 2, 0), min(column + 1, 7))


def test_a_flip_mirrors_the_chosen_images_and_twice_is_nothing():
    images = random(3, *SHAPE)
    draws = {"mirrored": torch.tensor([True, False, True])}
    once = augment.apply(dsa.OPERATIONS["flip"], images, draws)
    assert torch.equal(once[1], images[1])
    assert torch.equal(once[0, :, :, 0], images[0, :, :, -1]) and torch.equal(
        once[2], images[2].flip(2)
    )
    assert torch.equal(augment.apply(dsa.OPERATIONS["flip"], once, draws), images)


def test_scaling_stretches_columns_and_rows_by_their_own_factors():
    found = augment.apply(
        dsa.OPERATIONS["scale"], ramp(1, 1), {"factor": torch.tensor([[0.75, 0.5]])}
    )
    assert torch.allclose(found, ramp(0.75, 0.5), atol=1e-12)
    images = random(2, *SHAPE)
    assert torch.allclose(
        augment.apply(dsa.OPERATIONS["scale"], images, {"factor": torch.ones(1, 2)}),
        images,
        atol=1e-5,
    )


def test_scaling_down_uncovers_zeros():
    # 1.5 of the source a pixel: places beyond ±2/3 come from outside, by more than a pixel at the
    # border.
    found = augment.apply(
        dsa.OPERATIONS["scale"], torch.ones(1, 1, 9, 9), {"factor": torch.tensor([[1.5, 1.0]])}
    )
    assert (found[..., 0] == 0).all() and (found[..., -1] == 0).all()
    assert torch.allclose(found[..., 2:7], torch.ones(1, 1, 9, 5), atol=1e-5)


@pytest.mark.parametrize("turns", [0, 1, 2, -1])
@pytest.mark.parametrize("size", [8, 9])
def test_rotation_by_right_angles_is_exact(turns, size):
    images = random(2, 3, size, size, dtype=torch.float64)
    angle = torch.tensor([turns * math.pi / 2], dtype=torch.float64)
    assert torch.allclose(
        augment.apply(dsa.OPERATIONS["rotate"], images, {"angle": angle}),
        images.rot90(turns, (2, 3)),
        atol=1e-12,
    )


def test_rotation_turns_a_ramp_inside_the_circle():
    angle = 0.4
    found = augment.apply(
        dsa.OPERATIONS["rotate"], ramp(1, 1), {"angle": torch.tensor([angle], dtype=torch.float64)}
    )
    line = torch.linspace(-1, 1, 9, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    expected = (
        0.3
        + 2 * (math.cos(angle) * x - math.sin(angle) * y)
        - (math.sin(angle) * x + math.cos(angle) * y)
    )
    within = x.square() + y.square() <= 1
    assert torch.allclose(found[0, 0][within], expected[within], atol=1e-12)


# ---- draws ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_draws_and_they_can_be_replayed():
    images = random(4, *SHAPE)
    for strategy in ("dsa", "dc_mnist", "dc_bn"):
        first, again, other = (
            augment.draw(strategy, 4, generator(seed), shape=SHAPE, flip_allowed=True)
            for seed in (5, 5, 6)
        )
        assert first[0] == again[0] and first[1].keys() == again[1].keys()
        assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])
        assert first[0] != other[0] or any(
            not torch.equal(first[1][name], other[1][name]) for name in first[1]
        )
        kept = {name: value.clone() for name, value in first[1].items()}
        found = augment.apply(first[0], images, first[1])
        assert torch.equal(found, augment.apply(first[0], images, first[1]))
        assert all(torch.equal(first[1][name], kept[name]) for name in kept)
        assert torch.equal(
            found, augment.augment(strategy, images, generator(5), flip_allowed=True)
        )


def test_applying_draws_no_number():
    images = random(5, *SHAPE)
    before = torch.get_rng_state()
    for (_, operation), draws in operations().items():
        augment.apply(OPERATION[operation], images, draws)
    assert torch.equal(torch.get_rng_state(), before)


def test_dsa_takes_each_of_its_operations_and_mirrors_only_where_allowed():
    for allowed in (False, True):
        source = generator(2)
        seen = [
            augment.draw("dsa", 1, source, shape=SHAPE, flip_allowed=allowed)[0].__name__
            for _ in range(300)
        ]
        expected = set(dsa.OPERATIONS) - (set() if allowed else {"flip"})
        assert set(seen) == expected
        # Evenly: within four standard deviations of a binomial.
        share = 1 / len(expected)
        for name in expected:
            assert seen.count(name) / 300 == pytest.approx(
                share, abs=4 * math.sqrt(share * (1 - share) / 300)
            )
    assert not any(
        "mirrored" in augment.draw("dc_mnist", 5, generator(s), shape=SHAPE)[1] for s in range(5)
    )


def spans(values, low, high):
    """Within [low, high], and reaching to 2 % of its ends."""
    margin = 0.02 * (high - low)
    assert low <= float(values.min()) < low + margin
    assert high - margin < float(values.max()) <= high


def test_dsa_strengths_are_the_published_ranges():
    drawn = {
        operation: draws for (_, operation), draws in operations(2000, shape=(3, 32, 32)).items()
    }
    spans(drawn["color"]["brightness"], -0.5, 0.5)
    spans(drawn["color"]["saturation"], 0, 2)
    spans(drawn["color"]["contrast"], 0.5, 1.5)
    for axis in range(2):
        assert drawn["crop"]["shift"][:, axis].unique().tolist() == list(range(-4, 5))
        assert drawn["cutout"]["centre"][:, axis].unique().tolist() == list(range(33))
        spans(drawn["scale"]["factor"][:, axis], 1 / 1.2, 1.2)
    assert not torch.equal(drawn["crop"]["shift"][:, 0], drawn["crop"]["shift"][:, 1])
    spans(drawn["rotate"]["angle"], -math.radians(15), math.radians(15))
    assert float(drawn["flip"]["mirrored"].float().mean()) == pytest.approx(0.5, abs=0.05)


def test_dc_mnist_changes_each_image_in_one_way():
    _, draws = augment.draw("dc_mnist", 3000, generator(), shape=(1, 28, 28))
    shifted = (draws["shift"] != 0).any(1)
    scaled = (draws["factor"] != 1).any(1)
    turned = draws["angle"] != 0
    assert int((shifted.int() + scaled.int() + turned.int()).max()) == 1
    # A shift may be drawn as (0, 0), one time in 81.
    assert float(shifted.float().mean()) == pytest.approx(80 / 81 / 3, abs=0.04)
    assert float(scaled.float().mean()) == pytest.approx(1 / 3, abs=0.04)
    assert float(turned.float().mean()) == pytest.approx(1 / 3, abs=0.04)
    for axis in range(2):
        assert draws["shift"][:, axis].unique().tolist() == list(range(-4, 5))
        spans(1 / draws["factor"][scaled, axis], 0.8, 1.2)
    spans(draws["angle"][turned], -math.radians(45), math.radians(45))


def test_dc_bn_shifts_or_adds_a_little_noise():
    _, draws = augment.draw("dc_bn", 1000, generator(), shape=SHAPE)
    shifted, noisy = (draws["shift"] != 0).any(1), (draws["noise"] != 0).flatten(1).any(1)
    assert not (shifted & noisy).any()
    assert float(noisy.float().mean()) == pytest.approx(0.5, abs=0.07)
    assert float(draws["noise"][noisy].std()) == pytest.approx(0.001, rel=0.02)
    images = random(1000, *SHAPE)
    found = augment.apply(_mixed.mixed, images, draws)
    assert torch.equal(found[noisy], images[noisy] + draws["noise"][noisy])
    assert torch.equal(
        found[shifted], augment.apply(dsa.OPERATIONS["crop"], images, draws)[shifted]
    )


def test_mixed_images_get_their_own_operation_and_no_interpolation_besides():
    images = random(200, 1, 8, 8)
    _, draws = augment.draw("dc_mnist", 200, generator(), shape=(1, 8, 8))
    found = augment.apply(_mixed.mixed, images, draws)
    for name, operation, chosen in (
        ("shift", "crop", (draws["shift"] != 0).any(1)),
        ("factor", "scale", (draws["factor"] != 1).any(1)),
        ("angle", "rotate", draws["angle"] != 0),
    ):
        assert chosen.sum() > 20
        assert torch.equal(
            found[chosen], augment.apply(OPERATION[operation], images, {name: draws[name]})[chosen]
        ), name


@pytest.mark.parametrize("strategy, operation", NAMES)
def test_one_draw_for_a_batch_fits_any_number_of_images(strategy, operation):
    draws = operations(5, per="batch")[strategy, operation]
    assert all(len(value) == 1 for value in draws.values())
    images = random(7, *SHAPE)
    found = augment.apply(OPERATION[operation], images, draws)
    for count in (1, 3):
        assert torch.allclose(
            augment.apply(OPERATION[operation], images[:count], draws), found[:count], atol=1e-6
        )


@pytest.mark.parametrize("strategy, operation", NAMES)
def test_each_image_has_its_own_draw(strategy, operation):
    draws = operations(5)[strategy, operation]
    assert all(len(value) == 5 for value in draws.values())
    images = random(5, *SHAPE)
    found = augment.apply(OPERATION[operation], images, draws)
    assert found.shape == images.shape and found.dtype == images.dtype
    for n in range(5):
        alone = augment.apply(
            OPERATION[operation],
            images[n : n + 1],
            {name: value[n : n + 1] for name, value in draws.items()},
        )
        assert torch.allclose(found[n : n + 1], alone, atol=1e-6)
    assert augment.apply(OPERATION[operation], images.double(), draws).dtype == torch.float64


# ---- derivatives and vectorisation ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("strategy, operation", NAMES)
def test_gradients_are_those_of_finite_differences(strategy, operation):
    shape = (2, 6, 6)
    draws = operations(2, shape=shape)[strategy, operation]
    images = random(2, *shape, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment.apply(OPERATION[operation], x, draws), images)


@pytest.mark.parametrize("strategy, operation", NAMES)
def test_vmap_over_images_and_draws_is_a_loop(strategy, operation):
    sets = [
        operations(4)[strategy, operation],
        operations(4, strategies=(strategy,) * 2)[strategy, operation],
    ]
    assert any(not torch.equal(sets[0][name], sets[1][name]) for name in sets[0])
    stacked = {name: torch.stack([draws[name] for draws in sets]) for name in sets[0]}
    images = random(2, 4, *SHAPE)

    def apply(x, d):
        return augment.apply(OPERATION[operation], x, d)

    both = torch.vmap(apply)(images, stacked)
    one = torch.vmap(apply, in_dims=(0, None))(images, sets[0])
    other = torch.vmap(apply, in_dims=(None, 0))(images[0], stacked)
    for e in range(2):
        assert torch.allclose(both[e], apply(images[e], sets[e]), atol=1e-5)
        assert torch.allclose(one[e], apply(images[e], sets[0]), atol=1e-5)
        assert torch.allclose(other[e], apply(images[0], sets[e]), atol=1e-5)


def test_wrong_names_are_refused():
    with pytest.raises(UserError, match=r"unknown augmentation 'DSA'; known are .*dsa, .*none"):
        augment.draw("DSA", 1, generator(), shape=SHAPE)
    with pytest.raises(ValueError, match="'sample' or 'batch'"):
        augment.draw("dsa", 1, generator(), shape=SHAPE, per="image")
    with pytest.raises(KeyError):
        augment.apply(dsa.OPERATIONS["crop"], random(1, *SHAPE), {"angle": torch.zeros(1)})


@pytest.mark.parametrize("strategy", plugins.augmentations())
def test_every_augmentation_keeps_its_contract(strategy):
    """Also one that is added: a file in the folder is all that it takes."""
    images, source = random(6, *SHAPE), generator(4)
    for per, count in (("sample", 6), ("batch", 1)):
        operation, draws = augment.draw(strategy, 6, source, shape=SHAPE, per=per)
        before = torch.get_rng_state()
        found = augment.apply(operation, images, draws)
        assert (
            found.shape == images.shape
            and found.dtype == images.dtype
            and torch.isfinite(found).all()
        )
        assert torch.equal(found, augment.apply(operation, images, draws)) and torch.equal(
            torch.get_rng_state(), before
        )
        assert all(len(value) == count for value in draws.values())


def test_every_image_learns_through_every_operation():
    for (_, operation), draws in operations(5).items():
        images = random(5, *SHAPE).requires_grad_()
        functional.mse_loss(
            augment.apply(OPERATION[operation], images, draws), torch.zeros(5, *SHAPE)
        ).backward()
        assert torch.isfinite(images.grad).all() and (images.grad != 0).flatten(1).any(1).all(), (
            operation
        )


# ---- rectangles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(9, 17), (17, 9)])
def test_a_quarter_turn_keeps_the_shape_of_what_is_in_a_rectangle(height, width):
    """A bar of 5 x 1 pixels about the centre becomes one of 1 x 5: a rotation in the coordinates of
    -1 to 1 would have made it longer or shorter."""
    image = torch.zeros(1, 1, height, width, dtype=torch.float64)
    row, column = height // 2, width // 2
    image[..., row - 2 : row + 3, column] = 1
    turned = OPERATION["rotate"](image, {"angle": torch.tensor([math.pi / 2])})
    expected = torch.zeros_like(image)
    expected[..., row, column - 2 : column + 3] = 1
    assert torch.allclose(turned, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 56), (4, 33, 12)])
def test_every_operation_keeps_the_shape_of_a_rectangle(shape):
    images = random(5, *shape)
    drawn = operations(shape=shape)
    assert {name for _, name in drawn} == {name for _, name in NAMES}
    for (_, name), draws in drawn.items():
        changed = OPERATION[name](images, draws)
        assert changed.shape == images.shape and torch.isfinite(changed).all(), name
