"""The minimal gated recurrent unit: one unit by hand, and the paper's equations in logarithms."""

import jax.numpy as jnp
import numpy as np
from oracles import assert_close, sigmoid

import seqmodels as sm

LN3 = np.log(3.0)


def test_two_steps_by_hand(x64):
    # z = σ(ln 3) = 3/4 for x = 1, σ(-ln 3) = 1/4 for x = -1; h̃ = 1 + 1/2 for x = 1, σ(-1) for x = -1.
    # h₁ = 1/4 · 2 + 3/4 · 3/2 = 13/8; h₂ = 3/4 · 13/8 + 1/4 · σ(-1).
    params = sm.MinGRUParams(w_ih=np.array([[LN3, 1.0]]), b=np.zeros(2))
    _, ys = sm.unroll(sm.MinGRU(1), params, np.array([[1.0], [-1.0]]), sm.MinGRUState(h=np.array([2.0])))
    assert_close(ys, np.array([[13 / 8], [39 / 32 + sigmoid(-1.0) / 4]]), np.float64)


def test_the_logarithms_of_the_paper(x64):
    # hₜ = Σₛ exp(log zₛ + log h̃ₛ + Σ log(1 - z)), and pre-activations at which 1 - z cannot be told from 0 or 1.
    random = np.random.default_rng(0)
    steps = 2000
    k, x = random.normal(size=(2, steps, 1)) * np.array([20.0, 5.0])[:, None, None]
    params = sm.MinGRUParams(w_ih=np.eye(2), b=np.zeros(2))
    _, ys = sm.unroll(sm.MinGRU(1), params, np.concatenate([k, x], -1), method="associative")
    log_keep = np.cumsum(-np.logaddexp(0.0, k), axis=0)
    log_new = -np.logaddexp(0.0, -k) + np.where(x >= 0, np.log(np.maximum(x, 0) + 0.5), -np.logaddexp(0.0, -x))
    expected = np.exp(log_keep + np.logaddexp.accumulate(log_new - log_keep, axis=0))
    assert_close(ys, expected, np.float64)


def test_nothing_overflows_at_the_ends():
    params = sm.MinGRUParams(w_ih=np.eye(2, dtype=np.float32) * 1e4, b=np.zeros(2, np.float32))
    xs = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (50, 2)), jnp.float32)
    assert np.all(np.isfinite(sm.unroll(sm.MinGRU(1), params, xs, method="associative")[1]))
