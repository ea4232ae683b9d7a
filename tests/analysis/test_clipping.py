"""The wall stands where theory says; capping the norm keeps the direction, capping each value does not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import assert_close

from seqmodels.analysis.clipping import START, STEPS, TARGET, descend, unit_loss, wall, wall_bias


def test_the_loss_is_the_recurrence_written_out(x64):
    h = START
    for _ in range(STEPS):
        h = np.tanh(1.3 * h - 0.05)
    assert_close(unit_loss(np.array([1.3, -0.05])), np.square(h - TARGET), np.float64)


@pytest.mark.parametrize("weight", [0.5, 1.2, 1.5, 1.7])
def test_on_the_wall_the_slope_is_a_geometric_series(weight, x64):
    # The unit stands still at h₀, so that every step multiplies by the same a = w (1 - h₀²).
    bias = np.arctanh(START) - weight * START
    a = weight * (1.0 - START**2)
    by_bias = (a**STEPS - 1.0) / (a - 1.0) * (1.0 - START**2)
    by_bias = 2.0 * (START - TARGET) * by_bias
    loss, gradient = jax.value_and_grad(unit_loss)(jnp.array([weight, bias]))
    np.testing.assert_allclose(loss, (START - TARGET) ** 2, rtol=1e-3)
    np.testing.assert_allclose(gradient, [START * by_bias, by_bias], rtol=1e-3)


def test_the_steepest_place_is_on_the_line_that_theory_says(x64):
    weights, biases = np.linspace(1.3, 1.7, 5), np.linspace(-0.3, 0.1, 401)
    found = wall(weights, biases)
    assert found.losses.shape == (401, 5)
    assert found.gradients.shape == (401, 5, 2)
    steepest = biases[np.argmax(np.abs(found.gradients[..., 1]), axis=0)]
    np.testing.assert_allclose(steepest, wall_bias(weights), atol=0.005)
    # It grows exponentially with the number of steps, and is no wall where a < 1.
    slopes = [
        np.linalg.norm(jax.grad(functools.partial(unit_loss, steps=steps))(jnp.array([1.5, wall_bias(1.5)])))
        for steps in (20, 30)
    ]
    np.testing.assert_allclose(slopes[1] / slopes[0], (1.5 * (1.0 - START**2)) ** 10, rtol=0.05)
    flat = wall(np.array([0.5]), biases)
    assert np.max(np.abs(flat.gradients)) < 2.0 * (1.0 + TARGET) / (1.0 - 0.5)


def test_on_its_two_sides_the_unit_ends_elsewhere(x64):
    weights = np.array([1.6])
    losses = wall(weights, wall_bias(1.6) + np.array([-0.02, 0.02])).losses[:, 0]
    assert losses[0] > 1.0
    assert losses[1] < 0.5


def test_a_capped_step_stays_near_where_a_free_one_is_thrown_off(x64):
    start = jnp.array([1.5, wall_bias(1.5) + 1e-6])
    free = descend(start, steps=3, learning_rate=0.05, cap=None)
    capped = descend(start, steps=3, learning_rate=0.05, cap=1.0)
    assert free.points.shape == (4, 2)
    assert free.losses.shape == (4,)
    moved = np.linalg.norm(np.diff(capped.points, axis=0), axis=1)
    assert np.all(moved <= 0.05 + 1e-12)
    assert np.max(np.linalg.norm(np.diff(free.points, axis=0), axis=1)) > 10.0
    assert np.linalg.norm(free.points[-1] - free.points[-2]) < 1e-6  # where it landed, the loss is flat
    assert_close(capped.losses, np.array([unit_loss(point) for point in capped.points]), np.float64)


VECTORS = arrays(np.float64, 5, elements=st.floats(-1e3, 1e3, width=32)).filter(lambda x: np.linalg.norm(x) > 1e-3)


@settings(deadline=None, derandomize=True, database=None, max_examples=30)
@given(VECTORS, st.floats(1e-3, 1e3))
def test_capping_the_norm_keeps_the_direction(gradient, cap):
    with jax.enable_x64(True):
        rule = optax.clip_by_global_norm(cap)
        capped, _ = rule.update({"a": jnp.array(gradient[:2]), "b": jnp.array(gradient[2:])}, rule.init({}))
    capped = np.concatenate([capped["a"], capped["b"]])
    cosine = capped @ gradient / (np.linalg.norm(capped) * np.linalg.norm(gradient))
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(capped), min(cap, np.linalg.norm(gradient)), rtol=1e-12)


def test_capping_each_value_does_not(x64):
    gradient = jnp.array([10.0, 1.0])
    rule = optax.clip(1.0)
    capped, _ = rule.update(gradient, rule.init(gradient))
    np.testing.assert_array_equal(capped, [1.0, 1.0])
    cosine = capped @ gradient / (np.linalg.norm(capped) * np.linalg.norm(gradient))
    np.testing.assert_allclose(cosine, 11.0 / np.sqrt(202.0))  # 0.77: turned by 39 degrees
