"""Batches of about the same length: shapes, order, masks, and that nothing is lost."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.buckets import BucketStream, EvaluationBuckets, Numbered, bucket_widths
from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError

LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=80)


def numbered(lengths):
    """Texts that say which they are: every symbol of text n is n + 1, and so is its label."""
    texts = [np.full(length, number + 1, np.int32) for number, length in enumerate(lengths)]
    return Numbered(texts, np.arange(1, len(lengths) + 1, dtype=np.int32))


def check(batch, lengths):
    """Masks, lengths, labels and symbols agree; returns the numbers of the texts."""
    assert [array.dtype.name for array in batch] == ["int32", "int32", "int32", "bool"]
    for tokens, length, label, real in zip(*batch, strict=True):
        if real:
            assert length == lengths[label - 1]
            assert np.all(tokens[:length] == label)
        else:
            assert length == 0
        assert np.all(tokens[length:] == 0)
    return (batch.labels[batch.mask] - 1).tolist()


@given(LENGTHS, st.integers(1, 6))
def test_widths_are_few_and_hold_every_text(lengths, number):
    widths = bucket_widths(lengths, number)
    assert 1 <= len(widths) <= number
    assert list(widths) == sorted(set(widths))
    assert all(width % 8 == 0 for width in widths)
    assert widths[-1] >= max(*lengths, 1) > widths[-1] - 8


@given(LENGTHS, st.integers(1, 4), st.integers(1, 9))
def test_evaluation_reads_every_text_once(lengths, number, rows):
    widths = bucket_widths(lengths, number)
    batches = EvaluationBuckets(numbered(lengths), widths, rows)
    found = list(batches)
    assert len(found) == len(batches)
    assert sorted(text for batch in found for text in check(batch, lengths)) == list(range(len(lengths)))
    assert all(batch.tokens.shape in {(rows, width) for width in widths} for batch in found)
    assert all(batch.mask.all() for batch in found[:-1])
    assert found[-1].mask.any()
    for batch in found:
        assert batch.tokens.shape[1] == min(width for width in widths if width >= batch.lengths.max())


@given(LENGTHS, st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(-3, 3))
def test_an_epoch_reads_no_text_twice_and_leaves_out_less_than_a_step(lengths, number, rows, group, seed):
    if len(lengths) < rows * group:
        return
    stream = BucketStream(numbered(lengths), bucket_widths(lengths, number), rows, group=group)
    for epoch in range(3):
        batches = [stream.at(epoch * len(stream) + index, seed) for index in range(len(stream))]
        texts = [text for batch in batches for text in check(batch, lengths)]
        assert len(set(texts)) == len(texts) > len(lengths) - rows * group
        assert all(batch.mask.all() for batch in batches)
        for start in range(0, len(batches), group):
            assert len({batch.tokens.shape for batch in batches[start : start + group]}) == 1


def test_a_batch_is_as_narrow_as_its_texts_allow():
    lengths = [3] * 40 + [30] * 40
    stream = BucketStream(numbered(lengths), (8, 32), 8)
    shapes = collections.Counter(stream.at(step, seed=0).tokens.shape for step in range(len(stream)))
    assert shapes == {(8, 8): 5, (8, 32): 5}


def test_a_batch_depends_on_seed_and_step_alone():
    lengths = list(range(1, 41))
    one, other = (BucketStream(numbered(lengths), (8, 16, 40), 4) for _ in range(2))
    steps = [37, 3, 21, 3, 0, 37]
    for step in steps:
        for a, b in zip(one.at(step, seed=5), other.at(step, seed=5), strict=True):
            np.testing.assert_array_equal(a, b)
        other.at(step + 100, seed=6)
    orders = {
        tuple(np.concatenate([one.at(e * 10 + i, seed).labels for i in range(10)])) for e in (0, 1) for seed in (0, 1)
    }
    assert len(orders) == 4


def test_every_text_has_its_turn():
    """What fills no batch is left out by chance, never the same for good."""
    stream = BucketStream(numbered([5, 50, 5, 50, 5, 5, 5]), (8, 56), 4)
    assert len(stream) == 1
    seen = collections.Counter(int(label) for step in range(60) for label in stream.at(step, seed=0).labels)
    assert set(seen) == set(range(1, 8))
    assert min(seen.values()) > 15


def test_fewer_texts_than_a_step_needs():
    with pytest.raises(DataError, match=r"3 training examples, but a step needs 4; lower data\.batch_size"):
        BucketStream(numbered([1, 2, 3]), (8,), 2, group=2)


def test_permutations_are_those_they_always_were():
    # A resumed run must meet the order that it left, also under another version of a library.
    assert permutation(8, 3, 1).tolist() == [4, 1, 5, 3, 2, 0, 7, 6]
    assert sorted(permutation(1000, -7).tolist()) == list(range(1000))
    assert permutation(0, 1).tolist() == []
