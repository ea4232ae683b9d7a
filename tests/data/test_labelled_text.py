"""Labelled texts in three splits: what is refused, and how splits are made."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.labelled_text import Example, LabelledText, hold_out
from seqmodels.data.sources import DataError

A, B = Example("one", "a", "x.csv:2"), Example("two", "b", "x.csv:3")


def made(**changes):
    given = {"name": "x.csv", "classes": ("a", "b"), "train": (A, B), "valid": (B,), "test": (A, A)}
    return LabelledText(**{**given, **changes})


def test_classes_have_numbers():
    assert [made().numbers(split).tolist() for split in ("train", "valid", "test")] == [[0, 1], [1], [0, 0]]
    assert made(classes=("b", "a")).numbers("train").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"train": ()}, "x.csv: there are no examples to learn from"),
        ({"valid": ()}, "x.csv: there are no examples to validate on"),
        ({"test": ()}, "x.csv: there are no examples to test on"),
        ({"train": (A, A)}, "x.csv: all 2 training examples have the label 'a'; there must be two classes at least"),
        ({"classes": ("a", "b", "c")}, "x.csv: there is no training example of the class 'c'"),
        (
            {"test": (A, Example("three", "c", "test.csv:7"))},
            r"test.csv:7: the label 'c' is in no training example \(there: 'a', 'b'\); correct it, or train",
        ),
    ],
)
def test_what_is_unfit_is_refused(changes, fault):
    with pytest.raises(DataError, match=fault):
        made(**changes)


def test_the_fingerprint_tells_data_apart_and_nothing_else():
    same = made(name="y.csv", train=(A._replace(place="elsewhere"), B), whole=("one",))
    assert same.fingerprint == made().fingerprint
    others = [
        {"train": (B, A)},
        {"train": (A, B, B), "valid": (A,)},
        {"classes": ("b", "a")},
        {"train": (A._replace(text="onea", label="b"), A, B)},
        {"train": (A._replace(text="on"), B)},
        {"test": (A, B)},
    ]
    assert len({made(**changes).fingerprint for changes in others} | {made().fingerprint}) == len(others) + 1


@given(st.lists(st.sampled_from("aab"), min_size=20, max_size=60), st.integers(0, 5))
def test_every_class_gives_the_same_share(labels, seed):
    examples = [Example(str(number), label, "") for number, label in enumerate(labels)]
    rest, apart = hold_out(examples, 0.25, seed=seed, name="x")
    assert sorted([*rest, *apart]) == sorted(examples)
    assert list(rest) == [example for example in examples if example in rest]
    counts, held = (collections.Counter(example.label for example in group) for group in (examples, apart))
    assert all(held[label] == round(0.25 * counts[label]) for label in counts)
    assert hold_out(examples, 0.25, seed=seed, name="x") == (rest, apart)


def test_the_seed_decides_what_is_held_out():
    examples = [Example(str(number), "ab"[number % 2], "") for number in range(40)]
    assert len({hold_out(examples, 0.25, seed=seed, name="x")[1] for seed in range(5)}) == 5


def test_too_few_to_hold_some_out():
    with pytest.raises(DataError, match=r"x\.csv: 2 examples are too few to hold some out; give files for each split"):
        hold_out([A, B], 0.1, seed=0, name="x.csv")
