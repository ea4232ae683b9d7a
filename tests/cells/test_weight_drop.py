"""WeightDrop: the dropped matrix, read off a linear network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm

SIZE, RATE = 40, 0.3
RELU = sm.RNN(SIZE, activation="relu")
W = np.random.default_rng(0).uniform(0.1, 1.0, (SIZE, SIZE)).astype(np.float32)
PARAMS = sm.RNNParams(w_ih=np.zeros((3, SIZE), np.float32), w_hh=W, b=np.zeros(SIZE, np.float32))
# Row n starts with unit n alone, so that its h₁ is row n of the recurrent matrix.
START = sm.RNNState(h=np.eye(SIZE, dtype=np.float32))
XS = np.ones((SIZE, 3, 3), np.float32)


def test_one_dropped_matrix_serves_all_rows_and_steps():
    cell = sm.WeightDrop(RELU, rate=RATE)
    _, ys = sm.unroll(cell, PARAMS, XS, START, key=jax.random.key(0))
    dropped = np.asarray(ys[:, 0], np.float64)
    ratio = dropped / W
    np.testing.assert_allclose(ratio[ratio != 0], 1 / (1 - RATE), rtol=1e-5)
    assert abs((ratio == 0).mean() - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / W.size)
    assert_close(ys[:, 1], dropped @ dropped, np.float32)
    assert_close(ys[:, 2], dropped @ dropped @ dropped, np.float32)


def test_the_key_decides_and_no_key_drops_nothing():
    cell = sm.WeightDrop(RELU, rate=RATE)
    first, other = (sm.unroll(cell, PARAMS, XS, START, key=jax.random.key(seed))[1][:, 0] for seed in (0, 1))
    assert abs(np.mean((first == 0) & (other == 0)) - RATE**2) < 4 * RATE / SIZE
    assert_equal(sm.unroll(cell, PARAMS, XS, START), sm.unroll(RELU, PARAMS, XS, START))


def test_only_recurrent_weights_are_dropped():
    params = sm.RNNParams(w_ih=W[:3], w_hh=0 * W, b=PARAMS.b + 1)
    noisy = sm.unroll(sm.WeightDrop(RELU, rate=RATE), params, XS, START, key=jax.random.key(0))
    assert_equal(noisy, sm.unroll(RELU, params, XS, START))


def test_dropped_weights_have_no_gradient_and_kept_ones_are_scaled():
    def first_step(w_hh, rate):
        cell = sm.WeightDrop(RELU, rate=rate)
        _, ys = sm.unroll(cell, PARAMS._replace(w_hh=w_hh), XS[:, :1], START, key=jax.random.key(0))
        return jnp.sum(ys), ys[:, 0]

    slopes, dropped = jax.grad(first_step, has_aux=True)(jnp.asarray(W), RATE)
    assert_close(slopes, np.where(dropped == 0, 0.0, 1 / (1 - RATE)), np.float32)


def test_it_finds_nested_weights():
    cell = sm.WeightDrop(sm.LearnedState(sm.Residual(sm.LSTM(3))), rate=0.9)
    params = cell.init(jax.random.key(0), 3)
    start = cell.initial_state(params, (SIZE,))
    start = start._replace(h=start.h + 1)
    quiet, noisy = (sm.unroll(cell, params, XS, start, key=key)[1] for key in (None, jax.random.key(1)))
    assert np.any(quiet != noisy)


@pytest.mark.parametrize("rate", [-0.5, 1.0])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match=r"rate.*WeightDrop"):
        sm.WeightDrop(sm.LSTM(8), rate=rate)
