"""The real-gated linear recurrent unit: one unit by hand, slopes where it keeps its state, and its start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import RTOL, assert_close, sigmoid

import seqmodels as sm

LN2, LN3 = np.log([2.0, 3.0])
SOFTPLUS = np.log(5 / 3) / 6  # so that r = 3/4 gives log a = -6 · SOFTPLUS: a = 3/5, and √(1 - a²) = 4/5
DECAY = np.log(np.expm1([SOFTPLUS]))


def test_two_steps_by_hand(x64):
    # x = 1: r = σ(ln 3) = 3/4, a = 3/5; i = σ(ln 2) = 2/3, v = 3: h₁ = 3/5 + 4/5 · 2/3 · 3 = 11/5.
    # x = 0: r = 1/2, log a = -4 · SOFTPLUS = 2/3 log 3/5, v = 0: h₂ = (3/5)^⅔ · 11/5.
    params = sm.RGLRUParams(w_ih=np.array([[LN3, LN2]]), b=np.zeros(2), w_v=np.array([[3.0]]), decay=DECAY)
    _, ys = sm.unroll(sm.RGLRU(1), params, np.array([[1.0], [0.0]]), sm.RGLRUState(h=np.ones(1)))
    assert_close(ys, np.array([[11 / 5], [0.6 ** (2 / 3) * 11 / 5]]), np.float64)


def test_bias_is_in_the_order_r_i(x64):
    # The gates of the first step above by bias; v = 3.
    params = sm.RGLRUParams(w_ih=np.zeros((1, 2)), b=np.array([LN3, LN2]), w_v=np.array([[3.0]]), decay=DECAY)
    state, _ = sm.unroll(sm.RGLRU(1), params, np.ones((1, 1)), sm.RGLRUState(h=np.ones(1)))
    assert_close(state.h, np.array([11 / 5]), np.float64)


@pytest.mark.parametrize("method", ["scan", "associative"])
def test_the_slope_of_the_root_near_a_decay_of_1(method):
    # One step from 0 with i = 1/2, v = 1: h = √(1 - a²) / 2, log a = -ln 2 · r, where r = σ(z) goes to 0, and is 0 in
    # float32 from z = -89 on. dh/dz = -a² / √(1 - a²) / 2 · log a · (1 - r), which goes to 0 like √r.
    z = np.linspace(-80.0, 2.0, 42)
    size, beyond = 44, [-150.0, -1000.0]
    weights = np.concatenate([z, beyond, np.zeros(size)]).astype(np.float32)
    decay = np.full(size, np.log(np.expm1(LN2 / 8)), np.float32)
    params = sm.RGLRUParams(weights[None], np.zeros(2 * size, np.float32), np.ones((1, size), np.float32), decay)

    def objective(params):
        ys = sm.unroll(sm.RGLRU(size), params, np.ones((1, 1), np.float32), method=method)[1]
        return ys.sum(), ys

    slopes, ys = jax.grad(objective, has_aux=True)(params)
    log_a = -LN2 * sigmoid(z)
    root = np.sqrt(-np.expm1(2 * log_a))
    by_z = -np.exp(2 * log_a) / root / 2 * log_a * sigmoid(-z)
    by_decay = -np.exp(2 * log_a) / root / 2 * log_a * (-np.expm1(-LN2 / 8)) / (LN2 / 8)
    for actual, expected in ((ys[0], root / 2), (slopes.w_ih[0, :size], by_z), (slopes.decay, by_decay)):
        np.testing.assert_allclose(actual[:-2], expected, rtol=RTOL["float32"])
        np.testing.assert_array_equal(actual[-2:], [0.0, 0.0])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize("method", sm.engines.names_for(sm.RGLRU(1)))
def test_decays_are_not_rounded_to_bfloat16(method):
    # b_r = 100, so r = 1 and a = 0.999; with Λ = -8.99 rounded to 8 bits of mantissa the last state is 1% off.
    decay = np.log(np.expm1(-np.log([0.999], dtype=np.float32) / 8))
    zeros = np.zeros((1, 2), np.float32)
    params = sm.RGLRUParams(zeros, np.array([100.0, 0.0], np.float32), zeros[:, :1], decay)
    start = sm.RGLRUState(h=np.ones(1, np.float32))
    state, _ = sm.unroll(sm.RGLRU(1), params, jnp.zeros((1000, 1), jnp.bfloat16), start, method=method)
    np.testing.assert_allclose(state.h, [0.999**1000], rtol=1e-3)


@pytest.mark.parametrize("ring", [(0.9, 0.999), (0.2, 0.5)])
def test_decays_are_uniform_on_a_ring(ring):
    size = 4000
    params = sm.RGLRU(size, *ring).init(jax.random.key(0), 1)
    radii = np.exp(-8 * np.logaddexp(0.0, np.asarray(params.decay, np.float64)))
    share = (radii - ring[0]) / (ring[1] - ring[0])
    assert share.min() > -1e-5
    assert share.max() < 1 + 1e-5
    np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=4 * 0.5 / size**0.5)
    assert not np.any(params.b)


def test_the_default_ring_is_that_of_the_paper():
    assert sm.RGLRU(8) == sm.RGLRU(8, min_radius=0.9, max_radius=0.999)


@pytest.mark.parametrize("ring", [(0.0, 0.5), (0.5, 1.0), (0.6, 0.5)])
def test_impossible_rings_are_refused(ring):
    with pytest.raises(ValueError, match=rf"min_radius.*{ring[0]} and {ring[1]}"):
        sm.RGLRU(8, *ring)
