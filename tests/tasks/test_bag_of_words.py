"""The baseline of classifiers against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from seqmodels.tasks.bag_of_words import Bags, fit

VOCABULARY, CLASSES = 12, 3


@pytest.mark.parametrize("seed", range(3))
def test_it_is_scikit_learns_logistic_regression(seed):
    random = np.random.default_rng(seed)
    texts = [random.integers(0, VOCABULARY, random.integers(0, 9)).astype(np.int32) for _ in range(80)]
    labels = np.array([int(text.sum()) % CLASSES for text in texts], np.int32)
    occurs = np.zeros((len(texts), VOCABULARY))
    for row, text in zip(occurs, texts, strict=True):
        row[text] = 1.0
    expected = LogisticRegression(tol=1e-8, max_iter=1000).fit(occurs, labels)
    found = fit(Bags.of(texts), labels, vocabulary_size=VOCABULARY, classes=CLASSES)
    np.testing.assert_allclose(found.w, expected.coef_.T, atol=2e-3)
    scores = np.asarray(found.scores(Bags.of(texts)), np.float64)
    ours = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(ours, expected.predict_proba(occurs), atol=1e-3)
    assert np.mean(found.classes(Bags.of(texts)) == expected.predict(occurs)) > 0.97


def test_order_and_repetition_count_for_nothing():
    one, other = (Bags.of([np.array(text, np.int32)]) for text in ([3, 1, 1, 2], [2, 3, 1, 3]))
    np.testing.assert_array_equal(one.words, other.words)


def test_a_text_without_words_has_the_scores_of_no_evidence():
    texts = [np.array(text, np.int32) for text in ([0], [0], [1], [])]
    found = fit(Bags.of(texts), np.array([0, 0, 1, 0], np.int32), vocabulary_size=2, classes=2)
    np.testing.assert_allclose(found.scores(Bags.of(texts))[3], found.b)
