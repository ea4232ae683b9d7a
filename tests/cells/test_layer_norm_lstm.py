"""The LSTM with layer normalisation: one and two units by hand, scales that do not matter, and what is all equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, INPUTS, STEPS, problem
from oracles import assert_close, assert_equal

import seqmodels as sm

LN2, LN3 = np.log([2.0, 3.0])
# σ(ln k) = k / (k + 1) and tanh(ln k) = (k² - 1) / (k² + 1): σ(0) = 1/2, σ(ln 2) = 2/3, σ(ln 3) = 3/4,
# tanh(ln 2) = 3/5, tanh(ln 3) = 4/5.


def test_two_steps_of_one_unit_by_hand(x64):
    # ε = 3/4. A row (½, -½, ½, -½) has mean 0 and variance ¼, and ¼ + ε = 1: LN leaves it as it is.
    # Step 1, x = 1: α_x makes of it (ln 3, ln 2, ln 2, 0); LN(0) = 0. i = 3/4, f = 2/3, g = 3/5, o = σ(b) = 2/3.
    #   c = 2/3 · 9/10 + 3/4 · 3/5 = 21/20. One unit is its own mean: LN(c) = 0, h = 2/3 · tanh(ln 2) = 2/5.
    # Step 2, x = 0: h W_hh = (3/2, 1/2, 3/2, 1/2) has mean 1 and is the same row once that is taken away; α_h makes
    #   of it (0, ln 3, 0, ln 2 - ln 2): i = 1/2, f = 3/4, g = 0, o = 2/3 as ever. c = 63/80, h = 2/5.
    params = sm.LayerNormLSTMParams(
        w_ih=np.array([[0.5, -0.5, 0.5, -0.5]]),
        w_hh=np.array([[1.5, 0.5, 1.5, 0.5]]) / 0.4,
        b=np.array([0.0, 0.0, 0.0, LN2]),
        scale_ih=np.array([2 * LN3, -2 * LN2, 2 * LN2, 0.0]),
        scale_hh=np.array([0.0, -2 * LN3, 0.0, 0.0]),
        scale_c=np.array([5.0]),
        shift_c=np.array([LN2]),
    )
    cell = sm.LayerNormLSTM(1, epsilon=0.75)
    start = sm.LayerNormLSTMState(h=np.zeros(1), c=np.array([0.9]))
    states = sm.trajectory(cell, params, np.array([[1.0], [0.0]]), start)
    assert_close(states.c[:, 0], np.array([21 / 20, 63 / 80]), np.float64)
    assert_close(states.h[:, 0], np.array([2 / 5, 2 / 5]), np.float64)


def test_the_memory_is_normalised_where_it_is_read_alone(x64):
    # All weights and b are 0: i = f = o = 1/2, g = 0. c = (3, 1) / 2 has the mean 1 and the variance ¼, with ε = 3/4:
    # LN(c) = (½, -½), α_c ⊙ LN(c) + β_c = (ln 2, -ln 3 + 2 ln 3) and h = ½ (3/5, 4/5).
    params = sm.LayerNormLSTMParams(
        *(np.zeros(shape) for shape in ((1, 8), (2, 8), 8)),
        *(np.ones(8), np.ones(8), np.array([2 * LN2, 2 * LN3]), np.array([0.0, 2 * LN3])),
    )
    start = sm.LayerNormLSTMState(h=np.zeros(2), c=np.array([3.0, 1.0]))
    state, ys = sm.unroll(sm.LayerNormLSTM(2, epsilon=0.75), params, np.zeros((1, 1)), start)
    assert_close(state, sm.LayerNormLSTMState(h=np.array([0.3, 0.4]), c=np.array([1.5, 0.5])), np.float64)
    assert_close(ys[0], state.h, np.float64)


def test_weights_and_inputs_of_another_size_change_nothing(x64):
    cell = sm.LayerNormLSTM(HIDDEN, epsilon=1e-30)
    given = problem(cell)
    w_ih, w_hh, *rest = given.params
    other = sm.LayerNormLSTMParams(w_ih * 7.0, w_hh * 0.01, *rest)
    expected = sm.unroll(cell, given.params, given.xs, given.state)
    assert_close(sm.unroll(cell, other, given.xs * 100.0, given.state), expected, np.float64)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("method", ["scan", "fused"])
def test_what_is_all_equal_has_finite_gradients(method, dtype):
    cell = sm.LayerNormLSTM(HIDDEN)
    params = cell.init(jax.random.key(0), INPUTS)
    params = params._replace(b=jnp.zeros_like(params.b))

    def loss(params, xs, state):
        state, ys = sm.unroll(cell, params, xs, state, method=method)
        return sum(jnp.sum(leaf).astype(jnp.float32) for leaf in (ys, *state))

    values, slopes = jax.value_and_grad(loss, argnums=(0, 1, 2))(
        params, jnp.zeros((3, STEPS, INPUTS), dtype), cell.initial_state(params, (3,))
    )
    assert values == 0.0  # nothing goes in, and no bias: nothing comes out
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert np.any(slopes[1])


def test_scales_begin_at_1_and_the_rest_at_0():
    params = sm.LayerNormLSTM(48, forget_bias=1.5).init(jax.random.key(1), 32)
    for block in np.split(np.asarray(params.w_hh), 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(48), atol=1e-5)
    bound = np.sqrt(6 / (32 + 48))
    assert 0.98 * bound < np.abs(params.w_ih).max() <= bound
    ones, zeros = np.ones(48), np.zeros(48)
    assert_equal(params.b, np.repeat([0.0, 1.5, 0.0, 0.0], 48))
    assert_equal(params[3:], (np.tile(ones, 4), np.tile(ones, 4), ones, zeros))


def test_the_forget_bias_is_1_by_default():
    assert_equal(sm.LayerNormLSTM(8).init(jax.random.key(0), 5).b, np.repeat([0.0, 1.0, 0.0, 0.0], 8))


def test_it_says_that_its_units_are_mixed():
    assert sm.LayerNormLSTM(8).mixes_units
    assert sm.Zoneout(sm.LayerNormLSTM(8)).mixes_units
    assert not sm.LSTM(8).mixes_units


@pytest.mark.parametrize("epsilon", [0.0, -1e-5, float("nan")])
def test_an_epsilon_of_0_or_below_is_refused(epsilon):
    with pytest.raises(ValueError, match=f"epsilon.*{epsilon}"):
        sm.LayerNormLSTM(8, epsilon=epsilon)
