"""The projected LSTM: one unit by hand, an LSTM where nothing is projected, and what its weights begin as."""

import jax
import numpy as np
import pytest
from cases import HIDDEN, cast, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm

LN2, LN3, LN4 = np.log([2.0, 3.0, 4.0])
# σ(ln k) = k / (k + 1) and tanh(ln k) = (k² - 1) / (k² + 1): σ(0) = 1/2, σ(ln 2) = 2/3, σ(ln 3) = 3/4,
# tanh(ln 2) = 3/5, tanh(ln 4) = 15/17.


def start(m, c):
    return sm.LSTMPState(m=np.array([m]), c=np.array([c]))


def test_two_steps_by_hand(x64):
    # Step 1, x = 1, m = 0: i = σ(ln 3) = 3/4, f = σ(ln 2) = 2/3, g = tanh(ln 2) = 3/5, o = σ(0) = 1/2.
    #   c = 2/3 · c₀ + 3/4 · 3/5 = ln 4 for c₀ = 3/2 (ln 4 - 9/20);  m = 1/2 · 15/17 = 15/34;  y = 2 m = 15/17.
    # Step 2, x = 0: i = σ(15/17 · w_i) with 15/17 · w_i = ln 2 gives 2/3, f = σ(0) = 1/2, g = tanh(0) = 0,
    #   o = σ(15/17 · w_o) with 15/17 · w_o = ln 3 gives 3/4.
    #   c = 1/2 · ln 4 + 2/3 · 0 = ln 2;  m = 3/4 · 3/5 = 9/20;  y = 9/10.
    params = sm.LSTMPParams(
        w_ih=np.array([[LN3, LN2, LN2, 0.0]]),
        w_hh=np.array([[LN2 * 17 / 15, 0.0, 0.0, LN3 * 17 / 15]]),
        b=np.zeros(4),
        w_hr=np.array([[2.0]]),
    )
    state, ys = sm.unroll(sm.LSTMP(1), params, np.array([[1.0], [0.0]]), start(m=0.0, c=1.5 * (LN4 - 9 / 20)))
    assert_close(ys, np.array([[15 / 17], [9 / 10]]), np.float64)
    assert_close(state, start(m=9 / 20, c=LN2), np.float64)


def test_the_gates_see_the_projection_alone(x64):
    # m₀ = (1, 1) is projected to 1 - 1 = 0, m₀ = (1, 0) to 1, at which i = σ(ln 2) = 2/3 and g = 3/5 in both units.
    params = sm.LSTMPParams(
        w_ih=np.zeros((1, 8)),
        w_hh=np.array([[LN2, LN2, 0.0, 0.0, LN2, LN2, 0.0, 0.0]]),
        b=np.zeros(8),
        w_hr=np.array([[1.0], [-1.0]]),
    )
    for m, c in (([1.0, 1.0], 0.0), ([1.0, 0.0], 2 / 5)):
        state, _ = sm.unroll(sm.LSTMP(2), params, np.zeros((1, 1)), sm.LSTMPState(np.array(m), np.zeros(2)))
        assert_close(state.c, np.array([c, c]), np.float64)


def test_with_the_unit_matrix_for_a_projection_it_is_an_lstm(x64):
    given = problem(sm.LSTM(HIDDEN))
    (state, ys), (slopes, xs_slopes, state_slopes) = run(sm.LSTM(HIDDEN), given, method="auto", reverse=False)
    w_ih, w_hh, b, _ = given.params
    projected = given._replace(
        params=sm.LSTMPParams(w_ih, w_hh, b, np.eye(HIDDEN)),
        state=sm.LSTMPState(*given.state),
        state_weights=sm.LSTMPState(*given.state_weights),
    )
    actual, actual_slopes = run(sm.LSTMP(HIDDEN, HIDDEN), projected, method="auto", reverse=False)
    assert_close(actual, (sm.LSTMPState(*state), ys), np.float64)
    expected_slopes = sm.LSTMPParams(*slopes[:3], actual_slopes[0].w_hr), xs_slopes, sm.LSTMPState(*state_slopes)
    assert_close(actual_slopes, expected_slopes, np.float64)


@pytest.mark.parametrize(("hidden", "given", "size"), [(8, None, 4), (7, None, 3), (1, None, 1), (8, 8, 8), (8, 3, 3)])
def test_the_size_of_the_projection(hidden, given, size):
    cell = sm.LSTMP(hidden, given)
    params = cell.init(jax.random.key(0), 5)
    assert cell.output_size == size
    assert [leaf.shape for leaf in params] == [(5, 4 * hidden), (size, 4 * hidden), (4 * hidden,), (hidden, size)]
    assert cell.initial_state(params, (2,)).m.shape == (2, hidden)


@pytest.mark.parametrize("size", [0, -2, 9])
def test_projections_below_1_and_above_the_hidden_size_are_refused(size):
    with pytest.raises(ValueError, match=rf"projection_size.*{size}"):
        sm.LSTMP(8, projection_size=size)


def test_no_projection_stretches_at_the_start():
    params = sm.LSTMP(48, 16).init(jax.random.key(1), 32)
    np.testing.assert_allclose(params.w_hr.T @ params.w_hr, np.eye(16), atol=1e-5)
    blocks = np.split(np.asarray(params.w_hh), 4, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(16), atol=1e-5)
    assert min(np.abs(a - b).max() for n, a in enumerate(blocks) for b in blocks[:n]) > 0.01
    bound = np.sqrt(6 / (32 + 48))
    assert 0.98 * bound < np.abs(params.w_ih).max() <= bound


def test_the_forget_bias_is_put_into_the_parameters():
    assert_equal(sm.LSTMP(8).init(jax.random.key(0), 5).b, np.repeat([0.0, 1.0, 0.0, 0.0], 8))
    assert_equal(sm.LSTMP(8, forget_bias=2.5).init(jax.random.key(0), 5).b, np.repeat([0.0, 2.5, 0.0, 0.0], 8))


def test_what_is_zoned_out_is_what_is_projected():
    cell = sm.Zoneout(sm.LSTMP(HIDDEN), rate=0.5)
    params, xs, state, *_ = cast(problem(cell), np.float32)
    options = {"key": jax.random.key(0)}
    states = sm.trajectory(cell, params, xs, state, **options)
    assert_close(sm.unroll(cell, params, xs, state, **options)[1], states.m @ params.w_hr, np.float32)
