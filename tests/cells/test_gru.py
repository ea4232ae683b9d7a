"""The gated recurrent unit: one unit by hand."""

import numpy as np
from oracles import assert_close

import seqmodels as sm

LN2, LN3 = np.log([2.0, 3.0])
# σ(ln k) = k / (k + 1), σ(-ln k) = 1 / (k + 1), tanh(ln 2) = 3/5.


def test_one_step_by_hand(x64):
    # x = 1, h₀ = 1/2: r = σ(ln 3) = 3/4; z = σ(½ · (-2 ln 2)) = σ(-ln 2) = 1/3.
    # The reset multiplies the recurrent product with its bias: 3/4 · (½ · 2 ln 2 + 1/3 ln 2) = 3/4 · 4/3 ln 2 = ln 2;
    # the input's share of n is 2 - 2 = 0. So n = tanh(ln 2) = 3/5 and h = 2/3 · 3/5 + 1/3 · 1/2 = 17/30.
    params = sm.GRUParams(
        w_ih=np.array([[LN3, 0.0, 2.0]]),
        w_hh=np.array([[0.0, -2 * LN2, 2 * LN2]]),
        b=np.array([0.0, 0.0, -2.0]),
        b_hn=np.array([LN2 / 3]),
    )
    state, ys = sm.unroll(sm.GRU(1), params, np.ones((1, 1)), sm.GRUState(h=np.array([0.5])))
    assert_close(state, sm.GRUState(h=np.array([17 / 30])), np.float64)
    assert_close(ys, np.array([[17 / 30]]), np.float64)


def test_an_update_gate_of_1_keeps_the_state(x64):
    # z = σ(1000) = 1: nothing is written, whatever the candidate.
    params = sm.GRUParams(np.ones((1, 3)), np.ones((1, 3)), np.array([0.0, 1000.0, 0.0]), np.ones(1))
    state, _ = sm.unroll(sm.GRU(1), params, np.ones((5, 1)), sm.GRUState(h=np.array([0.25])))
    assert_close(state.h, np.array([0.25]), np.float64)
