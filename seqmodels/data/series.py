"""Time series, one or many, each cut in time into training, validation and test."""

import functools
import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.fingerprints import fingerprint
from seqmodels.data.sources import DataError

Numbers = npt.NDArray[np.float64]
SPLITS: Final = ("train", "valid", "test")


class Series(NamedTuple):
    """One series.

    Attributes:
      name: for errors and pictures.
      values: float64 [T, C], what is forecast; where a value is missing, what stands for it.
      observed: bool [T, C]; the values that are not missing. Only they count as targets.
      covariates: float64 [T, K], what is read beside the values; K may be 0.
      ends: where training, validation and test end; the last one is T.
      dates: [T], as they stand in the file, or empty if there are none.
    """

    name: str
    values: Numbers
    observed: npt.NDArray[np.bool_]
    covariates: Numbers
    ends: tuple[int, int, int]
    dates: tuple[str, ...] = ()

    def span(self, split: str) -> tuple[int, int]:
        """The steps of a split: the first, and the one after the last."""
        number = SPLITS.index(split)
        return (0, *self.ends)[number], self.ends[number]


@dataclass(frozen=True, eq=False)
class Panel:
    """Series with the same columns.

    Attributes:
      name: what it is called in results.
      targets: the names of the C columns of `values`.
      covariates: the names of the first columns of `covariates`, those that are known beforehand for every step.
      series: one at least.
      frequency: the time between two steps, such as "1h"; None: not known, or not always the same.
      past_covariates: the names of the other columns of `covariates`, known only once their step has passed.

    Raises:
      DataError: if there is no series, or one of them has no training steps.

    Example:
      >>> series = Series("a", np.ones((6, 1)), np.ones((6, 1), bool), np.ones((6, 0)), ends_of(6, 0.2, 0.2))
      >>> Panel("a.csv", ("load",), (), (series,)).steps("train")
      4
    """

    name: str
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    series: tuple[Series, ...]
    frequency: str | None = None
    past_covariates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.series:
            raise DataError(f"{self.name}: there is no series in it")
        for series in self.series:
            if series.ends[0] < 1:
                raise DataError(f"{self.name}: series {series.name!r} has no steps to learn from; give it more")

    def steps(self, split: str) -> int:
        """Time steps of a split, all series together."""
        spans = [series.span(split) for series in self.series]
        return sum(end - begin for begin, end in spans)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over names, borders and numbers: equal if and only if all of them are."""
        arrays = ([np.array(one.ends, "<i8"), *one[1:4]] for one in self.series)
        return fingerprint(
            self.targets,
            self.covariates,
            *filter(None, [self.past_covariates]),  # without any, as before there were such
            (one.name for one in self.series),
            *((f"{array.shape}", array.tobytes().decode("latin-1")) for group in arrays for array in group),
        )


def ends_of(steps: int, valid_share: float, test_share: float) -> tuple[int, int, int]:
    """Where training, validation and test of a series end, if the last parts are held out.

    Args:
      steps: its length, T.
      valid_share: of all steps, rounded down; they lie before those of the test.
      test_share: of all steps, rounded down.

    Example:
      >>> ends_of(100, 0.1, 0.2)
      (70, 80, 100)
    """
    test = math.floor(test_share * steps + 1e-9)  # 0.29 · 100 is 28.999…
    valid = math.floor(valid_share * steps + 1e-9)
    return steps - test - valid, steps - test, steps


def filled(values: Numbers) -> Numbers:
    """Puts in the place of each missing value (NaN) the last one before it; before the first one that one.

    So nothing later is known at any step from the first value on, which must be one of training.

    Args:
      values: [T, C], in each column at least one number.

    Example:
      >>> filled(np.array([[np.nan], [2.0], [np.nan], [5.0]])).tolist()
      [[2.0], [2.0], [2.0], [5.0]]
    """
    there = ~np.isnan(values)
    places = np.where(there, np.arange(len(values))[:, None], -1)
    latest = np.maximum.accumulate(places, axis=0)
    return np.take_along_axis(values, np.where(latest < 0, there.argmax(axis=0), latest), axis=0)


def hide_ahead(covariates: npt.NDArray[np.float32], context: int, number: int) -> npt.NDArray[np.float32]:
    """Puts 0, the mean of what has been scaled, for covariates that are known only once their step has passed.

    Args:
      covariates: scaled, [..., L + H, K].
      context: L.
      number: how many of the K, the last ones, are hidden in the H steps to come.

    Example:
      >>> hide_ahead(np.ones((3, 2), np.float32), context=2, number=1).tolist()
      [[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    """
    ahead, places = np.arange(covariates.shape[-2])[:, None] >= context, np.arange(covariates.shape[-1])
    return np.where(ahead & (places >= len(places) - number), np.float32(0), covariates)


def season_error(values: Numbers, observed: npt.NDArray[np.bool_], period: int) -> Numbers:
    """The mean error of the seasonal naive forecast one step ahead within a series, by which MASE divides.

        Σₜ |yₜ - yₜ₋ₘ| / n, over the n pairs of which both are observed

    Args:
      values: [T, C].
      observed: [T, C].
      period: m.

    Returns:
      [C]; 0 where there is no pair, or nothing ever changes.

    Example:
      >>> season_error(np.array([[1.0], [2.0], [4.0]]), np.ones((3, 1), bool), period=1).tolist()
      [1.5]

    References:
      Hyndman & Koehler (2006), Another look at measures of forecast accuracy.
    """
    both = observed[period:] & observed[:-period]
    errors = np.where(both, np.abs(values[period:] - values[:-period]), 0.0)
    return np.asarray(errors.sum(axis=0) / np.maximum(both.sum(axis=0), 1), np.float64)
