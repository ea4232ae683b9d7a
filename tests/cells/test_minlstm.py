"""The minimal long short-term memory: one unit by hand, the paper's logarithms, and gates that vanish together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import RTOL, assert_close, sigmoid

import seqmodels as sm

LN3 = np.log(3.0)


def test_two_steps_by_hand(x64):
    # f = σ(ln 3) = 3/4 for x = 1, σ(-ln 3) = 1/4 for x = -1; i = σ(0) = 1/2: f' = 3/5 and 1/3, i' = 2/5 and 2/3.
    # h̃ = 1 + 1/2 for x = 1, σ(-1) for x = -1. h₁ = 3/5 · 2 + 2/5 · 3/2 = 9/5; h₂ = 1/3 · 9/5 + 2/3 · σ(-1).
    params = sm.MinLSTMParams(w_ih=np.array([[LN3, 0.0, 1.0]]), b=np.zeros(3))
    _, ys = sm.unroll(sm.MinLSTM(1), params, np.array([[1.0], [-1.0]]), sm.MinLSTMState(h=np.array([2.0])))
    assert_close(ys, np.array([[9 / 5], [3 / 5 + sigmoid(-1.0) * 2 / 3]]), np.float64)


def test_bias_is_in_the_order_f_i_h(x64):
    # f = σ(ln 3) = 3/4, i = σ(-ln 3) = 1/4, h̃ = 1 + 1/2: h₁ = 3/4 · 2 + 1/4 · 3/2 = 15/8.
    params = sm.MinLSTMParams(w_ih=np.zeros((1, 3)), b=np.array([LN3, -LN3, 1.0]))
    state, _ = sm.unroll(sm.MinLSTM(1), params, np.zeros((1, 1)), sm.MinLSTMState(h=np.array([2.0])))
    assert_close(state.h, np.array([15 / 8]), np.float64)


def test_the_logarithms_of_the_paper(x64):
    # hₜ = Σₛ exp(log i'ₛ + log h̃ₛ + Σ log f'), where log f' = -softplus(d), log i' = -softplus(-d),
    # d = softplus(-f̃) - softplus(-ĩ) for the pre-activations f̃ and ĩ.
    random = np.random.default_rng(0)
    f, i, x = random.normal(size=(3, 2000, 1)) * np.array([20.0, 20.0, 5.0])[:, None, None]
    params = sm.MinLSTMParams(w_ih=np.eye(3), b=np.zeros(3))
    _, ys = sm.unroll(sm.MinLSTM(1), params, np.concatenate([f, i, x], -1), method="associative")
    d = np.logaddexp(0.0, -f) - np.logaddexp(0.0, -i)
    log_keep = np.cumsum(-np.logaddexp(0.0, d), axis=0)
    log_new = -np.logaddexp(0.0, -d) + np.where(x >= 0, np.log(np.maximum(x, 0) + 0.5), -np.logaddexp(0.0, -x))
    expected = np.exp(log_keep + np.logaddexp.accumulate(log_new - log_keep, axis=0))
    assert_close(ys, expected, np.float64)


def test_both_shares_are_exact_wherever_the_gates_are():
    # In float64 the quotient itself can be computed for all of these; in float32 it would be 0 / 0 from -89 on.
    f, i = (grid.reshape(-1, 1) for grid in np.meshgrid(np.linspace(-200, 200, 41), np.linspace(-200, 200, 41)))
    params = sm.MinLSTMParams(w_ih=np.eye(3, dtype=np.float32), b=np.zeros(3, np.float32))
    xs = jnp.asarray(np.concatenate([f, i, np.full_like(f, 0.5)], -1), jnp.float32)
    keep, new = sm.MinLSTM(1).coefficients(params, None, xs)
    total = sigmoid(f) + sigmoid(i)
    for actual, expected in ((keep, sigmoid(f) / total), (new, sigmoid(i) / total)):
        np.testing.assert_allclose(actual, expected, rtol=RTOL["float32"], atol=1e-37)


@pytest.mark.parametrize("method", ["scan", "associative"])
def test_values_and_gradients_are_finite_at_the_ends(method):
    params = sm.MinLSTMParams(w_ih=np.eye(3, dtype=np.float32), b=np.zeros(3, np.float32))
    xs = np.random.default_rng(0).choice([-200.0, 0.0, 200.0], (60, 3)).astype(np.float32)

    def objective(params, xs, state):
        return sm.unroll(sm.MinLSTM(1), params, xs, state, method=method)[1].sum()

    result = jax.value_and_grad(objective, argnums=(0, 1, 2))(params, xs, sm.MinLSTMState(h=np.ones(1, np.float32)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


def test_forget_bias_is_put_into_the_parameters():
    for cell, bias in ((sm.MinLSTM(8), 1.0), (sm.MinLSTM(8, forget_bias=2.5), 2.5)):
        np.testing.assert_array_equal(cell.init(jax.random.key(0), 5).b, np.repeat([bias, 0.0, 0.0], 8))
