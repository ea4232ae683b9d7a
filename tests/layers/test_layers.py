"""Embedding, linear map and dropout against NumPy."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close, assert_equal

import seqmodels as sm
from seqmodels.layers import Embedding, Linear, LinearParams, dropout

KEY = jax.random.key(3)


def test_an_embedding_looks_up_rows():
    layer = Embedding(vocabulary_size=7, size=4)
    table = layer.init(KEY)
    ids = np.array([[0, 6, 3], [3, 3, 1]])
    assert table.shape == (7, 4)
    assert_equal(layer.apply(table, ids), np.asarray(table)[ids])


def test_embedding_vectors_begin_with_norm_one():
    norms = np.linalg.norm(Embedding(vocabulary_size=400, size=50).init(KEY), axis=-1)
    assert abs(np.mean(norms**2) - 1.0) < 0.05


def test_an_embedding_is_given_in_the_type_asked_for():
    layer = Embedding(vocabulary_size=7, size=4)
    assert layer.apply(layer.init(KEY), jnp.array([1]), dtype=jnp.bfloat16).dtype == jnp.bfloat16


def test_symbols_outside_the_vocabulary_take_the_nearest_vector():
    layer = Embedding(vocabulary_size=7, size=4)
    table = layer.init(KEY)
    assert_equal(layer.apply(table, jnp.array([-1, 7, 100])), np.asarray(table)[[0, 6, 6]])


def test_nothing_is_moved_between_an_embedding_and_a_cell():
    """Vectors are looked up in the order in which an engine takes them."""
    layer, cell = Embedding(vocabulary_size=7, size=5), sm.LSTM(6)
    params = layer.init(KEY), cell.init(KEY, 5)
    ids = jnp.zeros((2, 11), int)

    def moved(vectors):
        run = jax.jit(lambda params, ids: sm.unroll(cell, params[1], vectors(params[0], ids))[1])
        return re.findall(
            r" = f32\[(?:11,2|2,11),5\]\S* (?:copy|transpose)\(", run.lower(params, ids).compile().as_text()
        )

    assert moved(lambda table, ids: table[ids])
    assert not moved(layer.apply)


def test_embedding_dropout_drops_whole_symbols():
    layer = Embedding(vocabulary_size=200, size=4, dropout=0.3)
    table = layer.init(KEY)
    ids = np.random.default_rng(0).integers(0, 200, (8, 100))
    xs = np.asarray(layer.apply(table, ids, key=jax.random.key(0)))
    scale = xs / np.asarray(table)[ids]
    dropped = np.isclose(scale, 0.0)
    np.testing.assert_allclose(scale[~dropped], 1.0 / 0.7, rtol=1e-6)
    for symbol in np.unique(ids):
        assert len(np.unique(dropped[ids == symbol])) == 1, "every occurrence and feature of a symbol shares its fate"
    share = np.mean([dropped[ids == symbol].all() for symbol in np.unique(ids)])
    assert 0.2 < share < 0.4


def test_embedding_dropout_needs_a_key():
    layer = Embedding(vocabulary_size=20, size=4, dropout=0.5)
    table = layer.init(KEY)
    assert_equal(layer.apply(table, jnp.arange(20)), table)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_embedding_dropout_has_a_range(rate):
    with pytest.raises(ValueError, match="dropout of Embedding must be at least 0 and below 1"):
        Embedding(vocabulary_size=5, size=4, dropout=rate)


def test_a_linear_map_is_a_product_and_a_bias():
    random = np.random.default_rng(0)
    params = LinearParams(*(random.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3,))))
    xs = random.normal(size=(2, 4, 5)).astype(np.float32)
    ys = Linear(3).apply(jax.tree.map(jnp.asarray, params), jnp.asarray(xs))
    assert_close(ys, xs.astype(np.float64) @ params.w + params.b, np.float32)


def test_a_linear_map_begins_with_variance_one_by_inputs():
    params = Linear(60).init(KEY, 80)
    assert params.w.shape == (80, 60)
    assert abs(float(jnp.var(params.w)) * 80 - 1.0) < 0.1
    assert_equal(params.b, np.zeros(60))


def test_a_linear_map_computes_in_the_type_of_its_input_and_accumulates_in_float32():
    params = LinearParams(jnp.ones((1024, 1)), jnp.zeros(1))
    ys = Linear(1).apply(params, jnp.full((1, 1024), 1.0 + 2**-7, jnp.bfloat16))
    assert ys.dtype == jnp.float32
    assert float(ys[0, 0]) == 1032.0  # a bfloat16 sum of these would stop growing at 256


@pytest.mark.parametrize("variational", [False, True])
def test_dropout_keeps_the_mean_and_its_mask(variational):
    xs = jnp.ones((20, 10, 50))
    ys = np.asarray(dropout(KEY, xs, 0.4, variational=variational))
    assert {round(float(y), 4) for y in np.unique(ys)} == {0.0, round(1 / 0.6, 4)}
    assert abs(ys.mean() - 1.0) < 0.1
    assert bool((ys == ys[:, :1]).all()) == variational


def test_dropout_without_a_key_or_a_rate_does_nothing():
    xs = jax.random.normal(KEY, (2, 3, 4))
    assert_equal(dropout(None, xs, 0.5), xs)
    assert_equal(dropout(KEY, xs, 0.0), xs)
