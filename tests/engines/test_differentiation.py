"""Derivatives of `unroll` against central differences: both modes, first and second order."""

import functools

import jax
import numpy as np
import pytest
from cases import BATCH, STEPS, name, problem
from jax.test_util import check_grads

import seqmodels as sm

CELLS = [sm.RNN(8), sm.LSTM(8), sm.Stack([sm.GRU(8), sm.LearnedState(sm.LSTM(6, peepholes=True))])]
OPTIONS = {"lengths": np.array([STEPS, 3, 0]), "resets": np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2}


@pytest.mark.parametrize("modes", ["fwd", "rev"])
@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_gradients_by_differences(cell, modes, x64):
    given = problem(cell)
    run = jax.jit(functools.partial(sm.unroll, cell, **OPTIONS, method="scan"))
    check_grads(run, given[:3], order=1, modes=[modes])


@pytest.mark.parametrize("method", sm.engines.names_for(sm.GRU(8)))
def test_second_derivatives_by_differences(method, x64):
    cell = sm.GRU(4)
    given = problem(cell)
    run = jax.jit(functools.partial(sm.unroll, cell, method=method))
    check_grads(run, (given.params, given.xs[:, :3], given.state), order=2, modes=["rev"])
