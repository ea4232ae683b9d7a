"""Residual: outputs plus inputs, the recurrence untouched."""

import jax
import numpy as np
import pytest
from cases import INPUTS, cast, problem
from oracles import assert_close, assert_equal

import seqmodels as sm


def test_inputs_are_added_to_outputs_alone():
    inner = sm.GRU(INPUTS)
    params, xs, state, *_ = cast(problem(inner), np.float32)
    plain_state, plain_ys = sm.unroll(inner, params, xs, state)
    new_state, ys = sm.unroll(sm.Residual(inner), params, xs, state)
    assert_equal(new_state, plain_state)
    assert_close(ys, plain_ys + xs, np.float32)
    twice = sm.unroll(sm.Residual(sm.Residual(inner)), params, xs, state)[1]
    assert_close(twice, plain_ys + 2 * xs, np.float32)


def test_padding_is_not_added():
    inner = sm.GRU(INPUTS)
    params, xs, *_ = cast(problem(inner), np.float32)
    _, ys = sm.unroll(sm.Residual(inner), params, xs, lengths=np.array([0, 2, 7]))
    assert not np.any(ys[0])
    assert not np.any(ys[1, 2:])


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"5.*8"):
        sm.Residual(sm.GRU(8)).init(jax.random.key(0), 5)
