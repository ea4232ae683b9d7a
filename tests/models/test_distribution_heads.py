"""Distributions against SciPy: likelihoods, quantiles and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from seqmodels.models.distribution_heads import (
    Counts,
    Gaussian,
    Located,
    NegativeBinomial,
    StudentT,
    count_quantiles,
    t_quantiles,
)
from seqmodels.models.forecast_heads import LEVELS, drawn_crps, pinball

HEADS = [Gaussian(), StudentT(), NegativeBinomial()]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def softplus(x):
    return np.log1p(np.exp(np.asarray(x, np.float64)))


def placed(head):
    """Fifty forecasts, and what they must be in SciPy."""
    raw, offset, spread = numbers((50, 2)), numbers(50, 2), np.abs(numbers(50, 3)) + 0.5
    params = None if head.init() is None else jnp.full((), 0.7)
    found = head.place(params, raw, np.zeros_like(offset) if isinstance(head, NegativeBinomial) else offset, spread)
    one, two = softplus(raw.T[:2]) + 1e-4
    if isinstance(head, NegativeBinomial):
        mean, dispersion = one * spread, two / np.sqrt(spread)
        return found, stats.nbinom(1.0 / dispersion, 1.0 / (1.0 + dispersion * mean))
    if isinstance(head, StudentT):
        return found, stats.t(2.0 + softplus(0.7), raw[:, 0] * spread + offset, two * spread)
    return found, stats.norm(raw[:, 0] * spread + offset, two * spread)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_distributions_are_those_of_scipy(head):
    found, expected = placed(head)
    y = np.round(5.0 * np.abs(numbers(50, 1)))
    likelihood = expected.logpmf(y) if isinstance(head, NegativeBinomial) else expected.logpdf(y)
    np.testing.assert_allclose(jax.jit(head.loss)(found, y), -likelihood, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(head.point(found), expected.mean(), rtol=1e-4, atol=1e-5)
    quantiles = np.stack([expected.ppf(level) for level in LEVELS], axis=-1)
    np.testing.assert_allclose(jax.jit(head.quantiles)(found), quantiles, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_crps_is_the_integral_that_defines_it(head):
    found, expected = placed(head)
    y = np.round(5.0 * np.abs(numbers(50, 1)))
    scores = np.asarray(jax.jit(head.crps)(found, y))
    if isinstance(head, NegativeBinomial):
        counts = np.arange(400)[:, None]
        np.testing.assert_allclose(scores, ((expected.cdf(counts) - (y <= counts)) ** 2).sum(axis=0), rtol=1e-4)
        return
    for place in range(0, 50, 7):
        frozen = expected.dist(*expected.args[:-2], *(float(part[place]) for part in expected.args[-2:]))
        below, _ = integrate.quad(lambda x, f=frozen: f.cdf(x) ** 2, -np.inf, y[place])
        above, _ = integrate.quad(lambda x, f=frozen: f.sf(x) ** 2, y[place], np.inf)
        assert scores[place] == pytest.approx(below + above, rel=1e-4)


def test_crps_of_a_distribution_that_is_right():
    """1/√π for standard normal values, where the mean loss of nine quantiles is 0.617."""
    head, y = Gaussian(), np.asarray(stats.norm.ppf((np.arange(4000) + 0.5) / 4000), np.float32)
    standard = Located(jnp.zeros(4000), jnp.ones(4000))
    assert float(head.crps(standard, y).mean()) == pytest.approx(1.0 / np.sqrt(np.pi), abs=1e-3)
    assert 2.0 * float(pinball(head.quantiles(standard), y, LEVELS).mean()) == pytest.approx(0.617, abs=1e-3)


@pytest.mark.parametrize("number", [2, 5, 100])
def test_crps_of_draws_is_that_of_the_distribution(number):
    """However few they are: for a normal distribution, in the mean over many values."""
    y, drawn = numbers(20_000, 1), numbers((number, 20_000), 2)
    assert float(drawn_crps(drawn, y).mean()) == pytest.approx(1.0 / np.sqrt(np.pi), rel=0.02)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_draws_are_spread_as_the_distribution_says(head):
    """The share below each quantile is its level, for counts that below it and half of that at it."""
    found, expected = placed(head)
    found = jax.tree.map(lambda leaf: leaf if leaf.ndim == 0 else jnp.tile(leaf, (1000, 1)), found)
    drawn = np.asarray(jax.jit(head.sample)(found, jax.random.key(0)))
    at = np.stack([expected.ppf(level) for level in (0.1, 0.5, 0.9)])[:, None]
    shares = ((drawn < at) + 0.5 * (drawn == at)).mean(axis=(1, 2))
    levels = expected.cdf(at[:, 0])
    if isinstance(head, NegativeBinomial):
        levels = levels - 0.5 * expected.pmf(at[:, 0])
    np.testing.assert_allclose(shares, levels.mean(axis=1), atol=0.015)


def test_quantiles_of_student_t():
    levels = (0.01, 0.1, 0.5, 0.75, 0.99)
    quantiles = jax.jit(lambda degrees: t_quantiles(levels, degrees))
    for degrees in (2.0, 2.7, 5.0, 30.0):
        np.testing.assert_allclose(quantiles(degrees), stats.t.ppf(levels, degrees), rtol=1e-4)


def test_counts_small_and_large():
    levels, grid = (0.01, 0.1, 0.5, 0.75, 0.99), np.meshgrid([1e-4, 0.3, 4.0, 50.0, 800.0], [1e-4, 0.05, 0.5, 2.0])
    forecast = Counts(*(jnp.asarray(part, jnp.float32) for part in grid))
    expected = stats.nbinom(1.0 / grid[1], 1.0 / (1.0 + grid[1] * grid[0]))
    quantiles = np.stack([expected.ppf(level) for level in levels], axis=-1)
    find = jax.jit(count_quantiles, static_argnums=0)
    np.testing.assert_allclose(find(levels, forecast), quantiles, atol=1.0, rtol=1e-3)
    diverged = forecast.mean.at[0, :3].set(jnp.array([jnp.inf, jnp.nan, 1e30]))
    np.testing.assert_array_equal(find(levels, forecast._replace(mean=diverged))[1:], find(levels, forecast)[1:])
    counts = np.arange(40_000).reshape(-1, 1, 1)
    below = expected.cdf(counts)
    for y in (np.zeros_like(grid[0]), np.round(2.0 * grid[0])):
        crps = jax.jit(NegativeBinomial().crps)(forecast, jnp.asarray(y, jnp.float32))
        np.testing.assert_allclose(crps, ((below - (y <= counts)) ** 2).sum(axis=0), rtol=5e-3, atol=1e-7)
        likelihood = jax.jit(NegativeBinomial().loss)(forecast, jnp.asarray(y, jnp.float32))
        np.testing.assert_allclose(likelihood, -expected.logpmf(y), rtol=1e-4, atol=1e-3)
