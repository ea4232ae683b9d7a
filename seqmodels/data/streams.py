"""Streams of tokens: what truncated back-propagation through time reads, window after window.

Williams & Peng (1990), An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories.
"""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError

_BUFFERED_BATCHES = 4
_NEAR_HALF_AND_WHOLE = (0.05, 0.95)
_NORMAL = (0.0668, 0.2417, 0.383, 0.2417, 0.0668)
"""The shares of a normal distribution within half a deviation of -2 (and all beyond), -1, 0, 1 and 2 of them."""
_LENGTHS = 1  # sets the order of lengths apart from all else that a seed and an epoch decide

B_co = TypeVar("B_co", covariant=True)


class Batch(NamedTuple):
    """One window of every row.

    Attributes:
      inputs: int32 [B, T].
      targets: int32 [B, T], the tokens that follow the inputs.
      fresh: bool scalar; the rows begin here, so the carried state starts anew.
    """

    inputs: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    fresh: np.bool_


class EvaluationBatch(NamedTuple):
    """One window of every row, padded.

    Attributes:
      inputs: int32 [B, T].
      targets: int32 [B, T].
      mask: bool [B, T]; the predictions that count. The others are padding.
      fresh: bool scalar, as in `Batch`.
    """

    inputs: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    mask: npt.NDArray[np.bool_]
    fresh: np.bool_


class Steps(Protocol[B_co]):
    """What is read without end: `at` gives the batch of a training step, a pure function of step and seed."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def at(self, step: int, seed: int) -> B_co:
        """The batch of a step."""

    def origin(self, step: int, seed: int) -> dict[str, Any]:
        """Which examples `at` gives, as JSON."""


class TokenStream:
    """Tokens cut into rows that are read side by side, a window at a time.

    Row b of window k+1 goes on where row b of window k ended, so the recurrent state is carried from window to window.
    The remainder that fills no row or no window is left out.

    Args:
      tokens: int32 [n].
      batch_size: number of rows, B.
      window: tokens read at a time, T.
      shift: begin every epoch at another place, up to T-1 tokens on (the text read as a ring), so that the borders of
        the windows, over which no gradient flows, are not always the same. False is the plain recipe of the
        literature.
      variable: windows differ in length, so that their borders move within an epoch too. Their lengths are about
        normal around T, one in twenty around T/2, with a deviation of T/14, and lie on a grid of that, so that there
        are ten of them at most. Each epoch has the same ones in another order, decided by seed and epoch.

    Raises:
      DataError: if the rows are shorter than a window.

    References:
      Merity, Keskar & Socher (2018), Regularizing and optimizing LSTM language models (variable lengths).

    Example:
      >>> stream = TokenStream(np.arange(9, dtype=np.int32), batch_size=2, window=3)
      >>> len(stream)
      1
      >>> stream[0].inputs.tolist(), stream[0].targets.tolist()
      ([[0, 1, 2], [4, 5, 6]], [[1, 2, 3], [5, 6, 7]])
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.int32],
        batch_size: int,
        window: int,
        *,
        shift: bool = False,
        variable: bool = False,
    ) -> None:
        _check(batch_size, window)
        needed = batch_size * (window + 1)
        if tokens.size < needed:
            raise DataError(
                f"the training text has {tokens.size:,} tokens, but data.batch_size={batch_size} rows of "
                f"data.window={window} need {needed:,}; lower data.batch_size or data.window"
            )
        self.tokens = tokens
        self.batch_size = batch_size
        self.window = window
        self.shift = shift
        self.variable = variable
        self._row = tokens.size // batch_size
        self._lengths = _window_lengths(self._row - 1, window, variable=variable)
        self._plan: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Windows in an epoch."""
        return self._lengths.size

    @property
    def windows(self) -> tuple[int, ...]:
        """The lengths of windows that there are."""
        return tuple(np.unique(self._lengths).tolist())

    def __getitem__(self, index: int) -> Batch:
        """Window `index` of an epoch that begins at the first token, with windows of rising length."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        return self._at(index, self._lengths, offset=0)

    def at(self, step: int, seed: int) -> Batch:
        """The batch of a training step, a pure function of step and seed.

        Args:
          step: 0, 1, 2, ... without end; every `len(self)` steps a new epoch begins.
          seed: decides where epochs begin if `shift`, and the order of the lengths if `variable`; else nothing: a
            stream keeps its order.
        """
        epoch, index = divmod(step, len(self))
        return self._at(index, self._epoch(epoch, seed), self._offset(epoch, seed) if self.shift else 0)

    def origin(self, step: int, seed: int) -> dict[str, Any]:
        """Epoch, window, its length, and where in the training text each row of it begins."""
        epoch, index = divmod(step, len(self))
        lengths, offset = self._epoch(epoch, seed), self._offset(epoch, seed) if self.shift else 0
        begin = self._begin(index, lengths, offset).ravel() % self.tokens.size
        return {"epoch": epoch, "window": index, "length": int(lengths[index]), "rows_begin": begin.tolist()}

    def _at(self, index: int, lengths: npt.NDArray[np.int64], offset: int) -> Batch:
        # [T+1]: one more place for the last target.
        within = np.arange(lengths[index] + 1)
        tokens = self.tokens.take(self._begin(index, lengths, offset) + within, mode="wrap")
        return Batch(tokens[:, :-1], tokens[:, 1:], np.bool_(index == 0))

    def _begin(self, index: int, lengths: npt.NDArray[np.int64], offset: int) -> npt.NDArray[np.int64]:
        """Where each row's window begins, [B, 1]."""
        rows = np.arange(self.batch_size)[:, None] * self._row
        begin: npt.NDArray[np.int64] = rows + (offset + lengths[:index].sum())
        return begin

    def _epoch(self, epoch: int, seed: int) -> npt.NDArray[np.int64]:
        """The lengths of all windows of an epoch in their order; that of the last call is remembered."""
        if not self.variable:
            return self._lengths
        plan = self._plan  # read once: a thread that reads ahead may put in that of the next epoch
        if plan is None or plan[0] != (epoch, seed):
            self._plan = plan = (epoch, seed), self._lengths[permutation(len(self), seed, epoch, _LENGTHS)]
        return plan[1]

    def _offset(self, epoch: int, seed: int) -> int:
        # SeedSequence, unlike Generator's methods, is promised to give the same numbers in every NumPy. It takes no
        # negative numbers, which are seeds as good as any.
        return int(np.random.SeedSequence([seed % 2**64, epoch]).generate_state(1)[0]) % self.window


class EvaluationStream:
    """Tokens cut into rows so that each of the n-1 predictions is asked for exactly once.

    All windows have one shape; what is padded is masked. The state starts anew at the beginning of each row, so B - 1
    predictions within the text are made without what came before them; with one row none is.

    Args:
      tokens: int32 [n].
      batch_size: number of rows, B.
      window: tokens read at a time, T.

    Raises:
      DataError: if there are fewer than two tokens.

    Example:
      >>> stream = EvaluationStream(np.arange(6, dtype=np.int32), batch_size=2, window=2)
      >>> [int(batch.mask.sum()) for batch in stream]
      [4, 1]
    """

    def __init__(self, tokens: npt.NDArray[np.int32], batch_size: int, window: int) -> None:
        _check(batch_size, window)
        if tokens.size < 2:
            raise DataError(f"the text to evaluate on has {tokens.size} tokens; there must be at least 2")
        self.tokens = tokens
        self.batch_size = batch_size
        self.window = window
        self._row = (tokens.size + batch_size - 2) // batch_size  # (n - 1) / B, rounded up

    def __len__(self) -> int:
        """Number of windows."""
        return (self._row + self.window - 1) // self.window

    def __getitem__(self, index: int) -> EvaluationBatch:
        """Window `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        within = index * self.window + np.arange(self.window)
        places = np.arange(self.batch_size)[:, None] * self._row + within
        last = self.tokens.size - 1
        mask = (within < self._row) & (places < last)
        inputs, targets = self.tokens.take(places, mode="clip"), self.tokens.take(places + 1, mode="clip")
        return EvaluationBatch(inputs, targets, mask, np.bool_(index == 0))

    def __iter__(self) -> Iterator[EvaluationBatch]:
        return (self[index] for index in range(len(self)))


def batches(stream: Steps[B_co], *, seed: int, start: int = 0) -> Generator[B_co, None, None]:
    """Reads a stream without end, epoch after epoch, preparing the next batches in a thread.

    The batch of a step depends on the seed and the step alone, wherever the reading started. Closing or dropping the
    generator ends the thread.

    Args:
      stream: what to read.
      seed: see `Steps.at`.
      start: the step to begin with.

    Yields:
      The batches of steps `start`, `start + 1`, ...
    """
    import grain  # noqa: PLC0415 (slow to import, and not needed to evaluate or generate)

    steps = grain.MapDataset.range(len(stream)).repeat()
    dataset = steps.map_with_index(lambda step, _: stream.at(step, seed))
    iterator = iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=_BUFFERED_BATCHES)))
    iterator.set_state({"next_index": start})
    try:
        yield from iterator
    finally:
        iterator.close()


def _window_lengths(row: int, window: int, *, variable: bool) -> npt.NDArray[np.int64]:
    """The lengths of as many windows as fit into a row, rising: a fair sample of what they are drawn from.

    A sample of one window more may take more than a window more, since it moves the others too: what is then left of
    the row is filled with whole windows.
    """
    if not variable:
        return np.full(row // window, window)
    deviation = max(round(window / 14), 1)
    steps = np.arange(-2, 3) * deviation
    values = np.maximum(np.concatenate([window // 2 + steps, window + steps]), 1)
    shares = np.outer(_NEAR_HALF_AND_WHOLE, _NORMAL).ravel()
    number = int(row / (shares @ values)) + 2  # at first more than fit; a single one is a whole window, and fits
    while True:
        places = np.searchsorted(shares.cumsum(), (np.arange(number) + 0.5) / number)
        lengths = values[places.clip(max=values.size - 1)]
        rest = row - lengths.sum()
        if rest >= 0:
            return np.sort(np.append(lengths, np.full(rest // window, window)))
        number -= 1


def _check(batch_size: int, window: int) -> None:
    if batch_size < 1 or window < 1:
        raise DataError(f"data.batch_size={batch_size} and data.window={window} must be at least 1")
