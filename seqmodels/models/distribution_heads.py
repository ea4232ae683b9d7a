"""Heads of forecasters that say how likely every value is: distributions."""

import abc
import dataclasses
import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.models.forecast_heads import LEVELS, Head, check_levels

_LEAST = 1e-4  # of a width, a mean, or a dispersion: none may be 0
_PARTS = 32  # of an integral


class Located(NamedTuple):
    """A distribution by its centre `loc` [...] and its width `scale` [...]; `degrees` [] of freedom, or None."""

    loc: Array
    scale: Array
    degrees: Array | None = None


class Counts(NamedTuple):
    """A distribution over counts by its mean μ [...] and its dispersion α [...]; its variance is μ + α μ²."""

    mean: Array
    dispersion: Array


@dataclasses.dataclass(frozen=True)
class Distribution(Head):
    """A distribution of two numbers for each value, trained by its negative log-likelihood in nats.

    Args:
      levels: of the quantiles that are reported.

    References:
      Salinas, Flunkert, Gasthaus & Januschowski (2020), DeepAR: probabilistic forecasting with autoregressive recurrent
      networks.
    """

    levels: tuple[float, ...] = LEVELS
    measure: ClassVar[str | None] = "loss_nats"

    def __post_init__(self) -> None:
        """Checks the levels."""
        check_levels(self.levels)

    @property
    def numbers(self) -> int:
        """Two, such as centre and width."""
        return 2

    @abc.abstractmethod
    def quantiles(self, forecast: PyTree) -> Array:
        """Those of the distribution."""

    @abc.abstractmethod
    def crps(self, forecast: PyTree, y: Array) -> Array:
        """The continuous ranked probability score ∫ (F(x) - 1{y ≤ x})² dx of each value of `y`; without a gradient."""

    @abc.abstractmethod
    def sample(self, forecast: PyTree, key: Array) -> Array:
        """One value drawn for each."""


@dataclasses.dataclass(frozen=True)
class Gaussian(Distribution):
    """A normal distribution.

    Args:
      levels: of the quantiles that are reported.

    Example:
      >>> head = Gaussian((0.1, 0.5, 0.9))
      >>> head.quantiles(Located(loc=jnp.array(3.0), scale=jnp.array(2.0))).round(2).tolist()
      [0.4399999976158142, 3.0, 5.559999942779541]
    """

    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> Located:
        """Centre and width; the width is softplus of its number, and never 0."""
        del params
        return Located(raw[..., 0] * spread + offset, (jax.nn.softplus(raw[..., 1]) + _LEAST) * spread)

    def loss(self, forecast: Located, y: Array) -> Array:
        """-log p(y), of the scaled values."""
        return -jax.scipy.stats.norm.logpdf(y, forecast.loc, forecast.scale)

    def point(self, forecast: Located) -> Array:
        """The mean."""
        return forecast.loc

    def quantiles(self, forecast: Located) -> Array:
        """Those of the distribution."""
        return forecast.loc[..., None] + forecast.scale[..., None] * self._standard(forecast)

    def crps(self, forecast: Located, y: Array) -> Array:
        """In closed form."""
        loc, scale, degrees = jax.lax.stop_gradient(forecast)
        return scale * self._standard_crps((y - loc) / scale, degrees)

    def sample(self, forecast: Located, key: Array) -> Array:
        """One value drawn for each."""
        return forecast.loc + forecast.scale * self._noise(forecast, key)

    def _standard_crps(self, z: Array, degrees: Array | None) -> Array:
        """The score of values `z` for centre 0 and width 1: z (2 Φ(z) - 1) + 2 φ(z) - 1/√π."""
        del degrees
        normal = jax.scipy.stats.norm
        return z * (2.0 * normal.cdf(z) - 1.0) + 2.0 * normal.pdf(z) - 1.0 / math.sqrt(math.pi)

    def _standard(self, forecast: Located) -> Array:
        """The quantiles for centre 0 and width 1, [Q]."""
        return jax.scipy.special.ndtri(jnp.asarray(self.levels, forecast.loc.dtype))

    def _noise(self, forecast: Located, key: Array) -> Array:
        """Values drawn for centre 0 and width 1, [...]."""
        return jax.random.normal(key, forecast.loc.shape, forecast.loc.dtype)


@dataclasses.dataclass(frozen=True)
class StudentT(Gaussian):
    """Student's t distribution, whose tails are heavier; its degrees of freedom, above 2, are one learnt number.

    Args:
      levels: of the quantiles that are reported.

    Example:
      >>> head = StudentT()
      >>> forecast = head.place(head.init(), jnp.zeros((5, 2)), jnp.zeros(5), jnp.ones(5))
      >>> head.quantiles(forecast).shape
      (5, 9)
    """

    def init(self) -> Array:
        """About 4 degrees of freedom."""
        return jnp.full((), 2.0)

    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> Located:
        """Centre, width, and degrees of freedom."""
        assert params is not None
        return super().place(None, raw, offset, spread)._replace(degrees=2.0 + jax.nn.softplus(params))

    def loss(self, forecast: Located, y: Array) -> Array:
        """-log p(y), of the scaled values."""
        assert forecast.degrees is not None
        return -jax.scipy.stats.t.logpdf(y, forecast.degrees, forecast.loc, forecast.scale)

    def _standard_crps(self, z: Array, degrees: Array | None) -> Array:
        """As of Jordan, Krüger & Lerch (2019), Evaluating probabilistic forecasts with scoringRules.

        z (2 F(z) - 1) + 2 f(z) (ν + z²) / (ν - 1) - 2 √ν / (ν - 1) · B(1/2, ν - 1/2) / B(1/2, ν/2)²
        """
        assert degrees is not None
        betaln, half = jax.scipy.special.betaln, jnp.full_like(degrees, 0.5)
        between = 1.0 - jax.scipy.special.betainc(degrees / 2.0, half, degrees / (degrees + z**2))  # 2 F(|z|) - 1
        tails = 2.0 * jax.scipy.stats.t.pdf(z, degrees) * (degrees + z**2) / (degrees - 1.0)
        ways = betaln(half, degrees - 0.5) - 2.0 * betaln(half, degrees / 2.0)
        return jnp.abs(z) * between + tails - 2.0 * jnp.sqrt(degrees) / (degrees - 1.0) * jnp.exp(ways)

    def _standard(self, forecast: Located) -> Array:
        assert forecast.degrees is not None
        return t_quantiles(self.levels, forecast.degrees)

    def _noise(self, forecast: Located, key: Array) -> Array:
        assert forecast.degrees is not None
        return jax.random.t(key, forecast.degrees, forecast.loc.shape, forecast.loc.dtype)


@dataclasses.dataclass(frozen=True)
class NegativeBinomial(Distribution):
    """The negative binomial distribution of counts 0, 1, 2, …, which vary more than those of Poisson's.

        p(y) = Γ(y + r) / (Γ(y + 1) Γ(r)) · (r / (r + μ))ʳ · (μ / (r + μ))ʸ        r = 1 / α

    Windows of counts are divided by their mean at most: nothing may be subtracted, and they come in their own unit. As
    in DeepAR μ is softplus of the first number times what was divided by, ν, and α softplus of the second over √ν.

    Quantiles are exact in float32 for means up to about 1,000, and within 2% for those up to 10,000; for larger counts
    the other distributions serve as well.

    Args:
      levels: of the quantiles that are reported.

    Example:
      >>> head = NegativeBinomial((0.1, 0.5, 0.9))
      >>> head.quantiles(Counts(mean=jnp.array(4.0), dispersion=jnp.array(0.5))).tolist()
      [0.0, 3.0, 9.0]
    """

    def place(self, params: Array | None, raw: Array, offset: Array, spread: Array) -> Counts:
        """Mean and dispersion; neither is ever 0."""
        del params, offset
        mean, dispersion = (jax.nn.softplus(raw[..., place]) + _LEAST for place in range(2))
        return Counts(mean * spread, dispersion / jnp.sqrt(spread))

    def loss(self, forecast: Counts, y: Array) -> Array:
        """-log p(y)."""
        mean, r = forecast.mean, 1.0 / forecast.dispersion
        # Γ(y + r) / (Γ(y + 1) Γ(r)) by way of a beta function, which does not take large numbers from one another
        ways = -jnp.log(y + r) - jax.scipy.special.betaln(r, y + 1.0)
        return r * jnp.log1p(mean / r) + y * jnp.log1p(r / mean) - ways

    def point(self, forecast: Counts) -> Array:
        """The mean."""
        return forecast.mean

    def quantiles(self, forecast: Counts) -> Array:
        """Those of the distribution."""
        return count_quantiles(self.levels, forecast)

    def crps(self, forecast: Counts, y: Array) -> Array:
        """E|X - y| - E|X - X'| / 2, where E|X - y| = (y - μ) (2 F(y) - 1) + 2 μ (1 + α y) p(y)."""
        forecast = jax.lax.stop_gradient(forecast)
        mean, r = forecast.mean, 1.0 / forecast.dispersion
        between = 2.0 * jax.scipy.special.betainc(r, y + 1.0, r / (r + mean)) - 1.0
        likelihood = jnp.exp(-self.loss(forecast, y))
        away = (y - mean) * between + 2.0 * mean * (1.0 + forecast.dispersion * y) * likelihood
        return away - counts_apart(forecast)

    def sample(self, forecast: Counts, key: Array) -> Array:
        """Counts drawn from Poisson's distribution, whose mean is drawn from a gamma distribution."""
        key_mean, key_count = jax.random.split(key)
        mean = jax.random.gamma(key_mean, 1.0 / forecast.dispersion) * forecast.dispersion * forecast.mean
        return jax.random.poisson(key_count, mean).astype(mean.dtype)


def t_quantiles(levels: tuple[float, ...], degrees: Array) -> Array:
    """Quantiles of Student's t distribution, by halving an interval that holds them; without a gradient.

        F(t) = 1 - I(ν / (ν + t²); ν/2, 1/2) / 2    for t ≥ 0

    Args:
      levels: [Q].
      degrees: ν, a scalar of at least 2.
    """
    degrees = jax.lax.stop_gradient(degrees)
    tails = jnp.asarray(np.minimum(levels, 1.0 - np.asarray(levels)), degrees.dtype)
    low, high = jnp.zeros_like(tails), jnp.full_like(tails, 1e3)  # of level 1e-6, with 2 degrees, it is 707

    def halve(_: int, interval: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = (interval[0] + interval[1]) / 2.0
        inside = degrees / (degrees + middle**2)
        beyond = jax.scipy.special.betainc(degrees / 2.0, jnp.full_like(degrees, 0.5), inside) / 2.0
        return jnp.where(beyond > tails, middle, interval[0]), jnp.where(beyond > tails, interval[1], middle)

    low, high = jax.lax.fori_loop(0, 40, halve, (low, high))
    quantiles: Array = jnp.sign(jnp.asarray(levels, degrees.dtype) - 0.5) * (low + high) / 2.0
    return quantiles


def count_quantiles(levels: tuple[float, ...], forecast: Counts) -> Array:
    """Quantiles of negative binomial distributions, the least count k with F(k) ≥ q; without a gradient.

        F(k) = I(r / (r + μ); r, k + 1)

    An interval that holds them is halved. It ends at μ + σ √(q / (1 - q)), beyond which no distribution of this mean
    and deviation has them (Cantelli's inequality).

    Args:
      levels: q, [Q].
      forecast: arrays [...].

    Returns:
      [..., Q].
    """
    mean, dispersion = (leaf[..., None] for leaf in jax.lax.stop_gradient(forecast))
    q, r = jnp.asarray(levels, mean.dtype), 1.0 / dispersion
    end = jnp.ceil(mean + jnp.sqrt((mean + dispersion * mean**2) * q / (1.0 - q)))

    def between(interval: tuple[Array, Array]) -> Array:
        return jnp.floor((interval[0] + interval[1]) / 2.0)

    def is_wide(interval: tuple[Array, Array]) -> Array:
        """Never true of numbers so large that there is none between two of them."""
        return jnp.any((between(interval) > interval[0]) & (between(interval) < interval[1]))

    def halve(interval: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = between(interval)
        enough = jax.scipy.special.betainc(r, jnp.maximum(middle, 0.0) + 1.0, r / (r + mean)) >= q
        enough &= middle >= 0.0
        return jnp.where(enough, interval[0], middle), jnp.where(enough, middle, interval[1])

    return jax.lax.while_loop(is_wide, halve, (jnp.full_like(end, -1.0), end))[1]


def counts_apart(forecast: Counts) -> Array:
    """Half the mean distance E|X - X'| of two counts of a negative binomial distribution.

        σ² (4/π) ∫ cos²θ (1 + 4 α σ² sin²θ)^-(1 + 1/α) dθ, from 0 to π/2        σ² = μ + α μ²

    That is the integral form of the hypergeometric function in the closed form. It is summed over the middles of equal
    parts of ψ, tan θ = s tan ψ, where s is as wide as what is integrated: to 1e-5 of it for α ≤ 0.5, to 0.5% beyond.

    Args:
      forecast: arrays [...].

    Returns:
      [...].

    Example:
      >>> counts_apart(Counts(mean=jnp.array(4.0), dispersion=jnp.array(0.5))).round(3).tolist()
      1.824000...

    References:
      Wei & Held (2014), Calibration tests for count data.
    """
    mean, dispersion = (leaf[..., None] for leaf in forecast)
    variance = mean + dispersion * mean**2
    psi = jnp.asarray((np.arange(_PARTS) + 0.5) * np.pi / (2 * _PARTS), mean.dtype)
    s = 1.0 / jnp.sqrt(1.0 + 4.0 * (1.0 + dispersion) * variance)
    cosine, sine = jnp.cos(psi) ** 2, (s * jnp.sin(psi)) ** 2
    whole = cosine + sine
    power = -(1.0 + 1.0 / dispersion) * jnp.log1p(4.0 * dispersion * variance * sine / whole)
    return (2.0 * variance * s * cosine / whole**2 * jnp.exp(power)).mean(axis=-1)
