"""Same weights, same numbers as flax's linen cells: outputs, last states and all gradients in float32."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from cases import HIDDEN, cast, problem, run
from oracles import assert_close

import seqmodels as sm


def dense(kernel, bias=None):
    return {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}


def rnn_weights(params):
    return {"i": dense(params.w_ih, params.b), "h": dense(params.w_hh)}


def rnn_slopes(tree):
    return sm.RNNParams(tree["i"]["kernel"], tree["h"]["kernel"], tree["i"]["bias"])


def lstm_weights(params):
    blocks = zip(*(np.split(leaf, 4, axis=-1) for leaf in params[:3]), "ifgo", strict=True)
    weights = {}
    for w_ih, w_hh, b, gate in blocks:
        weights |= {f"i{gate}": dense(w_ih), f"h{gate}": dense(w_hh, b)}
    return weights


def lstm_slopes(tree):
    w_ih = np.concatenate([tree[f"i{gate}"]["kernel"] for gate in "ifgo"], axis=-1)
    w_hh, b = (np.concatenate([tree[f"h{gate}"][part] for gate in "ifgo"], axis=-1) for part in ("kernel", "bias"))
    return sm.LSTMParams(w_ih, w_hh, b)


def gru_weights(params):
    weights = {}
    for w_ih, w_hh, b, gate in zip(*(np.split(leaf, 3, axis=-1) for leaf in params[:3]), "rzn", strict=True):
        weights |= {f"i{gate}": dense(w_ih, b), f"h{gate}": dense(w_hh, params.b_hn if gate == "n" else None)}
    return weights


def gru_slopes(tree):
    w_ih, b = (np.concatenate([tree[f"i{gate}"][part] for gate in "rzn"], axis=-1) for part in ("kernel", "bias"))
    w_hh = np.concatenate([tree[f"h{gate}"]["kernel"] for gate in "rzn"], axis=-1)
    return sm.GRUParams(w_ih, w_hh, b, tree["hn"]["bias"])


CASES = {
    "SimpleCell": (sm.RNN(HIDDEN), nn.SimpleCell, rnn_weights, rnn_slopes),
    "LSTMCell": (sm.LSTM(HIDDEN), nn.LSTMCell, lstm_weights, lstm_slopes),
    "OptimizedLSTMCell": (sm.LSTM(HIDDEN), nn.OptimizedLSTMCell, lstm_weights, lstm_slopes),
    "GRUCell": (sm.GRU(HIDDEN), nn.GRUCell, gru_weights, gru_slopes),
}


def to_carry(state):
    """flax carries (c, h) for an LSTM and h alone for the others."""
    return (state.c, state.h) if isinstance(state, sm.LSTMState) else state.h


def from_carry(like, carry):
    """The way back."""
    return sm.LSTMState(h=carry[1], c=carry[0]) if isinstance(like, sm.LSTMState) else type(like)(carry)


@pytest.mark.parametrize("case", CASES)
def test_same_numbers_as_flax(case):
    cell, flax_cell, to_flax, from_flax = CASES[case]
    given = cast(problem(cell), np.float32)
    module = nn.RNN(flax_cell(HIDDEN), return_carry=True)

    @jax.jit
    def run_flax(weights, xs, carry):
        def call(weights, xs, carry):
            return module.apply({"params": {"cell": weights}}, xs, initial_carry=carry)

        values, pullback = jax.vjp(call, weights, xs, carry)
        return values, pullback((to_carry(given.state_weights), given.ys_weights))

    (carry, ys), (slopes, xs_slopes, carry_slopes) = run_flax(to_flax(given.params), given.xs, to_carry(given.state))
    expected_slopes = from_flax(slopes), xs_slopes, from_carry(given.state, carry_slopes)
    values, actual_slopes = run(cell, given, method="auto", reverse=False)
    assert_close(values, (from_carry(given.state, carry), ys), np.float32)
    assert_close(actual_slopes, expected_slopes, np.float32)
