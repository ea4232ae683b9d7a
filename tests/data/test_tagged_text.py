"""Tagged sentences in three splits: what is refused, and how splits are made."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.sources import DataError
from seqmodels.data.tagged_text import TaggedSentence, TaggedText, hold_out_sentences


def sentence(words, labels, file="x.tsv", start=1):
    return TaggedSentence(tuple(words.split()), tuple(labels), file, tuple(range(start, start + len(labels))))


A, B = sentence("a fine film", "DAN"), sentence("a film", "DN", start=5)


def made(**changes):
    given = {"name": "x.tsv", "classes": ("A", "D", "N"), "train": (A, B), "valid": (B,), "test": (A, A)}
    return TaggedText(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"train": ()}, "x.tsv: there are no sentences to learn from"),
        ({"valid": ()}, "x.tsv: there are no sentences to validate on"),
        ({"test": ()}, "x.tsv: there are no sentences to test on"),
        (
            {"train": (sentence("a the", "DD"),), "classes": ("D",)},
            "x.tsv: all words to learn from have the label 'D'; there must be two classes at least",
        ),
        ({"classes": ("A", "D", "N", "X")}, "x.tsv: no word to learn from has the class 'X'"),
        (
            {"test": (A, sentence("a film ran", "DNV", "test.tsv", 7))},
            r"test.tsv:9: the label 'V' is in no training sentence \(there: 'A', 'D', 'N'\); correct it, or train",
        ),
    ],
)
def test_what_is_unfit_is_refused(changes, fault):
    with pytest.raises(DataError, match=fault):
        made(**changes)


def test_the_fingerprint_tells_data_apart_and_nothing_else():
    same = made(name="y.tsv", train=(A._replace(file="elsewhere", lines=(7, 8, 9)), B), ordered=True)
    assert same.fingerprint == made().fingerprint
    others = [
        {"train": (B, A)},
        {"train": (A, B, B), "valid": (A,)},
        {"classes": ("D", "A", "N")},
        {"train": (sentence("a fine films", "DAN"), B)},
        {"train": (sentence("a fine film", "DAA"), B)},
        {"train": (sentence("a fine film a film", "DANDN"),)},
        {"test": (A, B)},
    ]
    assert len({made(**changes).fingerprint for changes in others} | {made().fingerprint}) == len(others) + 1


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=12, max_size=40), st.integers(0, 5))
def test_no_label_is_lost_to_training(labels, seed):
    sentences = [sentence("w " * len(row), row, start=number) for number, row in enumerate(labels)]
    counts = collections.Counter(label for row in labels for label in set(row))
    try:
        rest, apart = hold_out_sentences(sentences, 0.25, seed=seed, name="x")
    except DataError:
        assert all(any(counts[label] == 1 for label in row) for row in labels)
        return
    assert sorted([*rest, *apart]) == sorted(sentences)
    assert list(rest) == [one for one in sentences if one in rest]
    assert 1 <= len(apart) <= round(0.25 * len(sentences))
    assert {label for one in rest for label in one.labels} == set(counts)
    assert hold_out_sentences(sentences, 0.25, seed=seed, name="x") == (rest, apart)


def test_the_seed_and_the_share_decide_what_is_held_out():
    sentences = [sentence("a film", "DN", start=number) for number in range(40)]
    made = [hold_out_sentences(sentences, 0.25, seed=seed, name="x")[1] for seed in range(5)]
    assert [len(apart) for apart in made] == [10] * 5
    assert len(set(made)) == 5


def test_too_few_to_hold_some_out():
    with pytest.raises(DataError, match=r"x\.tsv: 1 sentences are too few to hold some out; is there a blank line"):
        hold_out_sentences([A], 0.1, seed=0, name="x.tsv")
