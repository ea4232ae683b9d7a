"""Singular values of long products: against NumPy where it can, and against products whose factors are known."""

import itertools

import numpy as np
import pytest
from oracles import assert_close

from seqmodels.analysis.graded import _rounds, identity, log_singular_values, multiply, rough_log_singular_values


def log_values(matrices):
    product = identity(len(matrices[0]))
    for matrix in matrices:
        product = multiply(matrix, product)
    return log_singular_values(product)


def orthogonal(random, size):
    return np.linalg.qr(random.normal(size=(size, size)))[0]


def known(random, size, logs):
    """Factors whose product has singular values e to the sums of `logs` [factors, size]."""
    turns = itertools.pairwise(orthogonal(random, size) for _ in range(len(logs) + 1))
    return [after @ np.diag(np.exp(log)) @ before.T for log, (before, after) in zip(logs, turns, strict=True)]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_short_products_are_as_numpy_has_them(size):
    random = np.random.default_rng(size)
    matrices = random.normal(size=(3, size, size))
    expected = np.linalg.svd(matrices[2] @ matrices[1] @ matrices[0], compute_uv=False)
    assert_close(np.exp(log_values(matrices)), expected, np.float64)


def test_rough_ones_are_the_same_as_far_as_a_float_sees():
    random = np.random.default_rng(0)
    logs = np.tile([100.0, 98.0, 92.0, 50.0, -np.inf], (3, 1))
    product = identity(5)
    for matrix in known(random, 5, logs):
        product = multiply(matrix, product)
    found = rough_log_singular_values(product)
    np.testing.assert_allclose(found[:3], [300.0, 294.0, 276.0], atol=1e-4)
    assert np.all(np.isneginf(found[3:]))
    assert np.all(np.isneginf(rough_log_singular_values(multiply(np.zeros((2, 2)), identity(2)))))


@pytest.mark.parametrize("rate", [-8.0, -0.1, 0.0, 0.1, 8.0])
def test_products_of_scaled_orthogonal_matrices(rate):
    random = np.random.default_rng(0)
    found = log_values([np.exp(rate) * orthogonal(random, 7) for _ in range(500)])
    np.testing.assert_allclose(found, np.full(7, 500 * rate), rtol=1e-12, atol=1e-12)


def test_small_singular_values_are_not_lost_beside_large_ones():
    # From e^2000 to e^-2000: no float holds either, and plain sums hold nothing below 1e-16 of the largest.
    random = np.random.default_rng(1)
    logs = np.tile(np.linspace(5.0, -5.0, 6), (400, 1))
    np.testing.assert_allclose(log_values(known(random, 6, logs)), logs.sum(axis=0), rtol=1e-9)


def test_what_grows_first_and_shrinks_later():
    logs = np.concatenate([np.tile([10.0, 0.0, -10.0], (50, 1)), np.tile([-10.0, 5.0, 10.0], (70, 1))])
    expected = np.sort(logs.sum(axis=0))[::-1]
    np.testing.assert_allclose(log_values([np.diag(np.exp(log)) for log in logs]), expected, rtol=1e-12)


def test_equal_singular_values_beside_others():
    random = np.random.default_rng(3)
    logs = np.tile([0.2, 0.2, 0.2, -0.7, -0.7], (100, 1))
    np.testing.assert_allclose(log_values(known(random, 5, logs)), logs.sum(axis=0), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 4])
def test_the_empty_product_and_zero(size):
    np.testing.assert_array_equal(log_singular_values(identity(size)), np.zeros(size))
    np.testing.assert_array_equal(log_values([np.zeros((size, size))] * 2), np.full(size, -np.inf))


def test_singular_matrices_have_singular_values_0():
    found = log_values([np.diag([2.0, 0.0, 1.0])] * 10)
    np.testing.assert_allclose(found, [10 * np.log(2.0), 0.0, -np.inf], atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
def test_every_pair_meets_once_and_nobody_twice_in_a_round(size):
    rounds = [list(zip(first.tolist(), second.tolist(), strict=True)) for first, second in _rounds(size)]
    for pairs in rounds:
        assert len(set(itertools.chain(*pairs))) == 2 * len(pairs)
    met = sorted(tuple(sorted(pair)) for pairs in rounds for pair in pairs)
    assert met == list(itertools.combinations(range(size), 2))
