"""Every cell with every engine against the float64 loops: outputs, last states and all gradients."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    BASE,
    BATCH,
    CELLS,
    FEW,
    HIDDEN,
    PAIRS,
    SHORTER,
    STEPS,
    TURNED,
    VARIANTS,
    cast,
    lengths_and_resets,
    name,
    problem,
    run,
)
from oracles import advance, assert_close, gradients, initial_state, unroll

import seqmodels as sm

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.zeros((BATCH, STEPS), bool)
RESETS[0, [0, 3, 4]] = True
RESETS[1, [2, 4, 5]] = True  # 4 and 5 lie on the padding of that row
RESETS[2, 0] = True
RAGGED = {"lengths": LENGTHS, "resets": RESETS}


@functools.cache
def expected(cell, call):
    """The oracle's values and gradients; without a state where the call is plain, so that the cell's own is used."""
    given = problem(cell)
    state, options = (None, {}) if call == "plain" else (given.state, RAGGED)
    values = unroll(cell, given.params, given.xs, state, **options)
    return values, gradients(cell, given.params, given.xs, state, given.state_weights, given.ys_weights, **options)


def actual(cell, method, call, dtype):
    """The same from the library."""
    given = cast(problem(cell), dtype)
    if call == "plain":
        return run(cell, given._replace(state=None), method=method, reverse=False)
    return run(cell, given, **RAGGED, method=method, reverse=False)


CALLS = [
    *((cell, "scan", "ragged") for cell in CELLS),  # the other engines: drawn at random, below
    *((cell, method, "plain") for cell, method in SHORTER if cell in BASE + VARIANTS),
]


@pytest.mark.parametrize(("cell", "method", "call"), CALLS, ids=name)
def test_float64(cell, method, call, x64):
    values, slopes = actual(cell, method, call, np.float64)
    assert_close(values, expected(cell, call)[0], np.float64)
    assert_close(slopes, expected(cell, call)[1], np.float64)
    assert {leaf.dtype.name for leaf in jax.tree.leaves((values, slopes))} == {"float64"}


@pytest.mark.parametrize(("cell", "method"), SHORTER, ids=name)
def test_float32(cell, method):
    values, slopes = actual(cell, method, "plain", np.float32)
    assert_close(values, expected(cell, "plain")[0], np.float32)
    assert_close(slopes, expected(cell, "plain")[1], np.float32)


DIRECTED = [*((*pair, "forward") for pair in PAIRS), *((*pair, "reverse") for pair in TURNED)]
"""Backwards not for every pair: a sequence is turned round before an engine gets it."""


@pytest.mark.parametrize(("cell", "method", "direction"), DIRECTED, ids=name)
def test_any_lengths_and_resets(cell, method, direction):
    reverse = direction == "reverse"
    given = problem(cell)

    @FEW
    @hypothesis.given(lengths_and_resets())
    def holds(drawn):
        options = {"lengths": drawn[0], "resets": drawn[1], "reverse": reverse}
        with jax.enable_x64(True):
            values, slopes = run(cell, given, **options, method=method)
        assert_close(values, unroll(cell, given.params, given.xs, given.state, **options), np.float64)
        assert_close(slopes, gradients(cell, *given, **options), np.float64)

    holds()


@pytest.mark.parametrize(("cell", "method"), SHORTER, ids=name)
def test_bfloat16_keeps_its_states_in_float32(cell, method):
    given = problem(cell)
    params, state = cast((given.params, given.state), np.float32)
    actual = sm.unroll(cell, params, jnp.asarray(given.xs, jnp.bfloat16), state, lengths=LENGTHS, method=method)
    assert actual[1].dtype == jnp.bfloat16
    assert {leaf.dtype.name for leaf in jax.tree.leaves(actual[0])} == {"float32"}
    assert_close(actual, unroll(cell, given.params, given.xs, given.state, lengths=LENGTHS), jnp.bfloat16)


NARROW = [(cell, method) for cell, method in SHORTER if cell in [sm.LSTM(HIDDEN), sm.MinGRU(HIDDEN)]]


@pytest.mark.parametrize(("cell", "method"), NARROW, ids=name)
def test_bfloat16_gradients(cell, method):
    given = cast(problem(cell), np.float32)
    narrow = given._replace(xs=given.xs.astype(jnp.bfloat16), ys_weights=given.ys_weights.astype(jnp.bfloat16))
    _, slopes = run(cell, narrow._replace(state=None), method=method, reverse=False)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(slopes[0])} == {"float32"}
    assert slopes[1].dtype == jnp.bfloat16
    assert_close(slopes, expected(cell, "plain")[1], jnp.bfloat16)


@pytest.mark.parametrize("cell", sm.cells.CELLS.values(), ids=sm.cells.CELLS)
def test_every_cell_has_an_oracle(cell):
    for oracle in (advance, initial_state):
        assert cell in oracle.registry, f"tests/oracles.py has no {oracle.__name__} for {cell.__name__}: register one"


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_every_cell_has_an_engine(cell):
    assert "scan" in sm.engines.names_for(cell)
    assert set(sm.engines.names_for(cell)) <= set(sm.engines.ENGINES)
