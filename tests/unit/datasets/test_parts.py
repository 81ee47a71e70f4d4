"""Which images are learned from, held out and tested on."""

import numpy as np
import pytest

from distillery.datasets import _parts
from distillery.datasets._listing import Listing
from distillery.errors import UserError


def listing(counts, part=""):
    """Images of classes: `{"cat": 3}`, or with parts `{("cat", "test"): 1}`."""
    names = sorted({key if isinstance(key, str) else key[0] for key in counts})
    files, labels, parts = [], [], []
    for key, count in counts.items():
        name, part = (key, "") if isinstance(key, str) else key
        files += [f"{part}/{name}/{number}.png" for number in range(count)]
        labels += [names.index(name)] * count
        parts += [part] * count
    return Listing("", files, names, labels, parts, files)


def plan(found, **settings):
    return _parts.plan("config: datasets.pets", found, settings)


def drawn(found, seed=0, **settings):
    return _parts.draw(found, plan(found, **settings), seed)


def files(found, rows):
    return {found.files[row] for row, _ in rows}


def refusal(counts, **settings):
    with pytest.raises(UserError) as caught:
        plan(listing(counts), **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def counts(planned, part):
    return [each[part] for each in planned.counts]


def test_a_share_of_each_class_is_tested_on_to_the_nearest_and_one_image_is_left():
    planned = plan(listing({"a": 1, "b": 2, "c": 3, "d": 10, "e": 100}))
    assert counts(planned, "test") == [0, 0, 1, 2, 20]
    assert counts(planned, "train") == [1, 2, 2, 8, 80]
    assert planned.notes == ["2 classes without test images: a, b"]
    assert planned.smallest("train") == 1 and planned.total("test") == 23
    planned = plan(listing({"a": 1, "b": 2, "c": 10}), test=0.9, validation=0.5)
    assert counts(planned, "test") == [0, 1, 9]
    assert counts(planned, "validation") == [0, 0, 0] and counts(planned, "train") == [1, 1, 1]


def test_the_parts_are_disjoint_and_all_that_there_is():
    found = listing({"a": 30, "b": 50})
    chosen = drawn(found, validation=0.25)
    rows = [row for part in chosen.values() for row, _ in part]
    assert sorted(rows) == list(range(80))
    assert {part: len(each) for part, each in chosen.items()} == {
        "train": 18 + 30,
        "validation": 6 + 10,
        "test": 6 + 10,
    }
    for part in chosen.values():
        assert part == sorted(part)
        assert all(found.labels[row] == label for row, label in part)


def test_the_seed_draws_and_a_new_image_moves_at_most_one_other():
    found = listing({"a": 100, "b": 10})
    first = files(found, drawn(found)["test"])
    assert files(found, drawn(found, seed=1)["test"]) != first == files(found, drawn(found)["test"])
    more = listing({"a": 101, "b": 10})
    second = files(more, drawn(more)["test"])
    assert len(first ^ second) <= 2


def test_the_data_s_own_parts_are_kept():
    found = listing(
        {("a", "train"): 5, ("b", "train"): 4, ("a", "test"): 3, ("b", "validation"): 2}
    )
    planned = plan(found)
    assert counts(planned, "train") == [5, 4]
    assert counts(planned, "validation") == [0, 2] and counts(planned, "test") == [3, 0]
    chosen = _parts.draw(found, planned, 0)
    assert files(found, chosen["test"]) == {f"test/a/{number}.png" for number in range(3)}
    for part in ("test", "validation"):
        assert f"{part}: the data have a {part} part of their own; leave the key out" in refusal(
            {("a", "train"): 5, ("b", "train"): 4, ("a", "test"): 3, ("b", "validation"): 2},
            **{part: 0.2},
        )


def test_a_validation_part_without_a_test_part_is_tested_on():
    found = listing({("a", "train"): 5, ("b", "train"): 4, ("a", "validation"): 3})
    planned = plan(found)
    assert counts(planned, "test") == [3, 0] and counts(planned, "validation") == [0, 0]
    assert planned.notes[0] == "there is no test part: the validation part is tested on"
    assert len(_parts.draw(found, planned, 0)["test"]) == 3


def test_a_training_part_alone_is_shared():
    planned = plan(listing({("a", "train"): 10, ("b", "train"): 5}), test=0.4)
    assert counts(planned, "test") == [4, 2] and counts(planned, "train") == [6, 3]


def test_classes_are_chosen_ordered_renamed_and_merged():
    found = listing({"cat": 10, "dog": 5, "kitten": 5})
    assert plan(found).classes == ("cat", "dog", "kitten")
    chosen = plan(found, classes=["kitten", "cat"])
    assert chosen.classes == ("kitten", "cat") and counts(chosen, "train") == [4, 8]
    renamed = plan(found, classes={"dog": "Hund", "kitten": "Katze", "cat": "Katze"})
    assert renamed.classes == ("Hund", "Katze") and counts(renamed, "train") == [4, 12]
    labels = {label for _, label in _parts.draw(found, renamed, 0)["train"]}
    assert labels == {0, 1}
    assert "there is no class 'Cat' among the data; did you mean 'cat'? there are" in refusal(
        {"cat": 1, "dog": 1}, classes=["Cat", "dog"]
    )
    assert refusal({"cat": 1, "dog": 1}, classes=["dog"]).endswith(
        "has one class, 'dog'; two or more are needed"
    )
    assert refusal({"cat": 9}).endswith("has one class, 'cat'; two or more are needed")
    assert refusal({"cat": 9}, classes=[]).endswith(
        "classes: must not be empty; leave the key out for all classes"
    )


def test_limits_leave_the_parts_where_they_were():
    found = listing({"a": 50, "b": 20})
    whole, limited = drawn(found), drawn(found, per_class=10, test_per_class=3)
    assert [len(limited[part]) for part in ("train", "test")] == [20, 6]
    for part in ("train", "test"):
        assert set(limited[part]) < set(whole[part])


def test_a_long_tail_falls_exponentially():
    planned = plan(listing(dict.fromkeys("abcde", 125)), longtail=16)
    assert counts(planned, "train") == [100, 50, 25, 12, 6]
    assert counts(planned, "test") == [25] * 5
    planned = plan(listing(dict.fromkeys("abcde", 125)), longtail=1000, per_class=50)
    assert counts(planned, "train") == [50, 8, 1, 1, 1]
    # A class that has fewer keeps what it has.
    assert counts(plan(listing({"a": 125, "b": 5, "c": 125}), longtail=4), "train") == [100, 4, 25]
    assert counts(plan(listing(dict.fromkeys("ab", 125)), longtail=1), "train") == [100, 100]


def test_a_class_without_training_images_is_refused_by_name():
    text = refusal({("a", "train"): 5, ("b", "train"): 4, ("c", "test"): 3, ("d", "validation"): 1})
    assert "2 classes have no training images: c, d (c: 3 in test); add some, or list the" in text
    text = refusal({("a", "train"): 5, ("b", "train"): 4, ("c", "test"): 3})
    assert "1 class has no training images: c" in text


def test_nothing_to_test_on_is_refused():
    assert "test: leaves no image of any class to test on; the largest has 2: raise" in refusal(
        {"a": 1, "b": 2}
    )


def test_the_order_of_shares_is_even():
    """No part of the names decides: over seeds each image is tested on as often."""
    found = listing({"a": 10, "b": 10})
    often = np.zeros(20)
    for seed in range(400):
        for row, _ in drawn(found, seed=seed)["test"]:
            often[row] += 1
    assert often.sum() == 400 * 4 and abs(often - 80).max() < 40
