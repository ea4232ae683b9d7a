"""LearnedState: an initial state that is a parameter."""

import jax
import jax.numpy as jnp
import numpy as np
from cases import BATCH, HIDDEN, INPUTS, STEPS, cast, problem
from oracles import assert_close, assert_equal

import seqmodels as sm

CELL = sm.LearnedState(sm.LSTM(HIDDEN))


def test_it_begins_as_the_inner_cell():
    params = CELL.init(jax.random.key(0), INPUTS)
    inner = CELL.cell.init(jax.random.key(0), INPUTS)
    assert_equal(params, sm.cells.LearnedStateParams(cell=inner, state=CELL.cell.initial_state(inner)))
    assert not any(np.any(leaf) for leaf in params.state)


def test_every_row_begins_with_it_unless_a_state_is_given():
    params, xs, state, *_ = cast(problem(CELL), np.float32)
    rows = jax.tree.map(lambda leaf: np.stack([leaf] * BATCH), params.state)
    assert_equal(CELL.initial_state(params, (BATCH,)), rows)
    assert_close(sm.unroll(CELL, params, xs), sm.unroll(CELL.cell, params.cell, xs, rows), np.float32)
    assert_equal(sm.unroll(CELL, params, xs, state), sm.unroll(CELL.cell, params.cell, xs, state))


def test_its_gradient_counts_every_start():
    # With no input, no weights and b = 0 an LSTM halves c at each step: σ(0) = 1/2. Without a step between start and
    # end the slope of c is 1, after k steps 2⁻ᵏ.
    zeros = jax.tree.map(jnp.zeros_like, CELL.init(jax.random.key(0), INPUTS))
    resets = jnp.array([[True, False, False, True, False, False, False], [False] * STEPS, [False] * STEPS])
    lengths = jnp.array([STEPS, 2, 0])

    def total(state):
        params = zeros._replace(state=state)
        start = CELL.initial_state(params, (BATCH,))
        last, _ = sm.unroll(CELL, params, jnp.zeros((BATCH, STEPS, INPUTS)), start, lengths=lengths, resets=resets)
        return jnp.sum(last.c)

    # Row 0 starts last at step 3, so 4 steps; row 1 takes 2; row 2 none.
    slopes = jax.grad(total)(zeros.state)
    assert_close(slopes.c, np.full(HIDDEN, 1 / 16 + 1 / 4 + 1), np.float32)
    assert not np.any(slopes.h)
