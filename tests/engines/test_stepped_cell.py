"""A cell that has a step and nothing more: through all that can run it, and as a stream."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, INPUTS, STEPS
from oracles import assert_close

import seqmodels as sm

LENGTHS = np.array([STEPS, 3, 0])


class State(NamedTuple):
    h: jax.Array


@dataclasses.dataclass(frozen=True)
class Leaky(sm.Cell):
    """hₜ = a hₜ₋₁ + (1 - a) tanh(xₜ W), yₜ = hₜ²."""

    hidden_size: int

    @property
    def output_size(self):
        return self.hidden_size

    def init(self, key, input_size):
        return jax.random.normal(key, (input_size, self.hidden_size)), jnp.array(0.7)

    def initial_state(self, params, batch_shape=()):
        return State(jnp.full((*batch_shape, self.hidden_size), 0.5))

    def step(self, params, state, x_t):
        w, a = params
        h = a * state.h + (1.0 - a) * jnp.tanh(x_t @ w)
        return State(h), h * h


CELL = Leaky(4)
PARAMS = CELL.init(jax.random.key(0), INPUTS)
XS = np.random.default_rng(0).normal(size=(BATCH, STEPS, INPUTS)).astype(np.float32)


@functools.cache
def by_loop():
    """H [B, T, H] of the equations in NumPy float64."""
    w, a = (np.asarray(leaf, np.float64) for leaf in PARAMS)
    h, hs = np.full((BATCH, 4), 0.5), []
    for t in range(STEPS):
        h = a * h + (1.0 - a) * np.tanh(XS[:, t] @ w)
        hs.append(h)
    return np.stack(hs, axis=1)


def test_its_engines():
    assert sm.engines.names_for(CELL) == ("scan", "chunked")
    assert "auto takes 'scan'" in sm.engines.explain(CELL)


@pytest.mark.parametrize("method", ["auto", "scan", "chunked"])
def test_unroll_and_trajectory(method):
    hs = by_loop()
    state, ys = sm.unroll(CELL, PARAMS, XS, lengths=LENGTHS, method=method)
    assert_close(state.h[:2], np.stack([hs[0, -1], hs[1, 2]]), np.float32)
    assert_close(state.h[2], np.full(4, 0.5), np.float32)
    valid = np.arange(STEPS) < LENGTHS[:, None]
    assert_close(ys, np.where(valid[..., None], hs * hs, 0.0), np.float32)
    assert_close(sm.trajectory(CELL, PARAMS, XS, method=method), State(hs), np.float32)


def test_gradients_of_both_engines_agree():
    def loss(params, method):
        return jnp.sum(jnp.sin(sm.unroll(CELL, params, XS, lengths=LENGTHS, method=method)[1]))

    assert_close(*(jax.grad(loss)(PARAMS, method) for method in ("chunked", "scan")), np.float32)


def test_a_stream():
    stream = sm.Stream(CELL, PARAMS, batch_shape=(BATCH,))
    ys = [stream.step(XS[:, 0])[:, None], stream.chunk(XS[:, 1:5]), stream.chunk(XS[:, 5:])]
    assert_close(np.concatenate(ys, axis=1), by_loop() ** 2, np.float32)
    assert_close(stream.state, State(by_loop()[:, -1]), np.float32)
