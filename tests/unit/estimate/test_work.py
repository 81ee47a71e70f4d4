"""What each job computes."""

import pytest

from distillery import outside, plugins
from distillery.estimate import kept, work
from distillery.estimate.rates import Counted
from distillery.estimate.sizes import ADJOINT, FORWARD, GRADIENT, KINDS, MATCHING, Part, Sizes
from distillery.estimate.work import Work, Works
from distillery.methods import _unroll
from distillery.networks import NetworkSpec
from distillery.study.params import RULES
from tests.unit.estimate.given import TEST, TRAIN, jobs_of


def work_of(rule, jobs=None, **wildcards):
    jobs = jobs or jobs_of()
    (job,) = [
        job
        for job in kept.all_jobs(jobs)
        if job.rule == rule and wildcards.items() <= dict(job.wildcards).items()
    ]
    return Works(jobs.study).of(rule, jobs.params(rule, dict(job.wildcards)))


def test_full_training_makes_its_steps_and_tests():
    work = work_of("train_vanilla")
    # Three epochs of six batches; a test after each, and one of the network.
    assert work.parts == [
        Part(GRADIENT, 3 * 6, 256, True),
        Part(FORWARD, 4 * TEST / 512, 512, True),
    ]
    assert work.network is not None and work.network.options["width"] == 8


def test_selection_judges_every_snapshot():
    chosen, plain = (
        work_of("evaluate_synthetic", method=method).parts for method in ("dc", "random")
    )
    assert chosen[: len(plain)] == plain and len(chosen) == len(plain) + 3
    # Two networks on each of ten snapshots and the start, four epochs of one step each.
    assert chosen[3] == Part(GRADIENT, 2 * 11 * 4, 10)


def test_other_labels_and_parts_are_further_trainings_and_a_teacher_answers_every_step():
    grid = [{"dataset": "digits", "method": "random", "init": "real", "ipc": 3}]
    evaluate = {"networks": ["ConvNet"], "models": 2, "epochs": 4}
    plain = work_of("evaluate_synthetic", jobs_of(grid=grid, evaluate=evaluate)).parts
    more = {"labels": ["own", "teacher"], "first": [1], "teacher": {"number": 2}}
    parts = work_of("evaluate_synthetic", jobs_of(grid=grid, evaluate=evaluate | more)).parts
    assert parts[: len(plain)] == plain
    assert plain[0] == Part(GRADIENT, 2 * 4, 30)
    taught = Part(FORWARD, 2 * 2 * 4, 30, eager=True)
    tested = parts[4]
    assert parts[3:] == [plain[0], tested, taught, Part(GRADIENT, 2 * 4, 10), tested]
    vanilla = {"networks": ["ConvNet"], "epochs": 3, "labels": "teacher"}
    whole = work_of("train_vanilla", jobs_of(vanilla=vanilla)).parts
    assert whole[2:] == [Part(FORWARD, 3 * 6, 256, eager=True)]


def test_gradient_matching_compares_each_class_at_each_image_step():
    learned = TRAIN - int(0.1 * TRAIN)
    real, synthetic, between = work_of("distill", method="dc").parts
    assert real == Part(GRADIENT, 3 * 10, -(-learned // 10), True)
    assert synthetic == Part(MATCHING, 3, 10)
    assert between.calls == 0  # one image per class: no training between two steps


def test_experts_leave_a_vector_of_parameters_each_epoch():
    work = work_of("train_experts")
    parameters = 8 * 9 + 8 + 16 + 8 * 16 * 10 + 10
    assert work.disk - 4 * 2 * 3 * parameters == pytest.approx(60e3)


def test_joint_training_sees_old_classes_again():
    joint, finetune = (
        work_of("continual_alone", strategy=strategy).parts[0].calls
        for strategy in ("joint", "finetune")
    )
    assert joint / finetune == pytest.approx(1.5, rel=0.01)


def test_gdumb_learns_each_group_s_memory_as_often_as_groups_follow_it():
    jobs = jobs_of(continual={"groups": 5, "gdumb_epochs": 4, "gdumb_batch": 1})
    trained, tested = work_of("continual_memory", jobs, strategy="gdumb", method="dc").parts
    # Of 10 images 2, 4, 6, 8 and 10.
    assert trained == Part(GRADIENT, 4 * 30, 1, True)
    assert tested.calls == pytest.approx(5 * TEST / 512)


def test_the_parts_of_a_memory_take_together_what_the_whole_takes():
    memory = {"groups": 2, "memories": ["per_step"]}
    jobs = jobs_of(continual=memory)
    for rule, named in (("distill", {"method": "dc"}), ("train_experts", {"recipe": "default"})):
        part = f"step_{rule.removeprefix('train_')}"
        whole = work_of(rule, jobs, **named).parts[0]
        steps = [work_of(part, jobs, step=str(n), **named).parts[0] for n in range(2)]
        total = sum(step.calls * step.images for step in steps)
        assert total == pytest.approx(whole.calls * whole.images, rel=0.2)
    few = jobs_of(continual={**memory, "images_per_class": 10})
    (least,) = {work_of("step_experts", few, step=str(n)).parts[0].images for n in range(2)}
    assert least == 45  # of five classes, a tenth held out


@pytest.mark.parametrize("name", plugins.methods())
def test_every_method_of_the_library_says_its_work(name):
    method = plugins.methods()[name]
    settings = {key: rule["default"] for key, rule in method.settings.items()}
    said = outside.module(method.code).expected_work
    sizes = {"classes": 10, "images": 1000, "largest": 100, "held": 100}
    few, many = (
        [
            Part(*each)
            for each in said(
                Sizes(settings=settings, ipc=ipc, experts=5, expert_epochs=20, **sizes)
            )
        ]
        for ipc in (1, 50)
    )
    assert {part.kind for part in few} <= set(KINDS)
    images = [sum(part.calls * part.images for part in parts) for parts in (few, many)]
    assert images[0] <= images[1] and (images[0] > 0) == method.needs_network


def test_each_network_of_a_search_is_trained_and_tested():
    grid = {"width": [2, 4], "norm": ["none", "instance"]}
    search = {"datasets": ["digits"], "options": grid, "epochs": 3, "full": {"epochs": 2}}
    jobs = jobs_of(search=search)
    full, by_set = (
        work_of("search_full", jobs),
        work_of("search", jobs, method="random"),
    )
    assert [spec.options["width"] for spec, _ in full.passes] == [2, 4, 2, 4]
    for _, parts in full.passes:
        assert parts == [
            Part(GRADIENT, 2 * 6, 256, True),
            Part(FORWARD, TEST / 512, 512, True),
        ]
    assert all(parts[0] == Part(GRADIENT, 3, 10) for _, parts in by_set.passes)


def test_what_steps_keep_for_their_adjoint_is_memory_up_to_the_bound():
    network = NetworkSpec("ConvNet", 3, 32, 10, {"width": 128, "depth": 3})

    def memory(steps):
        return Work(network, [Part(ADJOINT, 1, 100, kept=steps)]).memory(Counted.of)

    assert work._KEPT_BYTES == _unroll.KEPT_BYTES
    # Measured: 33 MB a step.
    assert 1 < (memory(20) - memory(0)) / (20 * 33e6) < 2.5
    assert memory(1000) - memory(0) == work._KEPT_BYTES


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_work(rule):
    assert callable(getattr(Works(jobs_of().study), f"_{rule}", None))


def test_a_rule_that_is_not_known_is_of_unknown_length():
    jobs = jobs_of()
    asked = jobs.params("train_vanilla", {"dataset": "digits", "network": "ConvNet"})
    assert Works(jobs.study).of("another", asked) == Work(parts=None)
