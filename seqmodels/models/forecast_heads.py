"""What a forecaster says of a value to come: a number or some quantiles; distributions have a module of their own."""

import abc
import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclasses.dataclass(frozen=True)
class Head(abc.ABC):
    """How the numbers of a linear map become a forecast.

    Attributes:
      measure: the name of its loss, if it is one that other heads do not have.
    """

    measure: ClassVar[str | None] = None

    @property
    @abc.abstractmethod
    def numbers(self) -> int:
        """How many numbers are needed for each value, P."""

    def init(self) -> Array | None:
        """Parameters that are the same for all values."""
        return None

    @abc.abstractmethod
    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> PyTree:
        """The forecast on the scale of the data.

        Args:
          params: as made by `init`.
          raw: [..., P].
          offset: [...], what was subtracted from the values.
          spread: [...], what they were divided by.
        """

    @abc.abstractmethod
    def loss(self, forecast: PyTree, y: Array) -> Array:
        """What is lowered, for each value of `y` [...]."""

    @abc.abstractmethod
    def point(self, forecast: PyTree) -> Array:
        """One number for each value, [...]."""

    def quantiles(self, forecast: PyTree) -> Array | None:
        """Rising quantiles, [..., Q]; None if there are none."""
        del forecast
        return None

    def crps(self, forecast: PyTree, y: Array) -> Array | None:
        """The continuous ranked probability score of each value of `y` [...]; None if this is no distribution."""
        del forecast, y
        return None

    def sample(self, forecast: PyTree, key: Array) -> Array:
        """One value for each, [...], from which others are forecast: by default the point."""
        del key
        return self.point(forecast)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the quantiles; none if there are none."""
        return ()


@dataclasses.dataclass(frozen=True)
class Point(Head):
    """One number, trained by its squared or its absolute error.

    Args:
      squared: by which of the two. The best forecast is then the mean, or else the median.

    Example:
      >>> Point().loss(jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])).tolist()
      [0.0, 4.0]
    """

    squared: bool = True

    @property
    def numbers(self) -> int:
        """1."""
        return 1

    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> Array:
        """The number [...]."""
        del params
        return raw[..., 0] * spread + offset

    def loss(self, forecast: Array, y: Array) -> Array:
        """The error, squared or absolute."""
        error = forecast - y
        return error**2 if self.squared else jnp.abs(error)

    def point(self, forecast: Array) -> Array:
        """The number."""
        return forecast


@dataclasses.dataclass(frozen=True)
class Quantiles(Head):
    """Quantiles, trained by the pinball loss.

        ρ_q(y, ŷ) = max(q (y - ŷ), (q - 1) (y - ŷ))

    Quantiles that cross are sorted, which never makes the loss of all of them greater.

    Args:
      levels: q, rising, with the median among them.

    Example:
      >>> head = Quantiles((0.1, 0.5, 0.9))
      >>> head.loss(jnp.array([1.0, 2.0, 3.5]), jnp.array(2.0)).round(2)
      Array(0.08, dtype=float32)

    References:
      Koenker & Bassett (1978), Regression quantiles; Chernozhukov, Fernández-Val & Galichon (2010), Quantile and
      probability curves without crossing; Wen et al. (2017), A multi-horizon quantile recurrent forecaster.
    """

    levels: tuple[float, ...] = LEVELS

    def __post_init__(self) -> None:
        """Checks the levels."""
        check_levels(self.levels)

    @property
    def numbers(self) -> int:
        """One for each level."""
        return len(self.levels)

    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> Array:
        """The quantiles [..., Q], sorted."""
        del params
        return jnp.sort(raw * spread[..., None] + offset[..., None], axis=-1)

    def loss(self, forecast: Array, y: Array) -> Array:
        """The mean of the pinball losses."""
        return pinball(forecast, y, self.levels).mean(axis=-1)

    def point(self, forecast: Array) -> Array:
        """The median."""
        return forecast[..., self.levels.index(0.5)]

    def quantiles(self, forecast: Array) -> Array:
        """They themselves."""
        return forecast


def pinball(quantiles: Array, y: Array, levels: tuple[float, ...]) -> Array:
    """The pinball loss of each quantile, [..., Q], of values `y` [...]."""
    error = y[..., None] - quantiles
    q = jnp.asarray(levels, error.dtype)
    return jnp.maximum(q * error, (q - 1.0) * error)


def drawn_crps(drawn: Array, y: Array) -> Array:
    """The continuous ranked probability score of a distribution of which only draws are known, without bias.

        (1/N) Σᵢ |xᵢ - y| - 1 / (2 N (N - 1)) Σᵢ Σⱼ |xᵢ - xⱼ|

    The double sum over sorted draws is 2 Σᵢ (2i - N - 1) xᵢ, i from 1 on.

    Args:
      drawn: x, [N, ...], N at least 2.
      y: [...].

    Example:
      >>> drawn_crps(jnp.array([1.0, 4.0]), jnp.array(2.0)).tolist()
      0.0

    References:
      Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation; Ferro (2014), Fair scores
      for ensemble forecasts.
    """
    number = drawn.shape[0]
    ranks = jnp.arange(1 - number, number, 2).astype(drawn.dtype)
    apart = jnp.tensordot(ranks, jnp.sort(drawn, axis=0), axes=1) / (number * (number - 1))
    return jnp.abs(drawn - y).mean(axis=0) - apart


def check_levels(levels: tuple[float, ...]) -> None:
    """Raises ValueError if levels do not rise within (0, 1), or the median is not among them."""
    if not all(0.0 < level < 1.0 for level in levels) or list(levels) != sorted(set(levels)) or 0.5 not in levels:
        raise ValueError(f"quantiles must rise between 0 and 1, with 0.5 among them (got {list(levels)})")
