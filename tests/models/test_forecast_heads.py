"""What holds for all heads of forecasters, and quantiles against what their loss must be lowest for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqmodels.models.distribution_heads import Gaussian, NegativeBinomial, StudentT
from seqmodels.models.forecast_heads import Point, Quantiles, pinball

HEADS = [Point(), Point(squared=False), Quantiles((0.1, 0.5, 0.9)), Gaussian(), StudentT(), NegativeBinomial()]


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_the_pinball_loss_is_lowest_at_the_quantile():
    y = numbers(4001)
    grid = jnp.linspace(-2.0, 2.0, 801)
    for level in (0.1, 0.5, 0.8):
        losses = pinball(grid[None, :, None], jnp.asarray(y)[:, None], (level,)).mean(axis=(0, 2))
        assert grid[int(losses.argmin())] == pytest.approx(np.quantile(y, level), abs=0.01)


def test_quantiles_never_cross():
    head = Quantiles()
    found = head.place(None, numbers((20, 9)), np.zeros(20, np.float32), np.ones(20, np.float32))
    assert (np.diff(found, axis=-1) >= 0).all()
    np.testing.assert_array_equal(head.point(found), found[:, 4])


@pytest.mark.parametrize("head", HEADS)
def test_a_forecast_moves_with_its_window(head):
    """What was subtracted is added, what was divided by is multiplied with; of counts only their mean."""
    params, raw = head.init(), numbers((30, head.numbers))
    plain = head.place(params, raw, np.zeros(30, np.float32), np.ones(30, np.float32))
    counts = isinstance(head, NegativeBinomial)
    offset = 0.0 if counts else 5.0
    moved = head.place(params, raw, np.full(30, offset, np.float32), np.full(30, 3.0, np.float32))
    np.testing.assert_allclose(head.point(moved), 3.0 * head.point(plain) + offset, rtol=1e-5)
    if counts:
        return
    if head.levels:
        np.testing.assert_allclose(head.quantiles(moved), 3.0 * head.quantiles(plain) + 5.0, rtol=1e-4, atol=1e-4)
    else:
        assert head.quantiles(plain) is None


@pytest.mark.parametrize("head", HEADS)
def test_gradients_are_finite_and_none_is_lost(head):
    def loss(params, raw):
        forecast = head.place(params, raw, jnp.zeros(30), jnp.ones(30))
        return head.loss(forecast, jnp.round(jnp.abs(numbers(30, 1)))).mean()

    for leaf in jax.tree.leaves(
        jax.jit(jax.grad(loss, argnums=(0, 1)))(head.init(), jnp.asarray(numbers((30, head.numbers))))
    ):
        assert np.isfinite(leaf).all()
        assert np.any(leaf != 0)


@pytest.mark.parametrize("levels", [(), (0.1, 0.9), (0.5, 0.1), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
@pytest.mark.parametrize("head", [Quantiles, Gaussian, NegativeBinomial])
def test_levels_that_make_no_sense(levels, head):
    with pytest.raises(ValueError, match=r"quantiles must rise between 0 and 1, with 0\.5 among them"):
        head(levels)
