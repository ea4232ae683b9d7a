"""Norms of dL/dsₜ: against Jacobians made one by one, and the laws of the linear network and of the memory."""

import functools

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.analysis.gradient_flow import gradient_norms, norm, state_gradients

CELLS = [*cases.BASE, sm.Stack([sm.GRU(cases.HIDDEN), sm.LearnedState(sm.RNN(6))])]


def brute_force(cell, given, loss):
    """The gradient for each state, by running the rest of the sequence from it with the outputs before it fixed."""
    states, outputs, state = [], [], given.state
    for t in range(cases.STEPS):
        states.append(state)
        state, y_t = cell.step(given.params, state, given.xs[:, t])
        outputs.append(y_t)

    def rest(state, t):
        ys = outputs[:t]
        for later in range(t, cases.STEPS):
            state, y_t = cell.step(given.params, state, given.xs[:, later])
            ys = [*ys, y_t]
        return loss(jnp.stack(ys, axis=1))

    return [jax.jacrev(functools.partial(rest, t=t))(state) for t, state in enumerate(states)]


@pytest.mark.parametrize("cell", CELLS, ids=cases.name)
def test_it_is_what_jacrev_gives_for_each_state(cell, x64):
    given = cases.problem(cell)

    def loss(ys):
        return jnp.sum(given.ys_weights * jnp.sin(ys))

    found = gradient_norms(cell, given.params, given.xs, loss, given.state)
    gradients = jax.jit(lambda: brute_force(cell, given, loss))()

    def norms(*leaves):
        return np.stack([np.sqrt(np.sum(np.square(leaf).reshape(cases.BATCH, -1), axis=1)) for leaf in leaves], axis=1)

    leaves = jax.tree.map(norms, *gradients)
    assert_close(found.leaves, leaves, np.float64)
    squares = [np.square(leaf) for leaf in jax.tree.leaves(leaves)]
    assert_close(found.total, np.sqrt(np.sum(squares, axis=0)), np.float64)


@pytest.mark.parametrize("rho", [0.01, 0.9, 1.0, 1.5])
def test_a_scaled_orthogonal_matrix_stretches_by_its_scale_at_every_step(rho, x64):
    cell, steps = sm.RNN(6), 40
    params = cell.init(jax.random.key(0), 2)._replace(b=np.zeros(6))
    params = params._replace(w_hh=rho * params.w_hh.astype(float))
    params = params._replace(w_hh=rho * np.linalg.qr(params.w_hh)[0])
    found = gradient_norms(cell, params, np.zeros((3, steps, 2)), lambda ys: ys[:, -1, 0].sum())
    assert_close(found.total, np.broadcast_to(rho ** np.arange(steps, 0, -1.0), (3, steps)), np.float64)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0, 5.0])
def test_along_the_memory_the_gradient_is_a_power_of_the_forget_gate(bias, x64):
    cell, steps = sm.LSTM(4), 60
    params = jax.tree.map(np.zeros_like, cell.init(jax.random.key(0), 2))
    params = params._replace(b=np.repeat([0.0, bias, 0.0, 0.0], 4), w_ih=np.zeros((2, 16)), w_hh=np.zeros((4, 16)))
    state = sm.LSTMState(h=np.zeros(4), c=np.full(4, 1e-300))  # so small that tanh is the identity
    found = gradient_norms(cell, params, np.zeros((steps, 2)), lambda ys: ys[-1, 0], state)
    forget = 1.0 / (1.0 + np.exp(-bias))
    assert_close(found.leaves.c, 0.5 * forget ** np.arange(steps, 0, -1.0), np.float64)  # h = o tanh c, o = ½
    assert not np.any(found.leaves.h)


def test_a_single_sequence_is_a_batch_of_one():
    cell = sm.LSTM(4)
    params = cell.init(jax.random.key(0), 3)
    xs = jax.random.normal(jax.random.key(1), (2, 9, 3))
    both = gradient_norms(cell, params, xs, lambda ys: jnp.sum(jnp.square(ys)))
    one = gradient_norms(cell, params, xs[1], lambda ys: jnp.sum(jnp.square(ys)))
    assert one.total.shape == (9,)
    assert_close(one, jax.tree.map(lambda x: x[1], both), np.float32)


def test_any_body_of_a_scan_will_do():
    def step(state, x_t):
        return 0.5 * state + x_t, 3.0 * state

    gradients = state_gradients(step, jnp.float32(1.0), jnp.zeros(4, jnp.float32), lambda ys: ys[-1])
    np.testing.assert_array_equal(gradients, [3 / 8, 3 / 4, 3 / 2, 3.0])


def test_small_norms_do_not_vanish_in_their_squares():
    x = jnp.array([[3e-30, 4e-30], [0.0, 0.0]], jnp.float32)
    assert_close(norm(x, 1), np.array([5e-30, 0.0]), np.float32)
