"""Derivatives of `unroll` against central differences: both modes, first and second order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, STEPS, cast, name, problem
from jax.test_util import check_grads
from oracles import assert_close

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


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_forward_mode_of_narrow_types(dtype):
    cell = sm.LSTM(8)
    params, xs = cast(problem(cell)[:2], np.float32)
    params_dot, xs_dot = cast(problem(cell, seed=1)[:2], np.float32)

    def run(params, xs):
        return sm.unroll(cell, params, xs, method="scan")

    narrow = jax.jvp(run, (params, jnp.asarray(xs, dtype)), (params_dot, jnp.asarray(xs_dot, dtype)))
    assert_close(narrow, jax.jvp(run, (params, xs), (params_dot, xs_dot)), jnp.bfloat16)
