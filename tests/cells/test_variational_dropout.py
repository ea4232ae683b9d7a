"""Variational dropout: masks read off a linear network, fixed over time, one a row."""

import jax
import numpy as np
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm

ROWS, STEPS, SIZE = 40, 4, 50
RELU = sm.RNN(SIZE, activation="relu")
ONES, EYE, ZERO = np.ones(SIZE, np.float32), np.eye(SIZE, dtype=np.float32), np.zeros((SIZE, SIZE), np.float32)
XS = np.ones((ROWS, STEPS, SIZE), np.float32)


def input_masks(cell, key):
    """With W_ih = 1, W_hh = 0 and inputs of 1 the outputs are the input mask."""
    return np.asarray(sm.unroll(cell, sm.RNNParams(EYE, ZERO, 0 * ONES), XS, key=key)[1])


def recurrent_outputs(cell, key):
    """With W_ih = 0, W_hh = 1 and b = 1: h₁ = 1, h₂ = 1 + m, h₃ = 1 + m h₂ and so on."""
    return np.asarray(sm.unroll(cell, sm.RNNParams(ZERO, EYE, ONES), XS, key=key)[1])


def assert_dropped(mask, rate):
    """Zeros at the rate, else 1 / (1 - rate); so the mean is 1."""
    np.testing.assert_allclose(mask[mask != 0], 1 / (1 - rate), rtol=1e-6)
    assert abs((mask == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / mask.size)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_the_input_mask_is_fixed_over_time_and_differs_between_rows(rate):
    masks = input_masks(sm.VariationalDropout(RELU, rate=rate), jax.random.key(0))
    assert_equal(masks, np.repeat(masks[:, :1], STEPS, axis=1))
    assert_dropped(masks[:, 0], rate)
    assert len(np.unique(masks[:, 0], axis=0)) == ROWS


@pytest.mark.parametrize(("rate", "recurrent_rate", "expected"), [(0.25, None, 0.25), (0.1, 0.5, 0.5)])
def test_the_recurrent_mask_is_fixed_over_time_and_leaves_the_state_whole(rate, recurrent_rate, expected):
    ys = recurrent_outputs(sm.VariationalDropout(RELU, rate, recurrent_rate), jax.random.key(1))
    mask = ys[:, 1] - 1
    assert_dropped(mask, expected)
    assert_close(ys, np.stack([np.ones_like(mask), 1 + mask, 1 + mask * ys[:, 1], 1 + mask * ys[:, 2]], 1), np.float32)
    assert len(np.unique(mask, axis=0)) == ROWS


def test_the_two_masks_are_independent():
    cell = sm.VariationalDropout(RELU, rate=0.5)
    inputs = input_masks(cell, jax.random.key(2))[:, 0] == 0
    recurrent = recurrent_outputs(cell, jax.random.key(2))[:, 1] == 1
    assert abs((inputs & recurrent).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / inputs.size)


def test_each_mask_has_its_own_rate():
    key = jax.random.key(3)
    assert_equal(input_masks(sm.VariationalDropout(RELU, 0.0, 0.5), key), XS)
    assert_equal(recurrent_outputs(sm.VariationalDropout(RELU, 0.5, 0.0), key)[:, 1], 2 * XS[:, 0])


def test_the_residual_of_a_dropped_cell_is_whole():
    params = sm.RNNParams(ZERO, ZERO, 0 * ONES)
    _, ys = sm.unroll(sm.Residual(sm.VariationalDropout(RELU, 0.5)), params, XS, key=jax.random.key(0))
    assert_equal(ys, XS)


@pytest.mark.parametrize("rates", [{"rate": -0.1}, {"rate": 1.0}, {"rate": 0.1, "recurrent_rate": 2.0}])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ValueError, match=r"rate.*VariationalDropout"):
        sm.VariationalDropout(sm.LSTM(8), **rates)


def test_there_must_be_a_product_with_h_to_be_dropped():
    cell = sm.IndRNN(ONES.size)
    params, key = cell.init(jax.random.key(0), XS.shape[-1]), jax.random.key(1)
    with pytest.raises(ValueError, match="IndRNN has no product with h that could be dropped"):
        sm.unroll(sm.VariationalDropout(cell, rate=0.5), params, XS, key=key)
    sm.unroll(sm.VariationalDropout(cell, rate=0.5, recurrent_rate=0.0), params, XS, key=key)
