"""The cell of the README, which no list of the library names: all engines, by the float64 loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import BATCH, HIDDEN, STEPS, problem, run
from documents import blocks
from oracles import advance, assert_close, gradients, initial_state, sigmoid, times, unroll

import seqmodels as sm

METHODS = ("scan", "fused", "chunked", "newton")
LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(BATCH * STEPS).reshape(BATCH, STEPS) % 5 == 2


def readme_cell():
    """The class `UGRNN`, as it stands there."""
    (block,) = [block for _, block in blocks("README.md", "python") if "class UGRNN" in block]
    names = {"__name__": __name__, "jax": jax, "jnp": jnp, "sm": sm}
    exec(block, names)
    return names["UGRNN"]


UGRNN = readme_cell()


@initial_state.register(UGRNN)
def _(cell, params):
    return sm.RNNState(h=np.zeros(cell.hidden_size))


@advance.register(UGRNN)
def _(cell, params, state, x):
    z_c, z_g = np.split(times(x, params.w_ih) + times(state.h, params.w_hh) + params.b, 2, axis=-1)
    g = sigmoid(z_g)
    return sm.RNNState(h=g * state.h + (1.0 - g) * np.tanh(z_c))


def test_its_engines():
    assert sm.engines.names_for(UGRNN(HIDDEN)) == METHODS


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients(method, reverse, x64):
    """With padding, resets and a state that is passed in."""
    cell = UGRNN(HIDDEN)
    given, options = problem(cell), {"lengths": LENGTHS, "resets": RESETS, "reverse": reverse}
    values, slopes = run(cell, given, LENGTHS, RESETS, method=method, reverse=reverse)
    assert_close(values, unroll(cell, given.params, given.xs, given.state, **options), np.float64)
    assert_close(slopes, gradients(cell, *given, **options), np.float64)
