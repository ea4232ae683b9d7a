"""Engines that do all time steps at once against those that go step by step: where they win, and where they fail."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqmodels.benchmarks.report import table
from seqmodels.benchmarks.timing import measure
from seqmodels.cells import GRU, LRU, LSTM, RNN, IndRNN, MinGRU
from seqmodels.cells.base import Array, PyTree
from seqmodels.data.corpora import CORPORA
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.engines import Newton, unroll
from seqmodels.engines.newton import solve
from seqmodels.models import LanguageModel

LINEAR = ((MinGRU, LRU), ("scan", "associative"), ((1, 16), (1, 128), (16, 128)), (64, 512, 4096))
"""Cells, engines (the first one step by step), (B, H) and T."""

NEWTON = {"newton": Newton(), "newton, diagonal": Newton(jacobian="diagonal", turns=100)}
NONLINEAR = ((RNN, GRU, LSTM, IndRNN), ("fused", *NEWTON), ((1, 4), (1, 16), (8, 16)), (256, 4096))

TRAINED = (0, 100, 1000)
"""Steps of training after which Newton's method is tried on a language model's LSTM."""


class Point(NamedTuple):
    """A forward and backward pass of one cell with one engine at one size.

    Attributes:
      turns: of Newton's method; None for the other engines.
      converged: whether it did.
      times_faster: than the engine that goes step by step, round by round.
    """

    cell: str
    B: int
    H: int
    T: int
    engine: str
    median_s: float
    times_faster: float
    turns: int | None
    converged: bool | None


class Trial(NamedTuple):
    """Newton's method on the LSTM of a language model after some training, on text it has not seen."""

    steps: int
    nats: float
    T: int
    engine: str
    turns: int
    converged: bool
    residual: float


def run_all(*, rounds: int) -> Iterator[Point]:
    """Size by size; the engines of one size are timed in turns."""
    for cells, engines, sizes, lengths in (LINEAR, NONLINEAR):
        for kind in cells:
            for rows, units in sizes:
                for steps in lengths:
                    yield from _size(kind(hidden_size=units), engines, (steps, rows, units), rounds)


def _size(cell: Any, engines: Sequence[str], size: tuple[int, int, int], rounds: int) -> Iterator[Point]:
    steps, rows, units = size
    params = cell.init(jax.random.key(0), units)
    xs = jax.random.normal(jax.random.key(1), (rows, steps, units))

    def step(engine: str) -> Any:
        def loss(params: PyTree, xs: Array) -> Array:
            return jnp.sum(jnp.square(unroll(cell, params, xs, method=NEWTON.get(engine, engine))[1]))

        compiled: Any = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
        return lambda: jax.block_until_ready(compiled(params, xs))  # type: ignore[no-untyped-call]  # JAX leaves it untyped

    samples = measure({engine: step(engine) for engine in engines}, rounds=rounds)
    for engine in engines:
        found = solve(cell, params, xs, engine=NEWTON[engine]) if engine in NEWTON else None
        yield Point(
            cell=type(cell).__name__,
            B=rows,
            H=units,
            T=steps,
            engine=engine,
            median_s=samples.median(engine),
            times_faster=samples.ratio(engine, engines[0]),
            turns=None if found is None else int(found.iterations),
            converged=None if found is None else bool(found.converged),
        )


def trained(*, units: int = 32, window: int = 64, rows: int = 32) -> Iterator[Trial]:
    """Trains a small language model by characters, and tries Newton's method on it now and then."""
    corpus = CORPORA["python_docs"](None)
    vocabulary = Vocabulary.build(corpus.train, "char")
    text, unseen = (jnp.asarray(vocabulary.encode(part), jnp.int32) for part in (corpus.train, corpus.valid))
    model = LanguageModel(len(vocabulary), units, LSTM(units))
    optimizer = optax.adam(0.01)
    params = model.init(jax.random.key(0))

    def loss(params: PyTree, starts: Array) -> Array:
        tokens = text[starts[:, None] + jnp.arange(window + 1)]
        _, logits = model.apply(params, tokens[:, :-1])
        nats: Array = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()
        return nats

    @jax.jit
    def update(params: PyTree, state: PyTree, starts: Array) -> tuple[PyTree, PyTree, Array]:
        nats, slopes = jax.value_and_grad(loss)(params, starts)
        with jax.numpy_dtype_promotion("standard"):  # Adam raises a float to an integer power
            updates, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, updates), state, nats

    random, state, nats = np.random.default_rng(0), optimizer.init(params), jnp.nan
    for number in range(max(TRAINED) + 1):
        if number in TRAINED:
            for steps in (256, 2048):
                xs = params.embedding[unseen[:steps]]
                for name, engine in NEWTON.items():
                    found = solve(model.cell, params.cell, xs, engine=engine)
                    turns, converged, residual = found.iterations, found.converged, found.residual
                    yield Trial(number, float(nats), steps, name, int(turns), bool(converged), float(residual))
        starts = jnp.asarray(random.integers(0, len(text) - window - 1, rows), jnp.int32)
        params, state, nats = update(params, state, starts)


def rows(points: Sequence[Point]) -> list[str]:
    """The points as a table."""
    return table(
        ["Cell", "B, H", "T", "Engine", "ms (median)", "times faster", "turns"],
        [
            [
                p.cell,
                f"{p.B}, {p.H}",
                f"{p.T:,}",
                p.engine,
                f"{1e3 * p.median_s:.2f}",
                f"{p.times_faster:.2f}",
                "" if p.turns is None else f"{p.turns}" + ("" if p.converged else ", not converged"),
            ]
            for p in points
        ],
    )


def trial_rows(trials: Sequence[Trial]) -> list[str]:
    """The trials as a table."""
    return table(
        ["Steps of training", "Loss, nats", "T", "Engine", "turns", "residual"],
        [
            [
                f"{t.steps:,}",
                "" if t.steps == 0 else f"{t.nats:.2f}",
                f"{t.T:,}",
                t.engine,
                f"{t.turns}" + ("" if t.converged else ", not converged"),
                f"{t.residual:.0e}",
            ]
            for t in trials
        ],
    )


def as_json(samples: Iterable[Point | Trial]) -> list[dict[str, Any]]:
    """Every sample."""
    return [sample._asdict() for sample in samples]
