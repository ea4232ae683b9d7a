"""Sentences with a label for each word, in three splits: training, validation and test."""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from seqmodels.data.fingerprints import fingerprint
from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError


class TaggedSentence(NamedTuple):
    """One sentence.

    Attributes:
      words: as they were written, one at least.
      labels: the name of the class of each word.
      file: where it stands, such as "train.conllu", for errors.
      lines: the line of each word in that file.
    """

    words: tuple[str, ...]
    labels: tuple[str, ...]
    file: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class TaggedText:
    """A data set for tagging.

    Attributes:
      name: what it is called in results.
      classes: the labels, in the order in which a model numbers them.
      train: to learn from.
      valid: to choose by.
      test: to report on.
      ordered: whether the classes go from bad to good, so that the valence of a word says something of its class.

    Raises:
      DataError: if a split is empty, training has one class only, or a label is not among those of training.

    Example:
      >>> sentence = TaggedSentence(("a", "fine", "film"), ("DET", "ADJ", "NOUN"), "a.conllu", (1, 2, 3))
      >>> data = TaggedText("a.conllu", labels_of([sentence]), (sentence,), (sentence,), (sentence,))
      >>> data.classes
      ('ADJ', 'DET', 'NOUN')
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[TaggedSentence, ...]
    valid: tuple[TaggedSentence, ...]
    test: tuple[TaggedSentence, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        for split, what in (("train", "learn from"), ("valid", "validate on"), ("test", "test on")):
            if not self.split(split):
                raise DataError(f"{self.name}: there are no sentences to {what}")
        learnt = set(labels_of(self.train))
        if len(learnt) < 2:
            (label,) = learnt
            raise DataError(
                f"{self.name}: all words to learn from have the label {label!r}; there must be two classes at least"
            )
        for sentence in (*self.valid, *self.test):
            for label, line in zip(sentence.labels, sentence.lines, strict=True):
                if label not in learnt:
                    raise DataError(
                        f"{sentence.file}:{line}: the label {label!r} is in no training sentence (there: "
                        f"{', '.join(map(repr, sorted(learnt)))}); correct it, or train on sentences that have it"
                    )
        missing = [label for label in self.classes if label not in learnt]
        if missing:
            raise DataError(f"{self.name}: no word to learn from has the class {missing[0]!r}")

    def split(self, name: str) -> tuple[TaggedSentence, ...]:
        """The sentences of "train", "valid" or "test"."""
        sentences: tuple[TaggedSentence, ...] = getattr(self, name)
        return sentences

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over classes, words and labels: equal if and only if all splits are."""
        return fingerprint(self.classes, *(_parts(self.split(split)) for split in ("train", "valid", "test")))


def labels_of(sentences: Iterable[TaggedSentence]) -> tuple[str, ...]:
    """The different labels, sorted."""
    return tuple(sorted({label for sentence in sentences for label in sentence.labels}))


def hold_out_sentences(
    sentences: Sequence[TaggedSentence], share: float, *, seed: int, name: str
) -> tuple[tuple[TaggedSentence, ...], tuple[TaggedSentence, ...]]:
    """Sets a share of the sentences apart, one at least, and none that has the last word of some label.

    Args:
      sentences: in any order.
      share: what is set apart, above 0 and below 1.
      seed: decides which.
      name: of the data, for errors.

    Returns:
      `(the rest, what was set apart)`, each in the order of `sentences`.

    Raises:
      DataError: if there are too few sentences.

    Example:
      >>> sentences = [TaggedSentence((word,), ("ABB"[n % 3],), "", (n,)) for n, word in enumerate("abcdefghi")]
      >>> rest, apart = hold_out_sentences(sentences, 0.2, seed=0, name="a.tsv")
      >>> len(rest), len(apart)
      (7, 2)
    """
    left = Counter(label for sentence in sentences for label in set(sentence.labels))
    wanted = max(round(share * len(sentences)), 1)
    apart: set[int] = set()
    for place in permutation(len(sentences), seed).tolist():
        labels = set(sentences[place].labels)
        if len(apart) < wanted and all(left[label] > 1 for label in labels):
            apart.add(place)
            left.subtract(labels)
    if not apart:
        raise DataError(
            f"{name}: {len(sentences)} sentences are too few to hold some out; is there a blank line between "
            "sentences? Else give files for each split"
        )
    return (
        tuple(sentence for place, sentence in enumerate(sentences) if place not in apart),
        tuple(sentence for place, sentence in enumerate(sentences) if place in apart),
    )


def _parts(sentences: Iterable[TaggedSentence]) -> Iterator[str]:
    """Words and labels, with a newline, which is in neither, behind each sentence."""
    for sentence in sentences:
        yield from sentence.words
        yield from sentence.labels
        yield "\n"
