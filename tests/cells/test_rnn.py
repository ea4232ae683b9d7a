"""The simple recurrent network: one unit by hand, and what its weights begin as."""

import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm


def one_unit(w_ih, w_hh, b):
    return sm.RNNParams(w_ih=np.array([[w_ih]]), w_hh=np.array([[w_hh]]), b=np.array([b]))


def test_tanh_by_hand(x64):
    # tanh(ln k) = (k² - 1) / (k² + 1), so tanh(ln 2) = 3/5 and tanh(ln 3) = 4/5.
    # Step 1: 2 · ½ ln 2 + 0 · w + 0 = ln 2, h = 3/5. Step 2: 0 + 3/5 · (5/3 ln 3) = ln 3, h = 4/5.
    params = one_unit(w_ih=np.log(2) / 2, w_hh=np.log(3) * 5 / 3, b=0.0)
    state, ys = sm.unroll(sm.RNN(1), params, np.array([[2.0], [0.0]]))
    assert_close(ys, np.array([[3 / 5], [4 / 5]]), np.float64)
    assert_close(state, sm.RNNState(h=np.array([4 / 5])), np.float64)


def test_relu_by_hand(x64):
    # Step 1: 1 · 2 + 0 + 1 = 3. Step 2: 1 · (-2) + 3 · ½ + 1 = ½. Step 3: 1 · (-4) + ½ · ½ + 1 < 0, so 0.
    params = one_unit(w_ih=1.0, w_hh=0.5, b=1.0)
    _, ys = sm.unroll(sm.RNN(1, activation="relu"), params, np.array([[2.0], [-2.0], [-4.0]]))
    assert_close(ys, np.array([[3.0], [0.5], [0.0]]), np.float64)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match=r"tanh.*relu.*sigmoid"):
        sm.RNN(8, activation="sigmoid")
