"""What can be told of a word's label from the word alone: baselines of taggers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.int32]


class Lookup(NamedTuple):
    """The most frequent class of each word in training; of words that were not there, that of all words.

    Attributes:
      classes: by word.
      majority: of all words.
    """

    classes: Mapping[str, int]
    majority: int

    @classmethod
    def of(cls, words: Iterable[str], labels: Iterable[int]) -> "Lookup":
        """Counts words and their classes; among equally frequent classes the first counts.

        Example:
          >>> lookup = Lookup.of(["to", "run", "a", "run", "run"], [0, 1, 0, 2, 2])
          >>> lookup.of_words(["run", "to", "away"]).tolist()
          [2, 0, 0]
        """
        counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for word, label in zip(words, labels, strict=True):
            counts[word][label] += 1
        every: Counter[int] = sum(counts.values(), Counter())
        return cls({word: _most(found) for word, found in counts.items()}, _most(every))

    def of_words(self, words: Sequence[str]) -> Classes:
        """The classes of words, int32 [n]."""
        return np.fromiter((self.classes.get(word, self.majority) for word in words), np.int32, len(words))


class Valences(NamedTuple):
    """Classes from bad to good by the valence of a word: class k from `borders[k - 1]` on.

    Attributes:
      borders: rising, float64 [K - 1].
    """

    borders: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, valences: npt.NDArray[np.float64], labels: Classes, classes: int) -> "Valences":
        """The borders with the best macro-F1 there is on these words, found exactly.

        F1 of a class depends on its own two borders alone, so the best borders below each one are found class by class:

            best(k, j) = max over i ≤ j of best(k - 1, i) + F1 of class k between borders i and j

        Args:
          valences: of the training words, float64 [n].
          labels: their classes, int32 [n].
          classes: how many, K.

        Example:
          >>> labels = np.array([0, 0, 1, 1, 1, 2], np.int32)
          >>> Valences.fit(np.array([-2.0, -1.0, -0.5, 0.0, 0.0, 3.0]), labels, 3).borders.tolist()
          [-0.5, 3.0]
        """
        steps, places = np.unique(valences, return_inverse=True)
        counts = np.zeros((len(steps) + 1, classes))
        np.add.at(counts, (places + 1, labels), 1.0)
        below = counts.cumsum(axis=0)
        best, chosen = np.full(len(below), -np.inf), []
        best[0] = 0.0
        for k in range(classes):
            gains = best[:, None] + _f1_between(below, k)
            chosen.append(gains.argmax(axis=0))
            best = gains.max(axis=0)
        place, borders = len(steps), []
        for origins in chosen[:0:-1]:
            place = int(origins[place])
            borders.append(np.append(steps, np.inf)[place])
        return cls(np.array(borders[::-1]))

    def of_valences(self, valences: npt.NDArray[np.float64]) -> Classes:
        """The classes of words, int32 [n]."""
        return np.searchsorted(self.borders, valences, side="right").astype(np.int32)


def _most(counts: Counter[int]) -> int:
    return min(counts, key=lambda label: (-counts[label], label))


def _f1_between(below: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """F1 of class k if it were what lies from border i to border j, [i, j]; minus infinity for j < i.

    Args:
      below: words below each border, by class, [borders, K].
      k: the class.
    """
    found = below.sum(axis=1)
    right = below[:, k][None, :] - below[:, k][:, None]
    both = found[None, :] - found[:, None] + below[-1, k]
    f1 = 2.0 * right / np.where(both > 0, both, 1.0)
    rising = np.arange(len(below))[:, None] <= np.arange(len(below))
    return np.where(rising, f1, -np.inf)
