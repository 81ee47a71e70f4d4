"""Every coreset against a plain loop that does what its paper says."""

import itertools
import math

import pytest
import torch
from torch.nn import functional

from distillery import networks, streams
from distillery.errors import UserError
from distillery.methods import (
    _coreset,
    base,
    ccs,
    el2n,
    forgetting,
    herding,
    k_center,
    rded,
    soft_random,
)
from tests.unit.methods.conftest import CLASSES, SIZE, SPEC, Experts, blobs, run, task_of


@pytest.fixture(scope="module")
def experts():
    """Slow learners: what they know differs from epoch to epoch."""
    return Experts(number=3, epochs=6, steps=1, rate=0.05)


def network(experts, number, epoch):
    """An expert after an epoch as a plain module."""
    module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
    params = networks.unflatten(experts.pair(number, epoch, epoch)[0], networks.parameters(module))
    module.load_state_dict(params)
    return module.eval()


@torch.no_grad()
def answers(experts, number, epoch, images):
    return network(experts, number, epoch)(images).softmax(1)


def numbers_of(result, images):
    return [(images == row).flatten(1).all(1).nonzero().item() for row in result.images]


# ---- k-center and features -----------------------------------------------------------------------


def test_k_center_takes_the_image_farthest_from_those_chosen():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mean = features.mean(0)
    chosen = [min(range(9), key=lambda i: float((features[i] - mean).norm()))]
    while len(chosen) < 6:
        chosen.append(
            max(
                (i for i in range(9) if i not in chosen),
                key=lambda i: min(float((features[i] - features[j]).norm()) for j in chosen),
            )
        )
    assert k_center.farthest_first(features, 6).tolist() == chosen


def test_k_center_chooses_equal_images_once_each():
    features = torch.ones(5, 3)
    assert sorted(k_center.farthest_first(features, 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "module, order", [(k_center, k_center.farthest_first), (herding, herding.herd)]
)
def test_an_expert_s_features_are_those_of_its_last_epoch(experts, module, order):
    images, labels = blobs()
    result, _ = run(module, ipc=3, experts=experts, features="expert", networks=2)
    with torch.no_grad():
        features = torch.cat([network(experts, n, 6).embed(images) for n in range(2)], 1)
    for c in range(CLASSES):
        members = (labels == c).nonzero().flatten()
        expected = members[order(features[members], 3)].tolist()
        assert numbers_of(result, images)[3 * c : 3 * c + 3] == expected


# ---- difficulty ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("epoch, read", [("auto", 1), (4, 4)])
def test_el2n_is_the_mean_distance_of_the_answer_from_the_label(experts, epoch, read):
    images, labels = blobs()
    task = task_of(el2n, experts=experts, teachers=2, teacher_epoch=epoch)
    expected = []
    for image, label in zip(images, labels, strict=True):
        wanted = torch.zeros(CLASSES)
        wanted[label] = 1
        distances = [
            float((answers(experts, n, read, image[None])[0] - wanted).norm()) for n in range(2)
        ]
        expected.append(sum(distances) / 2)
    assert torch.allclose(_coreset.el2n(task), torch.tensor(expected), atol=1e-6)


def test_forgetting_counts_what_was_right_and_is_not_after_the_next_epoch(experts):
    images, labels = blobs()
    images = images + 1.5 * torch.randn(images.shape, generator=torch.Generator().manual_seed(9))
    task = task_of(forgetting, experts=experts, data=(images, labels), teachers=3)
    expected = torch.zeros(len(images))
    for n in range(3):
        right = torch.stack(
            [answers(experts, n, epoch, images).argmax(1) == labels for epoch in range(1, 7)]
        )
        for i in range(len(images)):
            history = right[:, i].tolist()
            lost = sum(a and not b for a, b in itertools.pairwise(history))
            expected[i] += lost if any(history) else 7
    assert torch.equal(_coreset.forgetting(task), expected)
    assert len(expected.unique()) > 2, "the images differ in what there is to count"


@pytest.mark.parametrize(
    "module, score", [(el2n, _coreset.el2n), (forgetting, _coreset.forgetting)]
)
@pytest.mark.parametrize("keep", ["hardest", "easiest"])
def test_one_end_of_the_scores_is_kept_in_each_class(experts, module, score, keep):
    images, labels = blobs()
    result, _ = run(module, ipc=4, experts=experts, keep=keep)
    scores = score(task_of(module, experts=experts))
    for c in range(CLASSES):
        of_class = scores[labels == c].sort(descending=keep == "hardest").values
        kept = scores[numbers_of(result, images)[4 * c : 4 * c + 4]]
        assert torch.equal(kept, of_class[:4])


def test_equal_scores_are_drawn_not_taken_in_order():
    members = torch.arange(100, 150)
    scores = torch.zeros(200)
    first, again, other = (
        _coreset.ranked(scores, members, streams.generator(seed), hardest=True)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and sorted(first.tolist()) == members.tolist()
    assert first.tolist() != members.tolist() and first.tolist() != other.tolist()


# ---- coverage ------------------------------------------------------------------------------------


def test_ccs_shares_its_budget_among_strata_of_equal_width():
    # Four strata of [0, 8]: 1, 2, 4 and 5 images.
    scores = torch.tensor([0.0, 2.1, 3.9, 4.0, 4.5, 5.0, 5.9, 6.0, 6.5, 7.0, 7.5, 8.0])
    stratum = [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]
    counts = {
        number: [
            [
                stratum[i] for i in ccs.stratified(scores, number, 4, streams.generator(0)).tolist()
            ].count(each)
            for each in range(4)
        ]
        for number in (4, 8, 12)
    }
    # Of 8 each would have 2; the first has but 1, and what it leaves goes to those that follow.
    assert counts == {4: [1, 1, 1, 1], 8: [1, 2, 2, 3], 12: [1, 2, 4, 5]}


@pytest.mark.parametrize("number", range(1, 13))
def test_ccs_draws_as_many_as_it_should_and_none_twice(number):
    scores = torch.tensor([1.0, 1, 1, 1, 2, 2, 9, 9, 9, 9, 9, 9])
    chosen = ccs.stratified(scores, number, 50, streams.generator(3)).tolist()
    assert len(chosen) == len(set(chosen)) == number


@pytest.mark.parametrize(
    "score, of", [("el2n", _coreset.el2n), ("forgetting", _coreset.forgetting)]
)
def test_ccs_leaves_the_hardest_out(experts, score, of):
    images, labels = blobs()
    result, _ = run(ccs, ipc=5, experts=experts, score=score, cut=0.5, strata=3)
    scores = of(task_of(ccs, experts=experts))
    for c in range(CLASSES):
        bound = scores[labels == c].sort().values[9]  # 10 of 20 stay
        kept = numbers_of(result, images)[5 * c : 5 * c + 5]
        assert float(scores[kept].max()) <= bound and len(set(kept)) == 5


# ---- a teacher's labels --------------------------------------------------------------------------


def test_soft_random_s_labels_are_the_experts_mean_answers(experts):
    images, labels = blobs()
    result, _ = run(soft_random, ipc=4, experts=experts, teacher_epoch=3, teachers=2)
    numbers = numbers_of(result, images)
    assert labels[numbers].tolist() == [c for c in range(CLASSES) for _ in range(4)]
    chosen = images[numbers]
    expected = (answers(experts, 0, 3, chosen) + answers(experts, 1, 3, chosen)) / 2
    assert torch.allclose(result.labels, expected, atol=1e-6)
    assert torch.allclose(result.labels.sum(1), torch.ones(12), atol=1e-6)


class Epochs:
    """Experts of one number an epoch: the first epoch's answers are worth most, the rest are those
    of networks that know nothing."""

    def __init__(self, good):
        module = networks.build("ConvNet", channels=1, size=SIZE, classes=CLASSES, **SPEC.options)
        self.number, self.epochs, self.good = 1, 4, good
        self.taught = Experts(number=1, epochs=1, steps=60)
        self.untaught = networks.flatten(
            networks.parameters(networks.initialise(module, torch.Generator().manual_seed(5)))
        )

    def pair(self, expert, start, stop):
        return tuple(
            self.taught.pair(0, 1, 1)[0] if epoch == self.good else self.untaught
            for epoch in (start, stop)
        )


@pytest.mark.slow
@pytest.mark.parametrize("good", [1, 3, 4])
def test_the_epoch_is_that_whose_network_is_best_on_the_validation_images(good):
    experts = Epochs(good)
    held = blobs(seed=3)
    task = task_of(soft_random, ipc=4, experts=experts, trial_epochs=30)
    task = base.Task(**{**task.__dict__, "held": lambda: held})
    result = soft_random.select(task)
    images, _ = blobs()
    expected = answers(experts, 0, good, images[numbers_of(result, images)])
    assert torch.allclose(result.labels, expected, atol=1e-6)


def test_without_validation_images_the_epoch_must_be_named(experts):
    with pytest.raises(UserError, match=r"raise data\.validation, or name the epoch"):
        run(soft_random, experts=experts)


@pytest.mark.parametrize(
    "epochs, number, expected",
    [(6, 6, [1, 2, 3, 4, 5, 6]), (15, 6, [2, 5, 8, 10, 12, 15]), (2, 6, [1, 2]), (9, 1, [9])],
)
def test_the_epochs_that_are_tried_are_evenly_spaced_to_the_last(epochs, number, expected):
    assert soft_random.tried(epochs, number) == expected


# ---- stitched crops ------------------------------------------------------------------------------


@pytest.mark.slow
def test_rded_keeps_the_best_crop_of_each_image_and_the_best_of_those(experts):
    images, labels = blobs()
    settings = {"candidates": 8, "crops": 3, "teachers": 2}
    task = task_of(rded, ipc=3, experts=experts, **settings)
    result = rded.select(task)
    expected = []
    for c in range(CLASSES):
        generator = task.stream("candidates", c)
        members = (labels == c).nonzero().flatten()
        drawn = members[torch.randperm(len(members), generator=generator)[:8]]
        best = []
        for number in drawn.tolist():
            crops = []
            for top, left, height, width in rded.boxes(task.settings, (SIZE, SIZE), generator):
                part = images[None, number, :, top : top + height, left : left + width]
                crops.append(
                    functional.interpolate(part, (SIZE, SIZE), mode="bilinear", align_corners=False)
                )
            losses = [
                -math.log(sum(float(answers(experts, n, 6, one)[0, c]) for n in range(2)) / 2)
                for one in crops
            ]
            least = min(range(3), key=losses.__getitem__)
            best.append((losses[least], crops[least]))
        best.sort(key=lambda pair: pair[0])
        expected += [one for _, one in best[:3]]
    assert torch.allclose(result.images, torch.cat(expected), atol=1e-6)
    given = sum(answers(experts, n, 6, result.images) for n in range(2)) / 2
    assert torch.allclose(result.labels, given, atol=1e-6)


def test_crops_lie_inside_the_image_and_have_its_proportions():
    settings = {"crops": 400, "least_area": 0.25}
    drawn = rded.boxes(settings, (32, 16), torch.Generator().manual_seed(0))
    shares = []
    for top, left, height, width in drawn:
        assert 0 <= top <= 32 - height and 0 <= left <= 16 - width
        assert abs(height - 2 * width) <= 2
        shares.append(height * width / 512)
    assert min(shares) < 0.3 and max(shares) > 0.95
    assert abs(sum(shares) / 400 - 0.625) < 0.03, "the area is uniform between a quarter and all"
    tops = [top for top, _, height, _ in drawn if height <= 20]
    assert min(tops) == 0 and max(tops) >= 10, "everywhere"


@pytest.mark.parametrize("sides", [(8, 8), (9, 7)])
def test_stitched_crops_stand_row_by_row(sides):
    crops = torch.arange(8.0)[:, None, None, None].expand(8, 1, *sides)
    first, second = rded.stitch(crops, 2)
    middle, centre = round(sides[0] / 2), round(sides[1] / 2)
    for image, start in ((first, 0), (second, 4)):
        quarters = [
            image[0, :middle, :centre],
            image[0, :middle, centre:],
            image[0, middle:, :centre],
            image[0, middle:, centre:],
        ]
        for place, quarter in enumerate(quarters):
            assert torch.allclose(quarter, torch.full_like(quarter, start + place))


def test_rded_stitches_four_crops_of_large_images(experts):
    result, _ = run(rded, ipc=2, experts=experts, factor=2, candidates=20)
    assert result.images.shape == (CLASSES * 2, 1, SIZE, SIZE)
    with pytest.raises(UserError, match="needs 24 real images of class 0, which has 20"):
        run(rded, ipc=6, experts=experts, factor=2)


@pytest.mark.parametrize("module", [ccs, el2n, forgetting, rded, soft_random])
def test_without_experts_there_is_one_clear_line(module):
    with pytest.raises(UserError, match="learns from expert trajectories, and none were given"):
        run(module)
