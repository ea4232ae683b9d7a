"""Tagged sentences as numbers, and batches of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]


class TaggedBatch(NamedTuple):
    """Sentences side by side; what is beyond a row's length is padding.

    Attributes:
      tokens: int32 [B, T].
      lengths: int32 [B]; 0 for a row that fills the batch.
      labels: int32 [B, T].
      characters: int32 [B, T, C], those of each word, or None.
      character_lengths: int32 [B, T], or None.
    """

    tokens: Ids
    lengths: Ids
    labels: Ids
    characters: Ids | None
    character_lengths: Ids | None


class Spelling(NamedTuple):
    """How words are written.

    Attributes:
      characters: int32 [words, C].
      lengths: int32 [words].
    """

    characters: Ids
    lengths: Ids

    @classmethod
    def of(cls, words: Sequence[Ids], width: int) -> "Spelling":
        """Words, each int32 [length], beside each other; of one longer than `width` the middle is left out.

        Example:
          >>> Spelling.of([np.arange(1, 3), np.arange(1, 8)], 4).characters.tolist()
          [[1, 2, 0, 0], [1, 2, 6, 7]]
        """
        characters = np.zeros((len(words), width), np.int32)
        lengths = np.minimum(np.fromiter(map(len, words), np.int32, len(words)), width).astype(np.int32)
        for row, word in zip(characters, words, strict=True):
            kept = word if len(word) <= width else np.concatenate([word[: width - width // 2], word[-(width // 2) :]])
            row[: len(kept)] = kept
        return cls(characters, lengths)


class TaggedNumbers(NamedTuple):
    """The sentences of a split as numbers.

    Attributes:
      texts: the symbol of each word, int32 [length] a sentence.
      labels: the class of each word, alike.
      forms: which row of `spelling` each word is, alike; not used without one.
      spelling: of all words, or None where characters are not read.
    """

    texts: Sequence[Ids]
    labels: Sequence[Ids]
    forms: Sequence[Ids]
    spelling: Spelling | None

    @property
    def lengths(self) -> Ids:
        """Words of each sentence, int32 [n]."""
        return np.fromiter(map(len, self.texts), np.int32, len(self.texts))

    def batch(self, rows: npt.NDArray[np.int64], size: int, width: int) -> TaggedBatch:
        """The sentences `rows` as a batch of shape [size, width]."""
        lengths = np.zeros(size, np.int32)
        lengths[: len(rows)] = [len(self.texts[row]) for row in rows]
        tokens, labels, forms = (
            _beside([arrays[row] for row in rows], size, width) for arrays in (self.texts, self.labels, self.forms)
        )
        if self.spelling is None:
            return TaggedBatch(tokens, lengths, labels, None, None)
        written = np.arange(width) < lengths[:, None]
        characters = self.spelling.characters[forms] * written[..., None].astype(np.int32)
        return TaggedBatch(tokens, lengths, labels, characters, self.spelling.lengths[forms] * written.astype(np.int32))


def _beside(arrays: Sequence[Ids], size: int, width: int) -> Ids:
    """Arrays as rows of [size, width], zeros behind and below them."""
    found = np.zeros((size, width), np.int32)
    for row, array in zip(found, arrays, strict=False):
        row[: len(array)] = array
    return found
