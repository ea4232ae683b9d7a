"""Forecasts of a few windows beside what came."""

from typing import NamedTuple

from seqmodels.data.series import Numbers


class Shown(NamedTuple):
    """One window, in the unit of the series.

    Attributes:
      name: of the series and the target.
      past: [L].
      future: [H], what came; NaN where it is missing.
      point: [H], the forecast.
      quantiles: [H, Q].
    """

    name: str
    past: Numbers
    future: Numbers
    point: Numbers
    quantiles: Numbers


class Forecasts(NamedTuple):
    """Windows to show, and the levels of their quantiles [Q], which may be none."""

    windows: tuple[Shown, ...]
    levels: tuple[float, ...]
