"""Windows of series: what a forecaster looks back on, and what it forecasts."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.permutations import permutation
from seqmodels.data.scaler import Scaler
from seqmodels.data.series import Panel, Series, hide_ahead, season_error
from seqmodels.data.sources import DataError

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


class WindowBatch(NamedTuple):
    """Windows side by side; values and covariates are scaled.

    Attributes:
      past: float32 [B, L, C].
      covariates: float32 [B, L + H, K], of the past and of the future; 0 there for those not known beforehand.
      future: float32 [B, H, C], the targets.
      observed: bool [B, H, C]; the targets that count. None do in the rows that fill the batch.
      location: float32 [B, C]; values in their own unit are future · scale + location.
      scale: float32 [B, C].
      season_error: float32 [B, C], by which MASE divides; 0 where it is not defined.
      reference: float32 [B, H, C], another method's forecast, or [B, 0, C].
      slot: int32 [B], the place among the windows that are shown, or -1.
      number: int32 [B], the place among all windows of the split: what is drawn for a window goes by it.
    """

    past: Floats
    covariates: Floats
    future: Floats
    observed: npt.NDArray[np.bool_]
    location: Floats
    scale: Floats
    season_error: Floats
    reference: Floats
    slot: npt.NDArray[np.int32]
    number: npt.NDArray[np.int32]


class Windows:
    """All windows of a split.

    The H targets of a window lie wholly within the split; the L steps before them may lie in the splits before, as at
    the time of the forecast they would be known.

    Args:
      panel: the series.
      scaler: fitted on it.
      split: "train", "valid" or "test".
      context: L.
      horizon: H.
      stride: steps between the beginnings of two windows of a series.
      period: of the season, for MASE, whose error is that of all steps before the split, in training of the split.

    Raises:
      DataError: if no window fits; in validation and test if none fits into some series.

    Example:
      >>> values = np.arange(10.0)[:, None]
      >>> series = Series("a", values, np.ones((10, 1), bool), np.zeros((10, 0)), (6, 8, 10))
      >>> panel = Panel("a.csv", ("y",), (), (series,))
      >>> windows = Windows(panel, Scaler.fit(panel, "none"), "test", context=3, horizon=2)
      >>> batch = windows.batch(np.array([0]), size=1)
      >>> len(windows), batch.past[0, :, 0].tolist(), batch.future[0, :, 0].tolist()
      (1, [5.0, 6.0, 7.0], [8.0, 9.0])
    """

    def __init__(
        self,
        panel: Panel,
        scaler: Scaler,
        split: str,
        *,
        context: int,
        horizon: int,
        stride: int = 1,
        period: int = 1,
    ) -> None:
        self.panel = panel
        self.split = split
        self.context = context
        self.horizon = horizon
        self._location, self._scale = scaler.location.astype(np.float32), scaler.scale.astype(np.float32)
        starts = [_starts(series, split, context, horizon, stride) for series in panel.series]
        self._check(starts)
        # Where the targets of each window begin, in its series and in all series one behind the other.
        self.series = np.repeat(np.arange(len(starts)), [len(places) for places in starts])
        self.starts: Places = np.concatenate(starts)
        lengths = [len(series.values) for series in panel.series]
        self._places = self.starts + np.concatenate([[0], np.cumsum(lengths)])[self.series]
        self._values = _joined([(s.values - m) / d for s, m, d in zip(panel.series, *scaler[:2], strict=True)])
        self._covariates = _joined([(s.covariates - m) / d for s, m, d in zip(panel.series, *scaler[2:], strict=True)])
        self._observed = np.concatenate([series.observed for series in panel.series])
        self._season_error = np.stack([_season_error(series, split, period) for series in panel.series])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)

    def batch(
        self, rows: Places, size: int, reference: Floats | None = None, slots: npt.NDArray[np.int32] | None = None
    ) -> WindowBatch:
        """The windows `rows` as a batch of `size`, of which the last ones may be filled by the first window.

        Args:
          rows: numbers of windows, [n] with n <= size.
          size: B.
          reference: [n, H, C], see `WindowBatch`; None: none.
          slots: [n]; None: none is shown.
        """
        taken = np.concatenate([rows, np.zeros(size - len(rows), np.int64)])
        steps = self._places[taken][:, None] + np.arange(-self.context, self.horizon)
        values, future = self._values[steps], steps[:, self.context :]
        series = self.series[taken]
        counted = np.arange(size) < len(rows)
        shown = np.full(size, -1, np.int32)
        given = np.zeros((size, 0 if reference is None else self.horizon, values.shape[-1]), np.float32)
        if reference is not None:
            given[: len(rows)] = reference
        if slots is not None:
            shown[: len(rows)] = slots
        return WindowBatch(
            past=values[:, : self.context],
            covariates=hide_ahead(self._covariates[steps], self.context, len(self.panel.past_covariates)),
            future=values[:, self.context :],
            observed=self._observed[future] & counted[:, None, None],
            location=self._location[series],
            scale=self._scale[series],
            season_error=self._season_error[series],
            reference=given,
            slot=shown,
            number=taken.astype(np.int32),
        )

    def _check(self, starts: list[Places]) -> None:
        """Refuses series that are too short."""
        empty = [series for series, places in zip(self.panel.series, starts, strict=True) if not len(places)]
        if not empty or (self.split == "train" and len(empty) < len(starts)):
            return
        series = empty[0]
        begin, end = series.span(self.split)
        purpose = {"train": "training", "valid": "validation", "test": "the test"}[self.split]
        raise DataError(
            f"{self.panel.name}: series {series.name!r} has {end - begin:,} steps for {purpose} and {begin:,} before "
            f"them; a window needs data.horizon={self.horizon} steps there and data.context={self.context} before "
            "these; lower one of them, or give longer series or parts"
        )


class WindowStream:
    """Training batches without end, every epoch in a new random order.

    What fills no batch, fewer than B windows, is left out; chance decides which.

    Args:
      windows: of the training split.
      batch_size: rows, B.

    Raises:
      DataError: if there are fewer windows than rows.
    """

    def __init__(self, windows: Windows, batch_size: int) -> None:
        self.windows = windows
        self.batch_size = batch_size
        if len(windows) < batch_size:
            raise DataError(
                f"there are {len(windows):,} training windows, but a batch has data.batch_size={batch_size}; lower it, "
                "or data.context or data.horizon"
            )
        self._plan: tuple[tuple[int, int], Places] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.windows) // self.batch_size

    def at(self, step: int, seed: int) -> WindowBatch:
        """The batch of a training step, a pure function of step and seed."""
        return self.windows.batch(self._rows(step, seed), self.batch_size)

    def origin(self, step: int, seed: int) -> dict[str, Any]:
        """Epoch, and of each window its series and the step, from 0, of its first target."""
        rows, windows = self._rows(step, seed), self.windows
        series = [windows.panel.series[number].name for number in windows.series[rows]]
        return {"epoch": step // len(self), "series": series, "first_targets": windows.starts[rows].tolist()}

    def _rows(self, step: int, seed: int) -> Places:
        epoch, index = divmod(step, len(self))
        plan = self._plan  # read once: a thread that reads ahead may put in that of the next epoch
        if plan is None or plan[0] != (epoch, seed):
            self._plan = plan = (epoch, seed), permutation(len(self.windows), seed, epoch)
        return plan[1][index * self.batch_size :][: self.batch_size]


class Backtest:
    """Every window of a split exactly once, from the first origin on.

    Args:
      windows: of the split.
      batch_size: rows, B.
      reference: float32 [n, H, C], another method's forecasts; None: none.
      shown: how many windows, spread over all, get a slot.
    """

    def __init__(self, windows: Windows, batch_size: int, *, reference: Floats | None = None, shown: int = 0) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.reference = reference
        self._slots = np.full(len(windows), -1, np.int32)
        places = shown_windows(len(windows), shown)
        self._slots[places] = np.arange(len(places))

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.windows) / self.batch_size)

    def __iter__(self) -> Iterator[WindowBatch]:
        for number in range(len(self)):
            rows = np.arange(len(self.windows))[number * self.batch_size :][: self.batch_size]
            reference = None if self.reference is None else self.reference[rows]
            yield self.windows.batch(rows, self.batch_size, reference, self._slots[rows])


def shown_windows(number: int, shown: int) -> Places:
    """At most so many of `number` windows, from the first to the last.

    Example:
      >>> shown_windows(11, 3).tolist(), shown_windows(2, 3).tolist()
      ([0, 5, 10], [0, 1])
    """
    return np.unique(np.linspace(0, number - 1, min(shown, number)).astype(np.int64))


def _starts(series: Series, split: str, context: int, horizon: int, stride: int) -> Places:
    begin, end = series.span(split)
    return np.arange(max(begin, context), end - horizon + 1, stride)


def _season_error(series: Series, split: str, period: int) -> Floats:
    begin, end = series.span(split)
    known = end if split == "train" else begin
    return season_error(series.values[:known], series.observed[:known], period).astype(np.float32)


def _joined(parts: list[npt.NDArray[np.float64]]) -> Floats:
    return np.concatenate(parts).astype(np.float32)
