"""Zoneout: which units keep their value, how often, and what a run without noise does instead."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import cast
from oracles import assert_close

import seqmodels as sm

RATES = (0.2, 0.6)
CELL = sm.Zoneout(sm.LSTM(32), rate=RATES)
PARAMS = CELL.init(jax.random.key(1), 5)
XS = np.random.default_rng(0).normal(size=(8, 40, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def states():
    """All states of a noisy run, and those before them."""
    start = CELL.initial_state(PARAMS, (8,))
    # Away from 0, so that the first step too tells kept values from new ones.
    start = jax.tree.map(lambda leaf: leaf + 0.5, start)
    states = sm.trajectory(CELL, PARAMS, XS, start, key=jax.random.key(0))
    before = jax.tree.map(lambda first, all_: jnp.concatenate([first[:, None], all_[:, :-1]], axis=1), start, states)
    return states, before


def test_units_stay_at_the_rate_of_their_leaf(states):
    stays = jax.tree.map(lambda new, old: np.asarray(new == old), *states)
    units = stays.h.size
    for stay, rate in zip(stays, RATES, strict=True):
        assert abs(stay.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / units)
        # Anew at each step, in each row, for each unit.
        for axis in range(3):
            both = np.take(stay, range(1, stay.shape[axis]), axis) & np.take(stay, range(stay.shape[axis] - 1), axis)
            assert abs(both.mean() - rate**2) < 5 * rate / np.sqrt(units)
    both = RATES[0] * RATES[1]
    assert abs((stays.h & stays.c).mean() - both) < 4 * np.sqrt(both / units)


def test_the_other_units_take_the_inner_cell_s_value(states):
    new, before = states
    inner, _ = CELL.cell.step(PARAMS, before, XS)
    expected = jax.tree.map(lambda new, old, inner: jnp.where(new == old, old, inner), new, before, inner)
    assert_close(new, expected, np.float32)


def test_the_output_reads_the_zoned_out_state(states):
    start = jax.tree.map(lambda leaf: leaf[:, 0], states[1])
    last, ys = sm.unroll(CELL, PARAMS, XS, start, key=jax.random.key(0))
    assert_close(ys, states[0].h, np.float32)
    assert_close(last, jax.tree.map(lambda leaf: leaf[:, -1], states[0]), np.float32)


def test_without_a_key_a_step_is_its_expectation():
    step = functools.partial(sm.unroll, CELL, PARAMS, XS[:1, :1], cast(CELL.initial_state(PARAMS, (1,)), np.float32))
    expected, _ = step()
    noisy, _ = jax.vmap(lambda key: step(key=key))(jax.random.split(jax.random.key(2), 4000))
    for leaf, noise in zip(expected, noisy, strict=True):
        error = np.abs(np.mean(noise, axis=0) - leaf)
        assert np.all(error < 5 * np.std(noise, axis=0) / np.sqrt(4000))


def test_one_rate_serves_all_leaves():
    given = np.random.default_rng(1).normal(size=(1, 6, 5)).astype(np.float32)
    one = sm.unroll(sm.Zoneout(sm.LSTM(32), rate=0.3), PARAMS, given)
    assert_close(one, sm.unroll(sm.Zoneout(sm.LSTM(32), rate=[0.3, 0.3]), PARAMS, given), np.float32)


def test_lists_of_rates_are_tuples():
    assert hash(sm.Zoneout(sm.LSTM(8), rate=[0.1, 0.2])) == hash(sm.Zoneout(sm.LSTM(8), rate=(0.1, 0.2)))


@pytest.mark.parametrize("rate", [-0.1, 1.0, (0.1, 1.5), float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match=r"Zoneout.*(-0.1|1.0|1.5|nan)"):
        sm.Zoneout(sm.LSTM(8), rate=rate)


@pytest.mark.parametrize("key", [None, jax.random.key(0)])
def test_a_rate_for_each_leaf_is_needed(key):
    with pytest.raises(ValueError, match=r"3 rates.*2 leaves"):
        sm.unroll(sm.Zoneout(sm.LSTM(32), rate=(0.1, 0.2, 0.3)), PARAMS, XS, key=key)
