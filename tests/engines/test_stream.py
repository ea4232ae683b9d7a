"""Streaming: step by step, in chunks and both are `unroll`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, HIDDEN, INPUTS, STEPPED, cast, name, problem
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.models import LanguageModel, SequenceModel


@pytest.mark.parametrize("cell", STEPPED, ids=name)
def test_steps_and_chunks_are_the_whole(cell):
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs, given.state)
    stream = sm.Stream(cell, given.params, batch_shape=(BATCH,), state=given.state)
    pieces = [
        stream.step(given.xs[:, 0])[:, None],
        stream.chunk(given.xs[:, 1:4]),
        *(stream.step(given.xs[:, t])[:, None] for t in (4, 5)),
        stream.chunk(given.xs[:, 6:]),
    ]
    assert_close(np.concatenate(pieces, axis=1), ys, np.float32)
    assert_close(stream.state, state, np.float32)


def test_one_row_without_a_batch():
    cell = sm.Stack([sm.GRU(HIDDEN), sm.LSTM(HIDDEN)])
    params, xs = cell.init(jax.random.key(0), INPUTS), np.asarray(problem(cell).xs[0], np.float32)
    stream = sm.Stream(cell, params)
    ys = np.stack([stream.step(x) for x in xs])
    assert_close(ys, sm.unroll(cell, params, xs)[1], np.float32)


def test_a_model_of_symbols():
    model = LanguageModel(vocabulary_size=11, embedding_size=6, cell=sm.LSTM(HIDDEN))
    params = model.init(jax.random.key(0))
    ids = np.random.default_rng(0).integers(0, 11, (BATCH, 6))
    stream = sm.Stream(model, params, batch_shape=(BATCH,))
    scores = [stream.step(ids[:, 0])[:, None], stream.chunk(ids[:, 1:5]), stream.step(ids[:, 5])[:, None]]
    assert_close(np.concatenate(scores, axis=1), model.apply(params, ids)[1], np.float32)


def test_a_model_of_vectors():
    model = SequenceModel(INPUTS, sm.LSTM(HIDDEN), output_size=2)
    params, xs = model.init(jax.random.key(0)), np.asarray(problem(model.cell).xs, np.float32)
    stream = sm.Stream(model, params, batch_shape=(BATCH,))
    ys = [stream.step(xs[:, 0])[:, None], stream.chunk(xs[:, 1:])]
    assert_close(np.concatenate(ys, axis=1), model.apply(params, xs)[1], np.float32)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float64])
def test_a_state_of_another_type_is_gone_on_from(dtype, x64):
    cell = sm.GRU(HIDDEN)
    given = cast(problem(cell), np.float32)
    stream = sm.Stream(cell, given.params, batch_shape=(BATCH,))
    stream.step(given.xs[:, 0])
    stream.load(jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), given.state))
    assert stream.state.h.dtype == np.promote_types(dtype, np.float32)
    expected = sm.unroll(
        cell, given.params, given.xs[:, :1], jax.tree.map(lambda x: jnp.asarray(x, dtype), given.state)
    )
    assert_close(stream.step(given.xs[:, 0]), expected[1][:, 0], np.float32)


def test_a_step_is_compiled_once(monkeypatch):
    cell, traces = sm.LSTM(HIDDEN), []
    gates = sm.LSTM.gates

    def counted(*args):
        traces.append(1)
        return gates(*args)

    monkeypatch.setattr(sm.LSTM, "gates", counted)
    stream = sm.Stream(cell, cell.init(jax.random.key(0), INPUTS), batch_shape=(2,))
    stream.step(jnp.ones((2, INPUTS)))
    stream.chunk(jnp.ones((2, 3, INPUTS)))
    assert traces
    traces.clear()
    for _ in range(3):
        stream.step(jnp.ones((2, INPUTS)))
        stream.chunk(jnp.ones((2, 3, INPUTS)))
    assert not traces
    stream.chunk(jnp.ones((2, 4, INPUTS)))
    assert traces


def test_the_buffers_of_the_state_are_handed_on():
    cell = sm.LSTM(HIDDEN)
    stream = sm.Stream(cell, cell.init(jax.random.key(0), INPUTS), batch_shape=(2,))
    for read, x in ((stream.step, jnp.ones((2, INPUTS))), (stream.chunk, jnp.ones((2, 3, INPUTS)))):
        before = stream._state
        read(x)
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float64])
@pytest.mark.parametrize("cell", [sm.LSTM(HIDDEN), sm.Stack([sm.GRU(HIDDEN), sm.MinGRU(HIDDEN)])], ids=name)
def test_types_are_those_of_unroll(cell, dtype, x64):
    """Float32 parameters, and inputs of another type: in steps alone, chunks alone, and in turns."""
    given = problem(cell)
    params, xs = cast(given.params, np.float32), jnp.asarray(given.xs, dtype)
    state, ys = sm.unroll(cell, params, xs)
    for cuts in (1, 1, 3), (3, 1):
        stream, start, pieces = sm.Stream(cell, params, batch_shape=(BATCH,)), 0, []
        for steps in cuts:
            x = xs[:, start : start + steps]
            pieces.append(stream.step(x[:, 0])[:, None] if steps == 1 else stream.chunk(x))
            start += steps
        assert_close(jnp.concatenate(pieces, axis=1), ys[:, :start], dtype)
        assert jax.tree.map(lambda leaf: leaf.dtype, stream.state) == jax.tree.map(lambda leaf: leaf.dtype, state)
        stream.reset([True, False, True])
        stream.step(xs[:, 0])


def row(state, number):
    return jax.tree.map(lambda leaf: leaf[number], state)


def test_reset_forgets_all_rows_or_some():
    cell = sm.LearnedState(sm.LSTM(HIDDEN))
    given = cast(problem(cell), np.float32)
    stream = sm.Stream(cell, given.params, batch_shape=(BATCH,))
    fresh = stream.state
    first = stream.step(given.xs[:, 0])
    after = stream.state
    stream.reset([True, False, True])
    assert_equal(row(stream.state, 0), row(fresh, 0))
    assert_equal(row(stream.state, 1), row(after, 1))
    assert_equal(row(stream.state, 2), row(fresh, 2))
    stream.reset()
    assert_equal(stream.step(given.xs[:, 0]), first)


def test_a_state_outlives_the_steps_after_it():
    cell = sm.LSTM(HIDDEN)
    given = cast(problem(cell), np.float32)
    stream = sm.Stream(cell, given.params, batch_shape=(BATCH,))
    stream.step(given.xs[:, 0])
    saved = stream.state
    expected = stream.step(given.xs[:, 1])
    stream.load(saved)
    assert_equal(stream.step(given.xs[:, 1]), expected)
    assert_equal(sm.Stream(cell, given.params, batch_shape=(BATCH,), state=saved).step(given.xs[:, 1]), expected)


def test_what_it_refuses():
    cell = sm.LSTM(HIDDEN)
    params = cell.init(jax.random.key(0), INPUTS)
    with pytest.raises(TypeError, match="Bidirectional has no step"):
        sm.Stream(sm.Bidirectional(cell, cell), None)
    with pytest.raises(TypeError, match="Bidirectional has no step"):
        sm.Stream(SequenceModel(INPUTS, sm.Stack([cell, sm.Bidirectional(cell, cell)]), output_size=2), None)
    stream = sm.Stream(cell, params, batch_shape=(2,))
    with pytest.raises(ValueError, match=r"must be \[2, features\] \(got \[3, 5\]\)"):
        stream.step(jnp.ones((3, INPUTS)))
    with pytest.raises(ValueError, match=r"must be \[2, time, features\]"):
        stream.chunk(jnp.ones((2, INPUTS)))
    with pytest.raises(ValueError, match=r"rows must be bool\[2\]"):
        stream.reset([1, 0])
    with pytest.raises(ValueError, match="the state must have the shapes"):
        stream.load(cell.initial_state(params, (3,)))
    with pytest.raises(AssertionError, match="the state must be of a float type"):
        stream.load(jax.tree.map(lambda leaf: leaf.astype(int), stream.state))
