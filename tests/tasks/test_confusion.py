"""Measures of a confusion matrix against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from seqmodels.tasks.confusion import Confusion


@pytest.mark.parametrize("seed", range(20))
def test_measures_are_those_of_scikit_learn(seed):
    """Few examples, so that some classes are missing among the true ones, the found ones, or both."""
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 7))
    labels, found = random.integers(0, classes, (2, int(random.integers(1, 15))))
    confusion = Confusion.of(labels, found, tuple("abcdefg"[:classes]))
    np.testing.assert_array_equal(
        confusion.counts, metrics.confusion_matrix(labels, found, labels=range(classes)).astype(float)
    )
    expected = metrics.accuracy_score(labels, found)
    assert confusion.accuracy == pytest.approx(expected)
    assert confusion.macro_f1 == pytest.approx(metrics.f1_score(labels, found, average="macro", zero_division=0.0))
    assert confusion.metrics() == {
        "accuracy": confusion.accuracy,
        "macro_f1": confusion.macro_f1,
        "error_percent": pytest.approx(100 * (1 - expected)),
    }


def test_shares_measure_what_counts_do():
    counts = np.random.default_rng(0).integers(0, 50, (4, 4)).astype(float)
    whole, shares = (Confusion(matrix, tuple("abcd")) for matrix in (counts, counts / counts.sum()))
    for name, value in whole.metrics().items():
        assert shares.metrics()[name] == pytest.approx(value)


def test_nothing_measured_is_no_success():
    assert Confusion(np.zeros((2, 2)), ("a", "b")).metrics() == {
        "accuracy": 0.0,
        "macro_f1": 0.0,
        "error_percent": 100.0,
    }
