"""Baselines of taggers: counts against counts made in another way, borders against all borders there are."""

import collections
import itertools

import numpy as np
import pytest
from sklearn import metrics

from seqmodels.tasks.word_baselines import Lookup, Valences


@pytest.mark.parametrize("seed", range(5))
def test_a_table_has_the_most_frequent_class_of_each_word(seed):
    draw = np.random.default_rng(seed)
    words, labels = draw.choice(list("abcdefgh"), 60).tolist(), draw.integers(0, 4, 60).tolist()
    lookup = Lookup.of(words, labels)
    for word in "abcdefgh":
        of_word = [label for other, label in zip(words, labels, strict=True) if other == word]
        (found,) = lookup.of_words([word]).tolist()
        assert of_word.count(found) == max(collections.Counter(of_word).values())
    (unseen,) = lookup.of_words(["not there"]).tolist()
    assert labels.count(unseen) == max(collections.Counter(labels).values())


def test_among_equally_frequent_classes_the_first_counts():
    assert Lookup.of("aabb", [2, 1, 2, 1]).of_words("ab").tolist() == [1, 1]


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_borders_are_better(seed, classes):
    """All borders between few valences, tried one after another."""
    draw = np.random.default_rng(seed)
    valences = draw.integers(-3, 4, 40).astype(float)
    labels = np.concatenate([np.arange(classes), draw.integers(0, classes, 40 - classes)]).astype(np.int32)

    def macro_f1(borders):
        found = Valences(np.array(borders)).of_valences(valences)
        return metrics.f1_score(labels, found, labels=range(classes), average="macro", zero_division=0.0)

    steps = [*sorted(set(valences)), np.inf]
    best = max(macro_f1(borders) for borders in itertools.combinations_with_replacement(steps, classes - 1))
    fitted = Valences.fit(valences, labels, classes)
    assert list(fitted.borders) == sorted(fitted.borders)
    assert macro_f1(fitted.borders) == pytest.approx(best)
