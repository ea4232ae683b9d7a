"""Spectra of Jacobians and Lyapunov exponents: against plain products, and the laws of the linear network."""

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.analysis.jacobians import jacobian_spectrum, lyapunov_exponents, state_jacobians


def linear(rho, size=6):
    """A tanh network that stays at 0, where it is linear: W = ρ Q."""
    cell = sm.RNN(size)
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
    return cell, sm.RNNParams(w_ih=np.zeros((1, size)), w_hh=rho * q, b=np.zeros(size))


def row(cell):
    """One row of the cell's problem."""
    given = cases.problem(cell)
    return given.params, given.xs[0], jax.tree.map(lambda leaf: leaf[0], given.state)


@pytest.mark.parametrize("cell", [sm.LSTM(cases.HIDDEN), sm.GRU(cases.HIDDEN), sm.LRU(cases.HIDDEN)], ids=cases.name)
def test_products_of_few_steps(cell, x64):
    params, xs, state = row(cell)
    found = jacobian_spectrum(cell, params, xs, state, spans=(1, 3, cases.STEPS))
    jacobians = np.asarray(state_jacobians(cell, params, xs, state))
    for span, log_values in zip(found.spans, found.log_values, strict=True):
        product = np.linalg.multi_dot([*jacobians[::-1][:span], np.eye(jacobians.shape[1])])
        expected = np.linalg.svd(product, compute_uv=False)
        assert_close(np.exp(log_values), expected, np.float64)


def test_a_jacobian_has_the_next_state_in_its_rows(x64):
    cell = sm.LSTM(cases.HIDDEN)
    params, xs, state = row(cell)
    (jacobian,) = state_jacobians(cell, params, xs[:1], state)
    shifted = state._replace(c=state.c + 1e-6 * np.eye(cases.HIDDEN)[2])
    change = (cell.step(params, shifted, xs[0])[0].h - cell.step(params, state, xs[0])[0].h) / 1e-6
    np.testing.assert_allclose(jacobian[: cases.HIDDEN, cases.HIDDEN + 2], change, atol=1e-6)


@pytest.mark.parametrize("rho", [1e-3, 0.9, 1.0, 1.1, 1e3])
def test_singular_values_of_a_scaled_orthogonal_matrix_are_its_powers(rho, x64):
    cell, params = linear(rho)
    steps = 400  # 1e±1200: far outside of float64
    found = jacobian_spectrum(cell, params, np.zeros((steps, 1)))
    assert found.spans == (1, 2, 4, 8, 16, 32, 64, 128, 256, 400)
    expected = np.log(rho) * np.array(found.spans)[:, None]
    np.testing.assert_allclose(found.log_values, np.broadcast_to(expected, (10, 6)), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("rho", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", [None, 1, 3])
def test_the_lyapunov_exponent_of_the_linear_network_is_the_logarithm_of_its_scale(rho, count, x64):
    cell, params = linear(rho)
    found = lyapunov_exponents(cell, params, np.zeros((100, 1)), count=count, warm_up=10)
    np.testing.assert_allclose(found, np.full(count or 6, np.log(rho)), rtol=1e-12, atol=1e-12)


def test_the_largest_exponents_come_first_even_where_units_do_not_mix(x64):
    cell = sm.IndRNN(5)
    weights = np.array([0.1, 0.9, 0.5, 1.2, 0.3])
    params = sm.IndRNNParams(w_ih=np.zeros((1, 5)), w_hh=weights, b=np.full(5, 0.1))
    xs = np.zeros((400, 1))
    found = lyapunov_exponents(cell, params, xs, count=2, warm_up=300)
    np.testing.assert_allclose(found, np.log([1.2, 0.9]), rtol=1e-6)


def test_exponents_are_the_rates_of_the_spectrum(x64):
    # Σ log |r| over all directions is the logarithm of the determinant, step by step and for any cell.
    cell = sm.LSTM(cases.HIDDEN)
    params, xs, state = row(cell)
    exponents = lyapunov_exponents(cell, params, xs, state)
    spectrum = jacobian_spectrum(cell, params, xs, state, spans=(cases.STEPS,))
    assert_close(jnp.sum(exponents) * cases.STEPS, np.sum(spectrum.log_values), np.float64)


def test_without_weights_the_memory_shrinks_with_the_forget_gate(x64):
    cell, steps = sm.LSTM(3), 50
    b = np.repeat([0.0, 2.0, 0.0, 0.0], 3)
    params = sm.LSTMParams(w_ih=np.zeros((1, 12)), w_hh=np.zeros((3, 12)), b=b)
    jacobians = np.asarray(state_jacobians(cell, params, np.zeros((steps, 1))))
    through = np.linalg.multi_dot(jacobians)
    assert_close(through[3:, 3:], np.eye(3) / (1 + np.exp(-2.0)) ** steps, np.float64)


def test_wrong_arguments_are_named(x64):
    cell, params = linear(1.0)
    xs = np.zeros((5, 1))
    for spans in ((0, 1), (6,), (3, 2), (2, 2)):
        with pytest.raises(ValueError, match="spans must ascend and lie from 1 to 5"):
            jacobian_spectrum(cell, params, xs, spans=spans)
    with pytest.raises(ValueError, match="count must be from 1 to 6"):
        lyapunov_exponents(cell, params, xs, count=7)
    with pytest.raises(ValueError, match="warm_up must be from 0 to 4"):
        lyapunov_exponents(cell, params, xs, warm_up=5)
    with pytest.raises(ValueError, match="one sequence"):
        state_jacobians(cell, params, xs[None])
