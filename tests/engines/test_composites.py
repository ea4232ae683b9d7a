"""Stacks and directions: parts run one by one give the same numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, HIDDEN, INPUTS, STEPS, cast, problem
from oracles import assert_close, assert_equal

import seqmodels as sm

LENGTHS = np.array([STEPS, 3, 0])
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2
DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
STACK = sm.Stack((sm.LSTM(HIDDEN), sm.GRU(6)))


@DIRECTIONS
def test_a_stack_is_its_layers_one_after_another(reverse):
    params, xs, state, *_ = cast(problem(STACK), np.float32)
    options = {"lengths": LENGTHS, "resets": RESETS, "reverse": reverse}
    first, middle = sm.unroll(STACK.cells[0], params[0], xs, state[0], **options)
    second, ys = sm.unroll(STACK.cells[1], params[1], middle, state[1], **options)
    assert_close(sm.unroll(STACK, params, xs, state, **options), ((first, second), ys), np.float32)


def test_a_stack_steps_as_it_unrolls():
    params, xs, state, *_ = cast(problem(STACK), np.float32)
    step, ys = jax.jit(functools.partial(STACK.step, params)), []
    expected = sm.unroll(STACK, params, xs, state)
    for t in range(STEPS):
        state, y_t = step(state, xs[:, t])
        ys.append(y_t)
    assert_close((state, jnp.stack(ys, axis=1)), expected, np.float32)


def test_a_stack_of_stacks_is_a_stack():
    nested = sm.Stack((sm.Stack(STACK.cells), sm.RNN(4)))
    params, xs, state, *_ = cast(problem(nested), np.float32)
    flat = sm.Stack((*STACK.cells, sm.RNN(4)))
    (flat_state, flat_ys) = sm.unroll(flat, (*params[0], params[1]), xs, (*state[0], state[1]))
    assert_close(sm.unroll(nested, params, xs, state), ((flat_state[:2], flat_state[2]), flat_ys), np.float32)


def test_layers_are_drawn_apart_and_fit_each_other():
    lower, upper = sm.Stack((sm.GRU(INPUTS), sm.GRU(INPUTS))).init(jax.random.key(0), INPUTS)
    assert np.all(lower.w_ih != upper.w_ih)
    lower, upper = STACK.init(jax.random.key(0), INPUTS)
    assert lower.w_ih.shape == (INPUTS, 4 * HIDDEN)
    assert upper.w_ih.shape == (HIDDEN, 3 * 6)


def masks(variational, key):
    """What a stack drops: both layers pass their inputs on (W_ih = 1, W_hh = 0), the inputs are 1."""
    size, identity = 30, sm.RNN(30, activation="relu")
    params = sm.RNNParams(
        np.eye(size, dtype=np.float32), np.zeros((size, size), np.float32), np.zeros(size, np.float32)
    )
    stack = sm.Stack((identity, identity), dropout=0.25, variational=variational)
    return np.asarray(sm.unroll(stack, (params, params), np.ones((20, 10, size), np.float32), key=key)[1])


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_between_layers(variational):
    ys = masks(variational, jax.random.key(0))
    assert_close(ys[ys != 0], np.full(np.sum(ys != 0), 4 / 3), np.float32)
    distinct = ys[:, 0] if variational else ys
    assert abs((distinct == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / distinct.size)
    same = (ys[:, 1:] == ys[:, :-1]).mean()
    # Two independent masks agree where both drop or both keep: 1/16 + 9/16.
    assert same == 1.0 if variational else abs(same - 10 / 16) < 0.03
    assert len(np.unique(ys[:, 0], axis=0)) == 20


def test_neither_the_inputs_nor_the_outputs_of_a_stack_are_dropped():
    one = sm.Stack((sm.GRU(HIDDEN),), dropout=0.9)
    params, xs, state, *_ = cast(problem(one), np.float32)
    assert_equal(sm.unroll(one, params, xs, state, key=jax.random.key(0)), sm.unroll(one, params, xs, state))
    two = sm.Stack(STACK.cells, dropout=0.9)
    params, xs, state, *_ = cast(problem(two), np.float32)
    (first, _), ys = sm.unroll(two, params, xs, state, key=jax.random.key(0))
    assert_equal(first, sm.unroll(two, params, xs, state)[0][0])
    assert np.all(ys != 0)


def test_an_empty_stack_is_refused():
    with pytest.raises(ValueError, match="at least one cell"):
        sm.Stack(())


@DIRECTIONS
def test_two_directions_are_two_runs_side_by_side(reverse):
    layer = sm.Bidirectional(sm.LSTM(HIDDEN), sm.GRU(6))
    params, xs, state, *_ = cast(problem(layer), np.float32)
    run = functools.partial(sm.unroll, xs=xs, lengths=LENGTHS, resets=RESETS)
    fwd, ys_fwd = run(layer.fwd, params.fwd, state=state[0], reverse=reverse)
    bwd, ys_bwd = run(layer.bwd, params.bwd, state=state[1], reverse=not reverse)
    actual = run(layer, params, state=state, reverse=reverse)
    assert_close(actual, ((fwd, bwd), np.concatenate([ys_fwd, ys_bwd], axis=-1)), np.float32)
    assert layer.output_size == HIDDEN + 6


def test_a_stack_of_layers_of_two_directions():
    layer = sm.Bidirectional(sm.LSTM(4), sm.LSTM(4))
    stack = sm.Stack((layer, sm.Bidirectional(sm.GRU(3), sm.GRU(3))))
    params, xs, state, *_ = cast(problem(stack), np.float32)
    first, middle = sm.unroll(layer, params[0], xs, state[0], lengths=LENGTHS)
    second, ys = sm.unroll(stack.cells[1], params[1], middle, state[1], lengths=LENGTHS)
    assert_close(sm.unroll(stack, params, xs, state, lengths=LENGTHS), ((first, second), ys), np.float32)


@pytest.mark.parametrize(("other", "loops"), [(sm.GRU(4), 1), (sm.GRU(3), 2)], ids=["equal", "different"])
def test_two_directions_of_equal_cells_are_one_loop(other, loops):
    layer = sm.Bidirectional(sm.GRU(4), other)
    params = layer.init(jax.random.key(0), 3)
    compiled = jax.jit(lambda xs: sm.unroll(layer, params, xs)[1]).lower(jnp.ones((2, 9, 3))).compile()
    assert compiled.as_text().count(" while(") == loops
