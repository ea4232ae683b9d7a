"""What the engine "chunked" has beyond the contract of all engines: any chunk, and what is left after the last."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, INPUTS, STEPS, cast, name, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.engines import Chunked, spans
from seqmodels.engines.chunked import _near_root, _usual_size
from seqmodels.engines.engine import Inputs

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(3 * STEPS).reshape(3, STEPS) % 5 == 2


@pytest.mark.parametrize("chunk", [None, 1, 2, STEPS - 1, STEPS, 100])
def test_any_chunk_gives_the_same(chunk, x64):
    cell = sm.LearnedState(sm.LSTM(HIDDEN))
    given = problem(cell)
    expected = run(cell, given, LENGTHS, RESETS, method="scan", reverse=False)
    assert_close(run(cell, given, LENGTHS, RESETS, method=Chunked(chunk), reverse=False), expected, np.float64)


@pytest.mark.parametrize(
    "cell",
    [sm.LearnedState(sm.LSTM(INPUTS)), sm.Zoneout(sm.GRU(INPUTS), rate=0.3), sm.MinGRU(INPUTS)],
    ids=name,
)
def test_gradients_of_inputs_may_take_the_place_of_those_of_outputs(cell, x64):
    """They do where both are of one shape."""
    given, key = problem(cell), jax.random.key(2)
    expected = run(cell, given, LENGTHS, RESETS, key, method="scan", reverse=True)
    assert_close(run(cell, given, LENGTHS, RESETS, key, method=Chunked(2), reverse=True), expected, np.float64)


def test_gradients_of_all_states_come_beside_those_of_outputs(x64):
    """Where these share an array with those of inputs."""
    cell = sm.LSTM(INPUTS)
    given = problem(cell)

    def slopes(method):
        def loss(params, xs):
            states = sm.trajectory(cell, params, xs, method=method)
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(states))

        return jax.grad(loss, argnums=(0, 1))(given.params, jnp.asarray(given.xs))

    assert_close(slopes(Chunked(3)), slopes("scan"), np.float64)


def test_memory_holds_neither_gradient_beside_the_inputs():
    cell = sm.LSTM(16)
    params = jax.eval_shape(lambda key: cell.init(key, 16), jax.random.key(0))
    xs = jax.ShapeDtypeStruct((2, 4096, 16), np.float32)

    def loss(params, xs):
        return jnp.sum(jnp.square(sm.unroll(cell, params, xs, method=Chunked(64))[1]))

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 0.5 * xs.size * xs.dtype.itemsize


@pytest.mark.parametrize(
    ("steps", "rows", "chunk"),
    [(16384, 8, 512), (4096, 8, 512), (2048, 8, 256), (1024, 8, 32), (16384, 1, 2048), (16383, 8, 127)],
)
def test_a_chunk_takes_spans_where_they_are_worth_it(steps, rows, chunk, monkeypatch):
    """And where it is still short."""
    monkeypatch.setattr(spans, "cores", lambda: 2)
    cell = sm.LSTM(256)
    params = jax.eval_shape(lambda key: cell.init(key, 256), jax.random.key(0))
    state = jax.eval_shape(lambda params: cell.initial_state(params, (rows,)), params)
    xs = jax.ShapeDtypeStruct((steps, rows, 256), np.float32)
    found = []

    def size(params, xs, state):
        inputs = Inputs(xs, state, None, None, None, None)
        found.append(_usual_size(cell, params, inputs, lambda state: None))

    jax.eval_shape(size, params, xs, state)
    assert found == [chunk]


def test_a_chunk_has_steps():
    with pytest.raises(ValueError, match="at least 1 step"):
        Chunked(chunk=0)


@pytest.mark.parametrize(("steps", "size"), [(1, 1), (7, 2), (100, 10), (1000, 25), (16384, 128)])
def test_chunks_divide_the_steps_where_they_can(steps, size):
    assert _near_root(steps) == size


def test_no_steps_at_all():
    cell = sm.LSTM(HIDDEN)
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs[:, :0], given.state, method="chunked")
    assert_equal(state, given.state)
    assert ys.shape == (3, 0, HIDDEN)
