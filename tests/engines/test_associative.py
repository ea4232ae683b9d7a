"""What the engine "associative" has beyond the contract of all engines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import cast, problem
from jax.test_util import check_grads
from oracles import assert_close

import seqmodels as sm
from seqmodels.engines.associative import _recurrence


def by_loop(a, b, h):
    hs = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        hs.append(h)
    return jnp.stack(hs)


@pytest.mark.parametrize("steps", [1, 2, 13])
@pytest.mark.parametrize("dtype", [float, complex])
def test_the_recurrence_and_its_gradients(steps, dtype, x64):
    random = np.random.default_rng(0)
    a, b, h, w = (random.normal(size=(n, 3)) + 0j for n in (steps, steps, 1, steps))
    if dtype is complex:
        a, b, h, w = (z + 1j * random.normal(size=z.shape) for z in (a, b, h, w))
    given = [jnp.asarray(z if dtype is complex else z.real) for z in (a, b, h[0])]
    weights = jnp.asarray(w if dtype is complex else w.real)
    (hs, pull), (expected, expected_pull) = (jax.vjp(f, *given) for f in (_recurrence, by_loop))
    for actual, wanted in zip((hs, *pull(weights)), (expected, *expected_pull(weights)), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-10, atol=1e-12)


def test_second_derivatives(x64):
    random = np.random.default_rng(1)
    a, b, h = (jnp.asarray(random.normal(size=shape)) for shape in ((4, 2), (4, 2), (2,)))
    check_grads(_recurrence, (a, b, h), order=2, modes=["rev"])


def test_no_steps_at_all():
    cell = sm.MinGRU(4)
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs[:, :0], given.state, method="associative")
    assert_close(state, given.state, np.float32)
    assert ys.shape == (3, 0, 4)
