"""Texts with a label each, in three splits: training, validation and test."""

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.fingerprints import fingerprint
from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError


class Example(NamedTuple):
    """One text.

    Attributes:
      text: as it was written.
      label: the name of its class.
      place: where it stands, such as "reviews.csv:17", for errors.
    """

    text: str
    label: str
    place: str


@dataclass(frozen=True)
class LabelledText:
    """A data set for text classification.

    Attributes:
      name: what it is called in results.
      classes: the labels, in the order in which a model numbers them.
      train: to learn from.
      valid: to choose by.
      test: to report on.
      whole: training texts of which the others are parts, for counting words; none: all are.

    Raises:
      DataError: if a split is empty, training has one class only, or a label is not among those of training.

    Example:
      >>> good, bad = Example("a fine film", "good", "a.csv:2"), Example("a dull film", "bad", "a.csv:3")
      >>> data = LabelledText("a.csv", ("bad", "good"), (good, bad), (good,), (bad,))
      >>> data.numbers("train").tolist()
      [1, 0]
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    valid: tuple[Example, ...]
    test: tuple[Example, ...]
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split, what in (("train", "learn from"), ("valid", "validate on"), ("test", "test on")):
            if not self.split(split):
                raise DataError(f"{self.name}: there are no examples to {what}")
        _check_classes(self.name, self.train, self.classes)
        for example in (*self.train, *self.valid, *self.test):
            if example.label not in self.classes:
                raise DataError(
                    f"{example.place}: the label {example.label!r} is in no training example (there: "
                    f"{', '.join(map(repr, self.classes))}); correct it, or train on examples that have it"
                )

    def split(self, name: str) -> tuple[Example, ...]:
        """The examples of "train", "valid" or "test"."""
        examples: tuple[Example, ...] = getattr(self, name)
        return examples

    def numbers(self, name: str) -> npt.NDArray[np.int32]:
        """The classes of a split's examples, int32 [n]."""
        number = {label: place for place, label in enumerate(self.classes)}
        return np.fromiter((number[example.label] for example in self.split(name)), np.int32)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over classes, texts and labels: equal if and only if all splits are."""
        splits = (self.split(name) for name in ("train", "valid", "test"))
        return fingerprint(self.classes, *((part for e in split for part in e[:2]) for split in splits))


def labels_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The different labels, sorted."""
    return tuple(sorted({example.label for example in examples}))


def hold_out(
    examples: Sequence[Example], share: float, *, seed: int, name: str
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Sets a share of the examples apart, the same share of every class, at least one example in all.

    Args:
      examples: in any order.
      share: what is set apart, above 0 and below 1.
      seed: decides which.
      name: of the data, for errors.

    Returns:
      `(the rest, what was set apart)`, each in the order of `examples`.

    Raises:
      DataError: if there are too few examples.

    Example:
      >>> examples = [Example(str(n), "ab"[n % 2], "") for n in range(20)]
      >>> rest, apart = hold_out(examples, 0.2, seed=0, name="a.csv")
      >>> len(rest), Counter(example.label for example in apart)
      (16, Counter({'a': 2, 'b': 2}))
    """
    order = permutation(len(examples), seed)
    apart: set[int] = set()
    for label in labels_of(examples):
        members = [place for place in order.tolist() if examples[place].label == label]
        apart.update(members[: round(share * len(members))])
    if not apart:
        raise DataError(f"{name}: {len(examples)} examples are too few to hold some out; give files for each split")
    return (
        tuple(example for place, example in enumerate(examples) if place not in apart),
        tuple(example for place, example in enumerate(examples) if place in apart),
    )


def _check_classes(name: str, train: Sequence[Example], classes: Sequence[str]) -> None:
    """Refuses training examples from which nothing can be told apart."""
    counts = Counter(example.label for example in train)
    if len(counts) < 2:
        (label,) = counts
        raise DataError(
            f"{name}: all {len(train):,} training examples have the label {label!r}; there must be two classes at least"
        )
    missing = [label for label in classes if label not in counts]
    if missing:
        raise DataError(f"{name}: there is no training example of the class {missing[0]!r}")
