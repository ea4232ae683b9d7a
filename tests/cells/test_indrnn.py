"""The independently recurrent network: one unit by hand, Elman's network with a diagonal matrix, decays near 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, STEPS, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.engines import Fused


def one_unit(w_ih, w_hh, b):
    return sm.IndRNNParams(w_ih=np.array([[w_ih]]), w_hh=np.array([w_hh]), b=np.array([b]))


def test_relu_by_hand(x64):
    # Step 1: 1 · 2 + 0 + 1 = 3. Step 2: 1 · (-2) + 3 · ½ + 1 = ½. Step 3: 1 · (-4) + ½ · ½ + 1 < 0, so 0.
    _, ys = sm.unroll(sm.IndRNN(1), one_unit(1.0, 0.5, 1.0), np.array([[2.0], [-2.0], [-4.0]]))
    assert_close(ys, np.array([[3.0], [0.5], [0.0]]), np.float64)


def test_tanh_by_hand(x64):
    # Step 1: tanh(2 · ½ ln 2) = 3/5. Step 2: tanh(3/5 · (5/3 ln 3)) = 4/5.
    params = one_unit(np.log(2) / 2, np.log(3) * 5 / 3, 0.0)
    state, ys = sm.unroll(sm.IndRNN(1, activation="tanh"), params, np.array([[2.0], [0.0]]))
    assert_close(ys, np.array([[3 / 5], [4 / 5]]), np.float64)
    assert_close(state, sm.IndRNNState(h=np.array([4 / 5])), np.float64)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("method", ["scan", Fused(save="states"), "chunked"], ids=str)
def test_it_is_elman_s_network_with_a_diagonal_matrix(activation, method, x64):
    given = problem(sm.IndRNN(HIDDEN, activation))
    w_ih, w_hh, b = given.params
    full = given._replace(
        params=sm.RNNParams(w_ih, np.diag(w_hh), b),
        state=sm.RNNState(*given.state),
        state_weights=sm.RNNState(*given.state_weights),
    )
    lengths, resets = np.array([STEPS, 4, 0]), np.arange(3 * STEPS).reshape(3, STEPS) % 5 == 2
    (state, ys), (slopes, xs_slopes, state_slopes) = run(
        sm.RNN(HIDDEN, activation), full, lengths, resets, method="scan", reverse=True
    )
    expected_slopes = sm.IndRNNParams(slopes.w_ih, np.diag(slopes.w_hh), slopes.b)
    expected = (sm.IndRNNState(*state), ys), (expected_slopes, xs_slopes, sm.IndRNNState(*state_slopes))
    actual = run(sm.IndRNN(HIDDEN, activation), given, lengths, resets, method=method, reverse=True)
    assert_close(actual, expected, np.float64)


@pytest.mark.parametrize("method", ["scan", "fused", "chunked"])
def test_decays_near_1_are_exact_where_products_are_narrow(method):
    # bfloat16 has nothing between 1 - 1/256 and 1: as such a number 0.9985 is 1, and nothing would decay.
    decay = np.float32(0.9985)
    params, start = one_unit(np.float32(1.0), decay, np.float32(0.0)), sm.IndRNNState(np.ones(1, np.float32))
    state, _ = sm.unroll(sm.IndRNN(1), params, jnp.zeros((500, 1), jnp.bfloat16), start, method=method)
    assert_close(state.h, np.array([np.float64(decay) ** 500]), np.float32)


@pytest.mark.parametrize(("lag", "bound"), [(None, 1.0), (1, 2.0), (4, 2**0.25), (1000, 2**0.001)])
def test_recurrent_weights_are_uniform_up_to_the_bound(lag, bound):
    size = 2000
    params = sm.IndRNN(size, longest_lag=lag).init(jax.random.key(0), 3)
    w = np.asarray(params.w_hh, np.float64)
    assert 0 <= w.min() < 0.005 * bound
    assert 0.995 * bound < w.max() <= bound * (1 + 1e-6)
    assert abs(w.mean() - bound / 2) < 4 * bound / np.sqrt(12 * size)
    assert_equal(params.b, np.zeros(size))


def test_input_weights_are_uniform_within_glorot_s_bound():
    w_ih = np.asarray(sm.IndRNN(48).init(jax.random.key(2), 32).w_ih)
    bound = np.sqrt(6 / (32 + 48))
    assert 0.98 * bound < np.abs(w_ih).max() <= bound
    assert abs(np.mean(w_ih**2) / (bound**2 / 3) - 1) < 4 * np.sqrt(0.8 / w_ih.size)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"activation": "sigmoid"}, r"relu.*tanh.*sigmoid"), ({"longest_lag": 0}, r"longest_lag.*0")],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sm.IndRNN(8, **options)
