"""What a text costs without learning, against computing it directly."""

import bz2
import collections
import gzip
import lzma
import math

import numpy as np
import pytest
from small import text

from seqmodels.tasks import compression
from seqmodels.tasks.compression import compressed_bits, unigram_nats

TRAIN, SPLIT = text(200, seed=1), text(20, seed=2)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gzip", lambda data: len(gzip.compress(data, 9))),
        ("bz2", lambda data: len(bz2.compress(data, 9))),
        ("xz", lambda data: len(lzma.compress(data))),
    ],
)
@pytest.mark.parametrize("accent", ["", "é🙂"])
def test_compressors_that_saw_the_training_text(name, size, accent):
    train, split = TRAIN + accent, SPLIT + accent
    before, after = (train.encode(), (train + split).encode())
    expected = (size(after) - size(before)) * 8 / 77
    # xz at its highest level and at its default give the same for a text that is smaller than either's dictionary.
    assert compressed_bits(train, split, 77)[name] == pytest.approx(expected, rel=0.05 if name == "xz" else 0)


def test_a_text_that_was_seen_costs_less():
    repeated, new = compressed_bits(TRAIN, TRAIN[:2000], 2000), compressed_bits(TRAIN, SPLIT, len(SPLIT))
    assert all(repeated[name] < new[name] for name in new)
    assert max(repeated["gzip"], repeated["xz"]) < 0.3  # found as one exact repeat


def test_bytes_that_are_not_utf_8():
    assert set(compressed_bits(TRAIN, SPLIT + "\udcff", len(SPLIT) + 1)) == {"gzip", "bz2", "xz"}


def test_large_texts_are_left_out(monkeypatch):
    monkeypatch.setattr(compression, "_LARGEST_TEXT", len(TRAIN) + len(SPLIT) - 1)
    assert compressed_bits(TRAIN, SPLIT, 1) == {}
    assert compressed_bits(TRAIN, SPLIT[:-1], 1) != {}


def test_unigram_frequencies_plus_one():
    random = np.random.default_rng(0)
    train, split = random.integers(0, 6, 100), random.integers(0, 8, 30)
    counts = collections.Counter(train.tolist())
    expected = -sum(math.log((counts[s] + 1) / (100 + 8)) for s in split.tolist()) / 30
    assert unigram_nats(train, split, 8) == pytest.approx(expected, rel=1e-12)


def test_unigrams_of_the_training_text_itself_cost_its_entropy():
    train = np.repeat([0, 1, 2, 3], [5000, 2500, 1250, 1250])
    assert unigram_nats(train, train, 4) / math.log(2) == pytest.approx(1.75, abs=1e-3)
