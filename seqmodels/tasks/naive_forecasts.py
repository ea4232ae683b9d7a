"""Forecasts that need no network: the baselines of forecasters.

Windows are [batch, L, C], forecasts [batch, H, C].
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.series import Numbers
from seqmodels.data.windows import Floats, Windows

_CHUNK: Final = 512
_MOST_WINDOWS: Final = 50_000
_RIDGE: Final = 1e-3  # of the mean square of an input
_CRITICAL: Final = 1.645  # of a normal variable, two-sided, at 90%


def persistence(past: Floats, horizon: int) -> Floats:
    """The last value, again and again.

    Example:
      >>> persistence(np.array([[[1.0], [3.0]]]), 2)[0, :, 0].tolist()
      [3.0, 3.0]
    """
    return np.repeat(past[:, -1:], horizon, axis=1)


def seasonal_naive(past: Floats, horizon: int, period: int) -> Floats:
    """The value one season before, or as many seasons before as are needed; `period` is at most L.

    Example:
      >>> seasonal_naive(np.array([[[1.0], [2.0], [3.0]]]), 3, period=2)[0, :, 0].tolist()
      [2.0, 3.0, 2.0]
    """
    return past[:, past.shape[1] - period + np.arange(horizon) % period]


def drift(past: Floats, horizon: int) -> Floats:
    """The straight line through the first and the last value of the window.

    Example:
      >>> drift(np.array([[[1.0], [2.0], [5.0]]]), 2)[0, :, 0].tolist()
      [7.0, 9.0]
    """
    slope = (past[:, -1:] - past[:, :1]) / np.float32(max(past.shape[1] - 1, 1))
    return past[:, -1:] + slope * np.arange(1, horizon + 1, dtype=np.float32)[:, None]


class Linear(NamedTuple):
    """A linear map from the window to the forecast, the same for all series and targets.

        ŷ = y_L + (y₁ - y_L, …, y_{L-1} - y_L, 1) w

    Attributes:
      w: [L, H]; the last row is the constant.

    References:
      Zeng et al. (2023), Are transformers effective for time series forecasting? (NLinear).
    """

    w: Numbers

    @classmethod
    def fit(cls, windows: Windows) -> "Linear":
        """Least squares with a small ridge over the training windows, at most 50,000 of them, evenly spread.

        Targets of a window of which some are missing are left out; without any left the forecast is the last value.
        """
        size, horizon = windows.context, windows.horizon
        square, cross = np.zeros((size, size)), np.zeros((size, horizon))
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(len(windows), _MOST_WINDOWS)).astype(np.int64))
        for start in range(0, len(chosen), _CHUNK):
            rows = chosen[start : start + _CHUNK]
            batch = windows.batch(rows, len(rows))
            whole = batch.observed.all(axis=1)
            x = _inputs(np.moveaxis(batch.past, 1, 2)[whole])
            y = (np.moveaxis(batch.future, 1, 2) - batch.past[:, -1, :, None])[whole]
            square += x.T @ x
            cross += x.T @ y.astype(np.float64)
        ridge = _RIDGE * float(np.trace(square)) / size or 1.0
        return cls(np.asarray(np.linalg.solve(square + ridge * np.eye(size), cross), np.float64))

    def forecast(self, past: Floats) -> Floats:
        """The forecasts of windows."""
        found = _inputs(np.moveaxis(past, 1, 2)) @ self.w
        return (np.moveaxis(found, 1, 2) + past[:, -1:]).astype(np.float32)


def naive2(values: Numbers, horizon: int, period: int) -> Numbers:
    """The reference of the M4 competition: the last value, after the season is taken out if there is one.

    A season is there if the autocorrelation at its lag m is beyond what it would be, in 9 of 10 cases, of a series
    whose correlations end before:

        |r_m| > 1.645 · √((1 + 2 Σ over k < m of r_k²) / T)

    It is then divided out by the classical decomposition, and multiplied into the forecast.

    Args:
      values: all that is known of one series, [T].
      horizon: H.
      period: m.

    Returns:
      [H].

    References:
      Makridakis, Spiliotis & Assimakopoulos (2020), The M4 competition.
    """
    if period < 2 or len(values) < 3 * period or not _is_seasonal(values, period):
        return np.full(horizon, values[-1])
    figure = season_figure(values, period)
    places = (len(values) - 1 + np.arange(horizon + 1)) % period
    return np.asarray(values[-1] / figure[places[0]] * figure[places[1:]], np.float64)


def season_figure(values: Numbers, period: int) -> Numbers:
    """The factor of each place in the season, [m], of mean 1: the mean of y over its centred moving average."""
    weights = np.ones(period) if period % 2 else np.array([0.5, *[1.0] * (period - 1), 0.5])
    trend = np.convolve(values, weights / period, mode="valid")
    begin = period // 2
    ratios = values[begin : begin + len(trend)] / trend
    places = (begin + np.arange(len(trend))) % period
    figure = np.array([ratios[places == place].mean() for place in range(period)])
    return np.asarray(figure / figure.mean(), np.float64)


def _is_seasonal(values: Numbers, period: int) -> bool:
    """Whether the autocorrelation at lag m stands out; not if nothing ever changes, or there are zeros to divide by."""
    centred = values - values.mean()
    power = float(centred @ centred)
    if power == 0.0 or (values <= 0.0).any():
        return False
    r = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, period + 1)]) / power
    limit = _CRITICAL * np.sqrt((1.0 + 2.0 * (r[:-1] ** 2).sum()) / len(values))
    return bool(abs(r[-1]) > limit)


def _inputs(past: npt.NDArray[np.floating]) -> Numbers:
    """Windows [..., L] less their last value, with the constant in its place."""
    x = (past - past[..., -1:]).astype(np.float64)
    x[..., -1] = 1.0
    return x
