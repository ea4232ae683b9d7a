"""Batches of texts of about the same length, in a few fixed shapes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError

Ids = npt.NDArray[np.int32]
B_co = TypeVar("B_co", covariant=True)
_MULTIPLE = 8


class LabelledBatch(NamedTuple):
    """Texts side by side.

    Attributes:
      tokens: int32 [B, T]; what is beyond a row's length is padding.
      lengths: int32 [B].
      labels: int32 [B].
      mask: bool [B]; the rows that are examples. The others fill the batch, and their length is 0.
    """

    tokens: Ids
    lengths: Ids
    labels: Ids
    mask: npt.NDArray[np.bool_]


class Examples(Protocol[B_co]):
    """A split as numbers, of which batches can be made."""

    @property
    def lengths(self) -> Ids:
        """Symbols of each example, int32 [n]."""

    def batch(self, rows: npt.NDArray[np.int64], size: int, width: int) -> B_co:
        """The examples `rows` as a batch of `size` rows, `width` symbols wide."""


class Numbered(NamedTuple):
    """The examples of a split as numbers.

    Attributes:
      texts: the symbols of each, int32 [length], lengths of 0 included.
      labels: int32 [n].
    """

    texts: Sequence[Ids]
    labels: Ids

    @property
    def lengths(self) -> Ids:
        """Symbols of each text, int32 [n]."""
        return np.fromiter(map(len, self.texts), np.int32, len(self.texts))

    def batch(self, rows: npt.NDArray[np.int64], size: int, width: int) -> LabelledBatch:
        """The examples `rows` as a batch of shape [size, width]."""
        tokens, lengths = np.zeros((size, width), np.int32), np.zeros(size, np.int32)
        for place, row in enumerate(rows.tolist()):
            text = self.texts[row]
            tokens[place, : len(text)] = text
            lengths[place] = len(text)
        labels = np.zeros(size, np.int32)
        labels[: len(rows)] = self.labels[rows]
        return LabelledBatch(tokens, lengths, labels, np.arange(size) < len(rows))


def bucket_widths(lengths: npt.ArrayLike, number: int) -> tuple[int, ...]:
    """The widths of batches: such that about equally many symbols lie in each, rounded up to a multiple of 8.

    Args:
      lengths: of all texts, integers [n].
      number: the most widths there may be.

    Returns:
      Rising widths, the last one at least the greatest length.

    Example:
      >>> bucket_widths([3, 5, 9, 11, 12, 40], 3)
      (16, 40)
    """
    rising = np.sort(np.asarray(lengths, np.int64))
    so_far = np.cumsum(rising)
    places = np.searchsorted(so_far, so_far[-1] * np.arange(1, number + 1) / number)
    return tuple(sorted({max(math.ceil(width / _MULTIPLE), 1) * _MULTIPLE for width in (*rising[places], rising[-1])}))


def width_of(lengths: npt.ArrayLike) -> int:
    """The width of a batch of texts that come by themselves: a power of two, so that there are few; at least 8.

    Example:
      >>> width_of([3]), width_of([9, 17])
      (8, 32)
    """
    return max(_MULTIPLE, 1 << (int(np.max(lengths)) - 1).bit_length())


class BucketStream(Generic[B_co]):
    """Training batches without end, each of texts that fit about the same width.

    Every epoch takes the texts in a new random order, sorts them by the bucket that they fall into and by nothing else,
    cuts them into batches, and takes these in a random order. What fills no batch, fewer than B texts, is left out;
    chance decides which.

    Args:
      examples: the training split.
      widths: as made by `bucket_widths`.
      batch_size: rows, B.
      group: so many batches, from a multiple of it on, have the same width: those of one optimizer step.

    Raises:
      DataError: if there are fewer examples than a group needs.

    Example:
      >>> texts = [np.full(length, length, np.int32) for length in (2, 9, 3, 10)]
      >>> stream = BucketStream(Numbered(texts, np.array([0, 1, 0, 1], np.int32)), (8, 16), batch_size=2)
      >>> sorted(stream.at(step, seed=0).tokens.shape for step in range(len(stream)))
      [(2, 8), (2, 16)]
    """

    def __init__(self, examples: Examples[B_co], widths: Sequence[int], batch_size: int, *, group: int = 1) -> None:
        self.examples = examples
        self.widths = np.asarray(widths)
        self.batch_size = batch_size
        self.group = group
        self._buckets = np.searchsorted(self.widths, examples.lengths)
        self._groups = len(self._buckets) // (batch_size * group)
        if self._groups == 0:
            raise DataError(
                f"there are {len(self._buckets):,} training examples, but a step needs {batch_size * group:,}; lower "
                "data.batch_size or training.accumulate"
            )
        self._plan: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._groups * self.group

    def at(self, step: int, seed: int) -> B_co:
        """The batch of a training step, a pure function of step and seed."""
        epoch, index = divmod(step, len(self))
        rows = self._epoch(epoch, seed)[index // self.group]
        width = self.widths[self._buckets[rows].max()]
        return self.examples.batch(rows[index % self.group :: self.group], self.batch_size, int(width))

    def origin(self, step: int, seed: int) -> dict[str, Any]:
        """Epoch, and the numbers of the training examples, from 0."""
        epoch, index = divmod(step, len(self))
        rows = self._epoch(epoch, seed)[index // self.group]
        return {"epoch": epoch, "examples": rows[index % self.group :: self.group].tolist()}

    def _epoch(self, epoch: int, seed: int) -> npt.NDArray[np.int64]:
        """The examples of every group of batches, [groups, B · group]; that of the last call is remembered."""
        plan = self._plan  # read once: a thread that reads ahead may put in that of the next epoch
        if plan is None or plan[0] != (epoch, seed):
            size = self.batch_size * self.group
            taken = permutation(len(self._buckets), seed, epoch, 0)[: self._groups * size]
            taken = taken[np.argsort(self._buckets[taken], kind="stable")].reshape(self._groups, size)
            self._plan = plan = (epoch, seed), taken[permutation(self._groups, seed, epoch, 1)]
        return plan[1]


class EvaluationBuckets(Generic[B_co]):
    """Every example exactly once, in batches of the same few widths; rows that are missing in the last are masked.

    Args:
      examples: a split.
      widths: as made by `bucket_widths`.
      batch_size: rows, B.

    Example:
      >>> texts = [np.full(length, length, np.int32) for length in (2, 9, 3)]
      >>> batches = EvaluationBuckets(Numbered(texts, np.array([0, 1, 0], np.int32)), (8, 16), batch_size=2)
      >>> [(batch.tokens.shape, batch.mask.tolist()) for batch in batches]
      [((2, 8), [True, True]), ((2, 16), [True, False])]
    """

    def __init__(self, examples: Examples[B_co], widths: Sequence[int], batch_size: int) -> None:
        self.examples = examples
        self.widths = np.asarray(widths)
        self.batch_size = batch_size
        self._buckets = np.searchsorted(self.widths, examples.lengths)
        self._order = np.argsort(self._buckets, kind="stable")

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._order) / self.batch_size)

    def __iter__(self) -> Iterator[B_co]:
        for number in range(len(self)):
            rows = self._order[number * self.batch_size :][: self.batch_size]
            width = self.widths[self._buckets[rows].max()]
            yield self.examples.batch(rows, self.batch_size, int(width))
