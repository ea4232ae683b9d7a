"""Noise: drawn once from the key, outside the loop, so that every engine draws the same."""

import functools

import jax
import numpy as np
import pytest
from cases import BASE, BATCH, NOISY, QUIET, SHORTER, STEPS, cast, name, problem, run
from oracles import assert_close, assert_equal

import seqmodels as sm

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2
NOISY_PAIRS = [(cell, method) for cell, method in SHORTER if cell in NOISY]
OTHER_PAIRS = [
    (NOISY[0], "auto"),
    (NOISY[2], "newton"),
    *((cell, method) for cell, method in NOISY_PAIRS if method != "scan"),
]


def noisy_run(cell, method, seed, **changes):
    """Values and gradients with a key."""
    given = cast(problem(cell), np.float32)._replace(**changes)
    return run(cell, given, LENGTHS, RESETS, jax.random.key(seed), method=method, reverse=False)


@pytest.mark.parametrize(("cell", "method"), NOISY_PAIRS, ids=name)
def test_the_key_decides(cell, method):
    first = noisy_run(cell, method, 0)
    assert_equal(noisy_run(cell, method, 0), first)
    ys, others = first[0][1], noisy_run(cell, method, 1)[0][1]
    assert np.mean(ys[0] != others[0]) > 0.5


@pytest.mark.parametrize(("cell", "method"), OTHER_PAIRS, ids=name)
def test_every_engine_draws_the_same(cell, method):
    assert_close(noisy_run(cell, method, 0), noisy_run(cell, "scan", 0), np.float32)


@pytest.mark.parametrize(("cell", "method"), NOISY_PAIRS, ids=name)
def test_no_noise_leaks_from_padding(cell, method):
    padding = np.arange(STEPS) >= LENGTHS[:, None]
    xs = np.asarray(problem(cell).xs, np.float32)
    zeros = noisy_run(cell, method, 0, xs=np.where(padding[..., None], np.float32(0.0), xs))
    assert_equal(noisy_run(cell, method, 0, xs=np.where(padding[..., None], np.float32(np.nan), xs)), zeros)
    (state, ys), (_, xs_slopes, _) = zeros
    assert not np.any(ys[padding])
    assert not np.any(xs_slopes[padding])
    assert_equal(jax.tree.map(lambda leaf: leaf[2], state), jax.tree.map(lambda leaf: leaf[2], _state(cell)))


def _state(cell):
    return cast(problem(cell).state, np.float32)


@pytest.mark.parametrize("cell", BASE + QUIET[:2], ids=name)
def test_a_key_does_nothing_without_noise(cell):
    given = cast(problem(cell), np.float32)
    unroll = functools.partial(sm.unroll, cell, given.params, given.xs, given.state)
    assert_equal(unroll(key=jax.random.key(0)), unroll())


@pytest.mark.parametrize("cell", [NOISY[2], NOISY[4]], ids=name)
def test_rates_of_0_are_no_noise(cell):
    quiet = without_noise(cell)
    given = cast(problem(cell), np.float32)
    unroll = functools.partial(sm.unroll, quiet, given.params, given.xs, given.state, reverse=True)
    assert_close(unroll(key=jax.random.key(0)), unroll(), np.float32)


def without_noise(cell):
    """The same cell with all rates 0."""
    fields = {}
    for field in vars(cell):
        value = getattr(cell, field)
        if field == "cells":
            fields[field] = tuple(map(without_noise, value))
        elif field in ("cell", "fwd", "bwd"):
            fields[field] = without_noise(value)
        elif field in ("rate", "recurrent_rate", "dropout"):
            fields[field] = 0.0
        else:
            fields[field] = value
    return type(cell)(**fields)


def test_the_directions_of_a_layer_draw_apart():
    drop = sm.VariationalDropout(sm.RNN(8), rate=0.5)
    layer = sm.Bidirectional(drop, drop)
    params, xs, *_ = cast(problem(layer), np.float32)
    params = params._replace(bwd=params.fwd)
    (fwd, bwd), _ = sm.unroll(layer, params, xs[:, :1], key=jax.random.key(0))
    assert np.any(fwd.h != bwd.h)
