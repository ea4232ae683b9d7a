"""The long short-term memory: one unit by hand, with peepholes and coupled gates, and its biases at the start."""

import jax
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm

LN2, LN3, LN4 = np.log([2.0, 3.0, 4.0])
# σ(ln k) = k / (k + 1) and tanh(ln k) = (k² - 1) / (k² + 1): σ(0) = 1/2, σ(ln 2) = 2/3, σ(ln 3) = 3/4,
# tanh(ln 2) = 3/5, tanh(ln 4) = 15/17.


def one_unit(w_ih, w_hh, b, peephole=None):
    peephole = None if peephole is None else np.array(peephole)[:, None]
    return sm.LSTMParams(w_ih=np.array([w_ih]), w_hh=np.array([w_hh]), b=np.array(b), peephole=peephole)


def start(h, c):
    return sm.LSTMState(h=np.array([h]), c=np.array([c]))


def test_two_steps_by_hand(x64):
    # Step 1, x = 1, h = 0: i = σ(ln 3) = 3/4, f = σ(ln 2) = 2/3, g = tanh(ln 2) = 3/5, o = σ(0) = 1/2.
    #   c = 2/3 · c₀ + 3/4 · 3/5 = ln 4 for c₀ = 3/2 (ln 4 - 9/20);  h = 1/2 · 15/17 = 15/34.
    # Step 2, x = 0: the biases cancel the inputs' share but for o: i = σ(15/34 · w_i) with 15/34 · w_i = ln 2 gives
    #   2/3, f = σ(0) = 1/2, g = tanh(0) = 0, o = σ(15/34 · w_o) with 15/34 · w_o = ln 3 gives 3/4.
    #   c = 1/2 · ln 4 + 2/3 · 0 = ln 2;  h = 3/4 · 3/5 = 9/20.
    params = one_unit(w_ih=[LN3, LN2, LN2, 0.0], w_hh=[LN2 * 34 / 15, 0.0, 0.0, LN3 * 34 / 15], b=np.zeros(4))
    state, ys = sm.unroll(sm.LSTM(1), params, np.array([[1.0], [0.0]]), start(h=0.0, c=1.5 * (LN4 - 9 / 20)))
    assert_close(ys, np.array([[15 / 34], [9 / 20]]), np.float64)
    assert_close(state, start(h=9 / 20, c=LN2), np.float64)


def test_bias_is_added_once_and_in_the_order_i_f_g_o(x64):
    # x = 0, h = 0, c₀ = 0: i = 3/4 and g = 3/5, so c = 9/20; then f = 2/3 on it: c = 2/3 · 9/20 + 9/20 = 3/4.
    params = one_unit(w_ih=np.zeros(4), w_hh=np.zeros(4), b=[LN3, LN2, LN2, 0.0])
    state, ys = sm.unroll(sm.LSTM(1), params, np.zeros((2, 1)))
    assert_close(state.c, np.array([3 / 4]), np.float64)
    assert_close(ys[:, 0], np.tanh([9 / 20, 3 / 4]) / 2, np.float64)


def test_peepholes_by_hand(x64):
    # All weights 0; c₀ = 1. i sees c₀: σ(1 · ln 3) = 3/4; f sees c₀: σ(1 · ln 2) = 2/3; g = tanh(ln 2) = 3/5 by bias.
    #   c = 2/3 + 3/4 · 3/5 = 67/60. o sees the new c: σ(67/60 · 60/67 ln 3) = 3/4.
    params = one_unit(np.zeros(4), np.zeros(4), [0.0, 0.0, LN2, 0.0], peephole=[LN3, LN2, LN3 * 60 / 67])
    state, ys = sm.unroll(sm.LSTM(1, peepholes=True), params, np.zeros((1, 1)), start(h=0.0, c=1.0))
    assert_close(state, start(h=0.75 * np.tanh(67 / 60), c=67 / 60), np.float64)
    assert_close(ys[0], state.h, np.float64)


def test_coupled_gates_by_hand(x64):
    # f = σ(ln 3) = 3/4, so i = 1/4; g = tanh(ln 2) = 3/5; c₀ = 1: c = 3/4 + 1/4 · 3/5 = 9/10; o = σ(ln 2) = 2/3.
    params = one_unit(w_ih=[LN3, LN2, LN2], w_hh=np.zeros(3), b=np.zeros(3))
    state, _ = sm.unroll(sm.LSTM(1, coupled=True), params, np.ones((1, 1)), start(h=0.0, c=1.0))
    assert_close(state, start(h=np.tanh(9 / 10) * 2 / 3, c=9 / 10), np.float64)


def test_coupled_peepholes_by_hand(x64):
    # f sees c₀ = 1: σ(1 · ln 3) = 3/4, i = 1/4, g = 3/5 by bias, c = 9/10; o sees c: σ(9/10 · 10/9 ln 2) = 2/3.
    params = one_unit(np.zeros(3), np.zeros(3), [0.0, LN2, 0.0], peephole=[LN3, LN2 * 10 / 9])
    state, _ = sm.unroll(sm.LSTM(1, coupled=True, peepholes=True), params, np.zeros((1, 1)), start(h=0.0, c=1.0))
    assert_close(state, start(h=np.tanh(9 / 10) * 2 / 3, c=9 / 10), np.float64)


@pytest.mark.parametrize(("coupled", "block"), [(False, 1), (True, 0)])
def test_forget_bias_is_put_into_the_parameters(coupled, block):
    b = sm.LSTM(8, forget_bias=1.5, coupled=coupled).init(jax.random.key(0), 5).b.reshape(-1, 8)
    expected = np.zeros(b.shape)
    expected[block] = 1.5
    np.testing.assert_array_equal(b, expected)


def test_the_forget_bias_is_1_by_default():
    b = sm.LSTM(8).init(jax.random.key(0), 5).b
    np.testing.assert_array_equal(b, np.repeat([0.0, 1.0, 0.0, 0.0], 8))


def test_chrono_bias():
    size, lag = 256, 50
    b_i, b_f, b_g, b_o = np.split(np.asarray(sm.LSTM(size, chrono=lag).init(jax.random.key(0), 1).b), 4)
    np.testing.assert_array_equal(b_i, -b_f)
    assert not np.any(b_g)
    assert not np.any(b_o)
    spans = np.exp(b_f)  # uniform on [1, lag - 1]
    assert spans.min() >= 1.0 - 1e-6
    assert spans.max() <= (lag - 1) * (1 + 1e-6)
    deviation = (lag - 2) / np.sqrt(12 * size)
    assert abs(spans.mean() - lag / 2) < 4 * deviation


def test_chrono_bias_of_coupled_gates():
    b_f, b_g, b_o = np.split(np.asarray(sm.LSTM(64, chrono=50, coupled=True).init(jax.random.key(0), 5).b), 3)
    assert len(np.unique(b_f)) == 64
    assert np.all((b_f >= 0) & (b_f <= np.log(49) + 1e-6))
    assert not np.any(b_g)
    assert not np.any(b_o)


@pytest.mark.parametrize("chrono", [2, 0, -5])
def test_too_short_lags_are_refused(chrono):
    with pytest.raises(ValueError, match=rf"chrono.*{chrono}"):
        sm.LSTM(8, chrono=chrono)


def test_peepholes_begin_at_0():
    assert sm.LSTM(8).init(jax.random.key(0), 5).peephole is None
    for coupled, rows in ((False, 3), (True, 2)):
        peephole = sm.LSTM(8, peepholes=True, coupled=coupled).init(jax.random.key(0), 5).peephole
        np.testing.assert_array_equal(peephole, np.zeros((rows, 8)))
