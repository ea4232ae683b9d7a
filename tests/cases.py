"""The cells that the contract is tested on, and one problem for each: parameters, inputs, state, cotangents."""

import dataclasses
import functools
from typing import Any, NamedTuple

import hypothesis
import jax
import numpy as np
from hypothesis import strategies

import seqmodels as sm

BATCH, STEPS, INPUTS, HIDDEN = 3, 7, 5, 8

BASE = [cls(hidden_size=HIDDEN) for cls in sm.cells.CELLS.values()]
"""Every cell of `seqmodels.cells`: a new one is tested by being there."""

VARIANTS = [
    sm.RNN(HIDDEN, activation="relu"),
    sm.LSTM(HIDDEN, peepholes=True),
    sm.LSTM(HIDDEN, coupled=True, peepholes=True),
    sm.IndRNN(HIDDEN, activation="tanh"),
    sm.SLSTM(HIDDEN, heads=2, forget_gate="exp"),
]
NOISY = [
    sm.Zoneout(sm.LSTM(HIDDEN), rate=(0.1, 0.5)),
    sm.VariationalDropout(sm.LearnedState(sm.GRU(HIDDEN)), rate=0.2, recurrent_rate=0.5),
    sm.LearnedState(sm.Zoneout(sm.WeightDrop(sm.VariationalDropout(sm.LSTM(HIDDEN, peepholes=True))), rate=0.2)),
    sm.Residual(sm.Zoneout(sm.GRU(INPUTS), rate=0.4)),
    sm.Stack((sm.Zoneout(sm.LSTM(HIDDEN)), sm.Residual(sm.WeightDrop(sm.RNN(HIDDEN)))), dropout=0.3),
    sm.Bidirectional(sm.VariationalDropout(sm.LSTM(HIDDEN)), sm.Zoneout(sm.GRU(6))),
]
"""Cells that draw noise when they are given a key."""

QUIET = [
    sm.LearnedState(sm.LSTM(HIDDEN, coupled=True)),
    sm.Stack([sm.GRU(HIDDEN), sm.LearnedState(sm.RNN(6))]),
    sm.Bidirectional(sm.LSTM(HIDDEN), sm.GRU(6)),
    sm.Bidirectional(sm.GRU(6), sm.GRU(6)),
    sm.Stack([sm.MinGRU(HIDDEN), sm.MinGRU(6)]),
    sm.Bidirectional(sm.Stack((sm.LearnedState(sm.GRU(HIDDEN)), sm.RNN(6))), sm.LearnedState(sm.RNN(HIDDEN))),
]
CELLS = [*BASE, *VARIANTS, *NOISY, *QUIET]
STEPPED = [cell for cell in CELLS if not isinstance(cell, sm.Bidirectional)]
"""Cells that have a `step`."""

PAIRS = [(cell, method) for cell in CELLS for method in sm.engines.names_for(cell)]
"""Every cell with every engine that can run it."""

SHORTER = [(cell, method) for cell, method in PAIRS if method != "newton" or cell in [sm.GRU(HIDDEN), sm.LSTM(HIDDEN)]]
"""The same without most of those with "newton", whose programs take seconds to compile: for what is tested beside."""

_NESTED = [cell for cell in CELLS if isinstance(cell, sm.LearnedState | sm.Bidirectional)]
TURNED = [(cell, method) for cell, method in SHORTER if cell in [sm.LSTM(HIDDEN), sm.MinGRU(HIDDEN), *_NESTED]]
"""Plain and nested cells with every engine."""

RELATED = [pair for pair in SHORTER if pair[1] == "scan" or pair in TURNED]
"""Every cell with the reference, and those with the other engines: these agree with it anyway."""

FEW_CELLS = [
    sm.LSTM(HIDDEN),
    sm.Zoneout(sm.LSTM(HIDDEN), rate=(0.1, 0.5)),
    sm.Stack([sm.GRU(HIDDEN), sm.LearnedState(sm.RNN(6))]),
    sm.Bidirectional(sm.LSTM(HIDDEN), sm.GRU(6)),
]
"""One of each kind, for what has little to do with the cell."""

FEW_PAIRS = [(cell, method) for cell, method in SHORTER if cell in FEW_CELLS]
FEW_PAIRS.append((sm.MinGRU(HIDDEN), "associative"))


def name(value: Any) -> str | None:
    """A test id: the cell as it prints, without what it has by default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(str, map(name, value)))})"
    if not hasattr(value, "output_size"):
        return str(value) if isinstance(value, str | float | int) else None
    fields = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    required = {"hidden_size", "cell", "cells", "fwd", "bwd"}
    texts = [("" if f.name in required else f"{f.name}=") + str(name(getattr(value, f.name))) for f in fields]
    return f"{type(value).__name__}({', '.join(texts)})"


class Problem(NamedTuple):
    """What a cell is run on, and the weights of the outputs and last states in the objective."""

    params: Any
    xs: Any
    state: Any
    state_weights: Any
    ys_weights: Any


@functools.cache
def problem(cell: Any, seed: int = 0) -> Problem:
    """A problem in float64, [BATCH, STEPS, INPUTS], with every array random: biases, peepholes, learned states too."""
    random = np.random.default_rng(seed)

    def draw(shape: Any) -> np.ndarray:
        return random.uniform(-0.6, 0.6, shape.shape)

    def weigh(shape: Any) -> np.ndarray:
        return random.normal(size=shape.shape)

    params = jax.eval_shape(lambda key: cell.init(key, INPUTS), jax.random.key(0))
    state = jax.eval_shape(lambda p: cell.initial_state(p, (BATCH,)), params)
    return Problem(
        params=jax.tree.map(draw, params),
        xs=random.normal(size=(BATCH, STEPS, INPUTS)),
        state=jax.tree.map(draw, state),
        state_weights=jax.tree.map(weigh, state),
        ys_weights=random.normal(size=(BATCH, STEPS, cell.output_size)),
    )


def cast(tree: Any, dtype: Any) -> Any:
    """A copy of a tree of arrays in another type."""
    return jax.tree.map(lambda x: np.asarray(x, dtype), tree)


def run(
    cell: Any, given: Problem, lengths: Any = None, resets: Any = None, key: Any = None, *, method: Any, reverse: bool
) -> tuple[Any, Any]:
    """`(state, ys)` of `unroll` and the gradients for `(params, xs, state)`; compiled once for each kind of call."""
    # All by position: JAX compiles anew for an argument that comes by its name and came by position before.
    return _run(cell, method, reverse, given, lengths, resets, key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _run(cell: Any, method: Any, reverse: bool, given: Problem, lengths: Any, resets: Any, key: Any) -> tuple[Any, Any]:
    def unroll(params: Any, xs: Any, state: Any) -> Any:
        return sm.unroll(
            cell, params, xs, state, lengths=lengths, resets=resets, reverse=reverse, method=method, key=key
        )

    values, pullback = jax.vjp(unroll, given.params, given.xs, given.state)
    return values, pullback((given.state_weights, given.ys_weights))


FEW = hypothesis.settings(max_examples=6, deadline=None, derandomize=True, database=None)


def lengths_and_resets() -> Any:
    """Draws `(lengths [BATCH], resets [BATCH, STEPS])`: any length from 0 to STEPS, about one start in four steps."""
    lengths = strategies.lists(strategies.integers(0, STEPS), min_size=BATCH, max_size=BATCH)
    starts = strategies.lists(
        strategies.sampled_from([True, False, False, False]), min_size=BATCH * STEPS, max_size=BATCH * STEPS
    )
    return strategies.tuples(lengths.map(np.array), starts.map(lambda values: np.array(values).reshape(BATCH, STEPS)))
