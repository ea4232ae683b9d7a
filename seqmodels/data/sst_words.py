"""The words of the Stanford Sentiment Treebank, each with the label of its leaf of the tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from seqmodels.data.sst import FIVE, read_texts, read_trees
from seqmodels.data.tagged_text import TaggedSentence, TaggedText

THREE: Final = {"0": "negative", "1": "negative", "2": "neutral", "3": "positive", "4": "positive"}


def sst_words(folder: Path | None = None, *, classes: int = 5) -> TaggedText:
    """Words from very negative to very positive: 163,563 / 21,274 / 42,405 of them, 86% of them neutral.

    People labelled each different word once, without a sentence around it: a word, its capitals included, has one label
    wherever it stands. So a table of the training words is right on all of them, and what is left to find out are the
    words of validation and test that are not in training, 6% of them.

    Args:
      folder: where `train.txt`, `dev.txt` and `test.txt` lie (`data.dir`); None means the cache.
      classes: 5; or 3, without the difference between negative and very negative, positive and very positive.

    Raises:
      DataError: if the files are missing or wrong.
    """
    return from_leaves("sst_words", read_texts(folder), FIVE if classes == 5 else THREE)


def from_leaves(name: str, texts: Mapping[str, str], labels: Mapping[str, str]) -> TaggedText:
    """Makes a data set of the leaves of trees.

    Args:
      name: of the data set.
      texts: what stands in "train.txt", "dev.txt" and "test.txt", a tree a line.
      labels: the class of each digit.

    Raises:
      DataError: if a line is not a tree.
    """
    train, valid, test = (_sentences(file, texts[file], labels) for file in ("train.txt", "dev.txt", "test.txt"))
    return TaggedText(name, tuple(dict.fromkeys(labels.values())), train, valid, test, ordered=True)


def _sentences(file: str, text: str, labels: Mapping[str, str]) -> tuple[TaggedSentence, ...]:
    found = []
    for place, spans in read_trees(file, text):
        leaves = [(span.words[0], labels[span.label]) for span in spans if len(span.words) == 1]
        words, tags = zip(*leaves, strict=True)
        line = int(place.rpartition(":")[2])
        found.append(TaggedSentence(words, tags, file, (line,) * len(words)))
    return tuple(found)
