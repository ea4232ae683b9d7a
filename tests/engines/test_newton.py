"""What the engine "newton" has beyond the contract of all engines: what it tells, its options, where it gives up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HIDDEN, STEPS, cast, problem, run
from jax.test_util import check_grads
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.engines import Newton
from seqmodels.engines.blocks import recurrence
from seqmodels.engines.newton import solve

LENGTHS = np.array([STEPS, 4, 0])
RESETS = np.arange(3 * STEPS).reshape(3, STEPS) % 5 == 2
OPTIONS = [
    Newton(jacobian="diagonal"),
    Newton(damping=0.3),
    Newton(damping=1.0),
    Newton(turns=1),
    Newton(jacobian="diagonal", turns=2),
]


@pytest.mark.parametrize("engine", OPTIONS, ids=repr)
@pytest.mark.parametrize("cell", [sm.LSTM(HIDDEN, peepholes=True), sm.GRU(HIDDEN), sm.IndRNN(HIDDEN)], ids=repr)
def test_options_do_not_change_the_numbers(cell, engine, x64):
    given = problem(cell)
    expected = run(cell, given, LENGTHS, RESETS, method="scan", reverse=True)
    assert_close(run(cell, given, LENGTHS, RESETS, method=engine, reverse=True), expected, np.float64)


@pytest.mark.parametrize("jacobian", ["full", "diagonal"])
@pytest.mark.parametrize("cell", [sm.RNN(HIDDEN), sm.LSTM(HIDDEN), sm.LSTMP(HIDDEN)], ids=repr)
def test_what_it_says_has_converged_is_right(cell, jacobian):
    xs = jax.random.normal(jax.random.key(1), (3, 300, 5))
    params = cell.init(jax.random.key(0), 5)
    found = solve(cell, params, xs, engine=Newton(jacobian=jacobian, turns=60))
    assert found.converged
    assert found.residual < 1e-5
    assert_close(found.states, sm.trajectory(cell, params, xs, method="scan"), np.float32)


SLOW = [
    Newton(jacobian="diagonal", damping=1.0, turns=600),
    Newton(jacobian="diagonal", damping=0.8, turns=600),
    Newton(damping=0.9, turns=600),
]


@pytest.mark.parametrize("engine", SLOW, ids=repr)
def test_turns_that_leave_most_of_the_error_have_not_converged(engine):
    # h = 0.97 h + x: where the Jacobian is damped away, a turn takes 3% of the error, and changes as little.
    cell = sm.IndRNN(1)
    params = sm.IndRNNParams(w_ih=jnp.ones((1, 1)), w_hh=jnp.array([0.97]), b=jnp.zeros(1))
    xs = 1.0 + jax.random.uniform(jax.random.key(0), (1, 700, 1))
    found = solve(cell, params, xs, engine=engine)
    assert found.converged
    assert_close(found.states, sm.trajectory(cell, params, xs, method="scan"), np.float32)


@pytest.mark.parametrize(
    ("engine", "bias"), [(Newton(jacobian="diagonal", turns=90), 5.0), (Newton(damping=0.3, turns=90), 1.0)], ids=repr
)
def test_memories_that_last(engine, bias):
    """Forget gates near 0.993, and 0.73 where damping makes the turns slow."""
    cell = sm.LSTM(HIDDEN)
    params = cell.init(jax.random.key(0), 5)
    params = params._replace(b=params.b.at[HIDDEN : 2 * HIDDEN].set(bias))
    xs = jax.random.normal(jax.random.key(1), (2, 300, 5))
    found = solve(cell, params, xs, engine=engine)
    assert found.converged
    assert_close(found.states, sm.trajectory(cell, params, xs, method="scan"), np.float32)


def test_a_linear_cell_needs_one_turn(x64):
    # h = 0.5 h + x with relu far from its corner: the first turn solves it, the second sees that nothing is left.
    cell = sm.IndRNN(1)
    params = sm.IndRNNParams(w_ih=jnp.ones((1, 1)), w_hh=jnp.array([0.5]), b=jnp.array([10.0]))
    found = solve(cell, params, jnp.ones((1, 3, 1)))
    np.testing.assert_allclose(found.states.h[0, :, 0], [11.0, 16.5, 19.25], rtol=1e-12)
    assert found.iterations == 2
    assert found.converged


def test_turns_that_are_too_few_are_told():
    cell = sm.GRU(HIDDEN)
    params, xs = cell.init(jax.random.key(0), 5), jax.random.normal(jax.random.key(1), (3, 100, 5))
    found = solve(cell, params, xs, engine=Newton(turns=1))
    assert not found.converged
    assert found.iterations == 1
    assert found.residual > 1e-4


@pytest.mark.parametrize("method", ["scan", "newton"])
def test_a_nan_is_never_hidden(method):
    cell = sm.GRU(HIDDEN)
    params, xs = cell.init(jax.random.key(0), 5), jnp.ones((2, 20, 5)).at[0, 10].set(jnp.nan)
    _, ys = sm.unroll(cell, params, xs, method=method)
    assert np.isnan(ys[0, 10:]).all()
    assert np.isfinite(ys[0, :10]).all()
    assert np.isfinite(ys[1]).all()
    found = solve(cell, params, xs)
    assert np.isnan(found.residual)
    assert not found.converged


def test_an_explosive_cell_is_run_step_by_step():
    cell = sm.RNN(HIDDEN)
    params, xs = cell.init(jax.random.key(0), 5), jax.random.normal(jax.random.key(1), (2, 200, 5))
    params = params._replace(w_hh=params.w_hh * 50.0)
    assert not solve(cell, params, xs, engine=Newton(turns=8)).converged

    def loss(params, method):
        return jnp.sum(sm.unroll(cell, params, xs[:, :20], method=method)[1] ** 2)

    both = [jax.value_and_grad(loss)(params, method) for method in (Newton(turns=1), "scan")]
    assert_close(*both, np.float32)


def test_second_derivatives(x64):
    cell = sm.GRU(2)
    params, xs = cell.init(jax.random.key(0), 3), jax.random.normal(jax.random.key(1), (4, 3))
    check_grads(lambda p, x: sm.unroll(cell, p, x, method="newton")[1], (params, xs), order=2, modes=["rev"])


def test_the_gradient_does_not_pass_through_the_turns():
    cell = sm.GRU(HIDDEN)
    params, xs = cell.init(jax.random.key(0), 5), jnp.ones((2, 64, 5))

    def temporary(turns):
        def loss(params):
            return sm.unroll(cell, params, xs, method=Newton(turns=turns))[1].sum()

        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert temporary(30) == temporary(2)


def test_vmap():
    cell = sm.GRU(HIDDEN)
    given = cast(problem(cell), np.float32)

    def last(xs):
        return sm.unroll(cell, given.params, xs, method="newton")

    assert_close(jax.vmap(last)(given.xs), sm.unroll(cell, given.params, given.xs, method="scan"), np.float32)


@pytest.mark.parametrize("cell", [sm.LayerNormLSTM(4), sm.MLSTM(4)], ids=repr)
def test_cells_without_a_diagonal_are_refused(cell):
    with pytest.raises(ValueError, match="jacobian='full'"):
        sm.unroll(cell, cell.init(jax.random.key(0), 3), jnp.ones((5, 3)), method=Newton(jacobian="diagonal"))


@pytest.mark.parametrize("options", [{"jacobian": "dense"}, {"damping": -0.1}, {"turns": 0}, {"tolerance": 0.0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Newton(**options)


def test_no_steps_at_all():
    cell = sm.LSTM(4)
    given = cast(problem(cell), np.float32)
    state, ys = sm.unroll(cell, given.params, given.xs[:, :0], given.state, method="newton")
    assert_equal(state, given.state)
    assert ys.shape == (3, 0, 4)


@pytest.mark.parametrize("size", [1, 3, 6])
def test_the_recurrence_of_blocks(size, x64):
    random = np.random.default_rng(0)
    matrices, vectors = random.normal(size=(13, 2, size, size)), random.normal(size=(13, 2, size))
    x, expected = np.zeros((2, size)), []
    for a, b in zip(matrices, vectors, strict=True):
        x = np.einsum("bij,bj->bi", a, x) + b
        expected.append(x)
    np.testing.assert_allclose(recurrence(jnp.asarray(matrices), jnp.asarray(vectors)), expected, rtol=1e-9)
