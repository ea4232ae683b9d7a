"""The linear recurrent unit: one unit by hand, its convolution, its start, and decays that are not rounded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import cast, problem
from oracles import assert_close

import seqmodels as sm


def eigenvalues(params):
    """λ [H] in NumPy, complex."""
    nu, theta = (np.asarray(leaf, np.float64) for leaf in (params.nu, params.theta))
    return np.exp(-np.exp(nu) + 1j * np.exp(theta))


def test_two_steps_by_hand(x64):
    # λ = i/2, γ = 2, B = 1 + 2i, C = 3 + i, D = 10. h₁ = i/2 · 4 + 2 (1 + 2i) = 2 + 6i,
    # y₁ = Re((2 + 6i)(3 + i)) + 10 = 10; x₂ = 0: h₂ = i/2 · (2 + 6i) = -3 + i, y₂ = Re((-3 + i)(3 + i)) = -10.
    b_re, b_im, c_re, c_im, d = np.array([1.0, 2.0, 3.0, 1.0, 10.0]).reshape(5, 1, 1)
    nu, theta, log_gamma = np.log([np.log([2.0]), [np.pi / 2], [2.0]])
    params = sm.LRUParams(nu, theta, log_gamma, b_re, b_im, c_re, c_im, d)
    start = sm.LRUState(re=np.array([4.0]), im=np.array([0.0]))
    state, ys = sm.unroll(sm.LRU(1), params, np.array([[1.0], [0.0]]), start)
    assert_close(ys, np.array([[10.0], [-10.0]]), np.float64)
    assert_close(state, sm.LRUState(re=np.array([-3.0]), im=np.array([1.0])), np.float64)


@pytest.mark.parametrize("method", ["scan", "associative"])
def test_it_is_a_convolution(method, x64):
    # yₜ = Re(Σₛ λᵗ⁻ˢ γ (xₛ B) C) + xₜ D, in complex arithmetic.
    cell, steps = sm.LRU(6, features=3, min_radius=0.9), 200
    params = jax.tree.map(np.asarray, cell.init(jax.random.key(0), 4))
    xs = np.random.default_rng(0).normal(size=(steps, 4))
    lags = np.arange(steps)[:, None] - np.arange(steps)
    powers = np.where(lags[..., None] >= 0, eigenvalues(params) ** np.maximum(lags, 0)[..., None], 0.0)
    written = np.exp(params.log_gamma) * (xs @ (params.b_re + 1j * params.b_im))
    hs = np.einsum("tsh,sh->th", powers, written)
    expected = (hs @ (params.c_re + 1j * params.c_im)).real + xs @ params.d
    assert_close(sm.unroll(cell, params, xs, method=method)[1], expected, np.float64)


@pytest.mark.parametrize("method", ["step", *sm.engines.names_for(sm.LRU(8))])
def test_decays_are_not_rounded_to_bfloat16(method):
    # With 8 bits of mantissa 0.999 would be 1; with ν and θ rounded to them, radius and phase would soon be far off.
    cell, phases = sm.LRU(8), np.linspace(0.1, 3.0, 8)
    decay = {"nu": np.full(8, np.log(-np.log(0.999))), "theta": np.log(phases)}
    params = cast(problem(cell).params._replace(**decay), np.float32)
    state, xs = sm.LRUState(re=np.ones(8, np.float32), im=np.zeros(8, np.float32)), jnp.zeros((1000, 5), jnp.bfloat16)
    if method == "step":
        state, _ = jax.lax.scan(functools.partial(cell.step, params), state, xs)
    else:
        state, _ = sm.unroll(cell, params, xs, state, method=method)
    expected = 0.999**1000 * np.exp(1000j * phases)
    np.testing.assert_allclose(state.re, expected.real, atol=1e-3)
    np.testing.assert_allclose(state.im, expected.imag, atol=1e-3)


def test_eigenvalues_are_uniform_on_a_ring():
    size = 4000
    cell = sm.LRU(size, features=1, min_radius=0.5, max_radius=0.9, max_phase=0.3)
    params = cell.init(jax.random.key(0), 2)
    radii, phases = np.abs(eigenvalues(params)), np.angle(eigenvalues(params))
    area = (radii**2 - 0.5**2) / (0.9**2 - 0.5**2)
    for share in (area, phases / 0.3):
        assert share.min() > -1e-5
        assert share.max() < 1 + 1e-5
        np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=4 * 0.5 / size**0.5)
    np.testing.assert_allclose(np.exp(params.log_gamma), np.sqrt(1 - radii**2), rtol=1e-5)


@pytest.mark.parametrize("ring", [(0.0, 1.0), (0.9, 1.0), (0.0, 0.5), (1.0, 1.0), (0.0, 0.0)])
def test_no_ring_begins_with_an_infinite_parameter(ring):
    params = sm.LRU(100_000, 1, *ring).init(jax.random.key(0), 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_matrices_keep_the_variance():
    # xs of variance 1, each number by itself: |h|² is 1 on average, and y 1 by C and 1 by D.
    cell = sm.LRU(256, min_radius=0.5, max_radius=0.95)
    params = cell.init(jax.random.key(0), 64)
    xs = jax.random.normal(jax.random.key(1), (8, 400, 64))
    states, (_, ys) = sm.trajectory(cell, params, xs), sm.unroll(cell, params, xs)
    np.testing.assert_allclose(np.mean((states.re**2 + states.im**2)[:, 200:]), 1.0, rtol=0.05)
    np.testing.assert_allclose(np.mean(ys[:, 200:] ** 2), 2.0, rtol=0.1)
    for part, variance in ((params.b_re, 1 / 128), (params.b_im, 1 / 128), (params.c_re, 1 / 256), (params.d, 1 / 64)):
        # The mean square of n Gaussian numbers deviates by √(2/n).
        assert abs(np.mean(part**2) / variance - 1) < 4 * np.sqrt(2 / part.size)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"features": 0}, "features.*0"),
        ({"min_radius": -0.1}, "min_radius.*-0.1"),
        ({"max_radius": 1.1}, "max_radius.*1.1"),
        ({"min_radius": 0.6, "max_radius": 0.5}, "0.6 and 0.5"),
        ({"max_phase": 0.0}, "max_phase.*0.0"),
    ],
)
def test_impossible_options_are_refused(options, fault):
    with pytest.raises(ValueError, match=fault):
        sm.LRU(8, **options)
