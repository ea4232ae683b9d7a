"""Derivatives of `unroll` against central differences: both modes, first and second order."""

import functools

import jax
import numpy as np
import pytest
from cases import BATCH, PAIRS, STEPS, name, problem
from jax.test_util import check_grads

import seqmodels as sm

CELLS = [sm.RNN(8), sm.LSTM(8, peepholes=True), sm.GRU(8), sm.Stack([sm.GRU(8), sm.LearnedState(sm.RNN(6))])]
OPTIONS = {"lengths": np.array([STEPS, 3, 0]), "resets": np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2}


@pytest.mark.parametrize("modes", ["fwd", "rev"])
@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_gradients_by_differences(cell, modes, x64):
    given = problem(cell)
    run = jax.jit(functools.partial(sm.unroll, cell, **OPTIONS, method="scan"))
    check_grads(run, given[:3], order=1, modes=[modes])


@pytest.mark.parametrize(("cell", "method"), [pair for pair in PAIRS if pair[0] == sm.LSTM(8)], ids=name)
def test_second_derivatives_by_differences(cell, method, x64):
    given = problem(cell)
    run = jax.jit(functools.partial(sm.unroll, cell, **OPTIONS, method=method))
    check_grads(run, given[:3], order=2, modes=["rev"])
