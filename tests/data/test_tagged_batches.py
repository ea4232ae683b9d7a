"""Batches of tagged sentences: padding, labels, characters, and that no word is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmodels.data.buckets import BucketStream, EvaluationBuckets, bucket_widths
from seqmodels.data.tagged_batches import Spelling, TaggedNumbers

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=50)


def numbered(lengths, spelling=None):
    """Every word is a number of its own, its label the same number, its form too."""
    ends = np.cumsum(lengths)
    words = [np.arange(end - length, end, dtype=np.int32) + 1 for length, end in zip(lengths, ends, strict=True)]
    return TaggedNumbers(words, words, [word - 1 for word in words], spelling)


def words_of(batch):
    """The words of a batch; what is beyond the lengths is zero."""
    inside = np.arange(batch.tokens.shape[1]) < batch.lengths[:, None]
    assert np.all(batch.tokens[~inside] == 0)
    np.testing.assert_array_equal(batch.tokens, batch.labels)
    return batch.tokens[inside].tolist()


@given(LENGTHS, st.integers(1, 5), st.integers(1, 9))
def test_every_word_is_evaluated_once(lengths, buckets, rows):
    batches = list(EvaluationBuckets(numbered(lengths), bucket_widths(lengths, buckets), rows))
    assert {batch.tokens.shape[0] for batch in batches} == {rows}
    words = [word for batch in batches for word in words_of(batch)]
    assert sorted(words) == list(range(1, sum(lengths) + 1))


@given(LENGTHS, st.integers(0, 3))
def test_a_training_batch_depends_on_seed_and_step_alone(lengths, seed):
    stream, again = (BucketStream(numbered(lengths), bucket_widths(lengths, 3), 1) for _ in range(2))
    epoch = [stream.at(step, seed) for step in range(len(stream))]
    assert sorted(word for batch in epoch for word in words_of(batch)) == list(range(1, sum(lengths) + 1))
    for step in reversed(range(len(stream))):
        np.testing.assert_array_equal(again.at(step, seed).tokens, epoch[step].tokens)


def test_characters_stand_beside_their_words():
    words = [np.array(word, np.int32) for word in ([1], [2, 3], [4, 5, 6, 7, 8], [9], [1, 2, 3], [6])]
    numbers = numbered([2, 3, 1], Spelling.of(words, 4))
    batch = numbers.batch(np.array([1, 0]), 3, 4)
    assert batch.lengths.tolist() == [3, 2, 0]
    assert batch.character_lengths.tolist() == [[4, 1, 3, 0], [1, 2, 0, 0], [0, 0, 0, 0]]
    assert batch.characters[0].tolist() == [[4, 5, 7, 8], [9, 0, 0, 0], [1, 2, 3, 0], [0, 0, 0, 0]]
    assert batch.characters[1].tolist() == [[1, 0, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert not batch.characters[2].any()
    assert {array.dtype.name for array in batch} == {"int32"}


@pytest.mark.parametrize(("width", "kept"), [(2, [1, 7]), (3, [1, 2, 7]), (6, [1, 2, 3, 5, 6, 7]), (7, [*range(1, 8)])])
def test_of_a_long_word_both_ends_are_kept(width, kept):
    spelling = Spelling.of([np.arange(1, 8, dtype=np.int32)], width)
    assert spelling.characters.tolist() == [kept]
    assert spelling.lengths.tolist() == [width]
