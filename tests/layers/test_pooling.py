"""Pooling against NumPy, with padding that holds anything, and rows of length 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close, assert_equal

from seqmodels.layers import POOLINGS, Pooling

LENGTHS = np.array([5, 3, 1, 0])
YS = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
PADDED = np.where((np.arange(5) < LENGTHS[:, None])[..., None], YS, np.nan).astype(np.float32)


def made(name, backwards=0, dtype=jnp.float32):
    layer = Pooling(name, backwards)
    params = jax.tree.map(lambda leaf: 2.0 * leaf.astype(dtype) + 0.1, layer.init(jax.random.key(0), YS.shape[-1]))
    return layer, params


def plain(name, params, ys, backwards=0):
    """One row of valid outputs, in float64."""
    ys = ys.astype(np.float64)
    if not len(ys):
        return np.zeros(ys.shape[-1])
    if name == "last":
        forwards = ys.shape[-1] - backwards
        return np.concatenate([ys[-1, :forwards], ys[0, forwards:]])
    if name == "attention":
        hidden = np.tanh(ys @ np.asarray(params.hidden.w, np.float64) + np.asarray(params.hidden.b, np.float64))
        scores = np.exp(hidden @ np.asarray(params.query, np.float64))
        return scores @ ys / scores.sum()
    return {"mean": ys.mean, "max": ys.max}[name](axis=0)


@pytest.mark.parametrize("backwards", [0, 2, 6])
@pytest.mark.parametrize("name", POOLINGS)
def test_rows_are_pooled_as_numpy_does(name, backwards):
    layer, params = made(name, backwards)
    expected = [plain(name, params, row[:n], backwards) for row, n in zip(YS, LENGTHS, strict=True)]
    assert_close(layer.apply(params, jnp.asarray(YS), jnp.asarray(LENGTHS)), np.array(expected), np.float32)


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_reaches_neither_values_nor_gradients(name):
    layer, params = made(name)

    def value(params, ys):
        return (layer.apply(params, ys, jnp.asarray(LENGTHS)) ** 2).sum()

    clean, dirty = (jax.value_and_grad(value, argnums=(0, 1))(params, jnp.asarray(ys)) for ys in (YS, PADDED))
    assert_equal(dirty, clean)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(dirty))
    padding = np.arange(5) >= LENGTHS[:, None]
    assert np.all(np.asarray(dirty[1][1])[padding] == 0)


@pytest.mark.parametrize("name", POOLINGS)
def test_without_lengths_all_steps_count(name):
    layer, params = made(name)
    ys = jnp.asarray(YS)
    assert_equal(layer.apply(params, ys), layer.apply(params, ys, jnp.full(4, 5)))


@pytest.mark.parametrize("name", POOLINGS)
def test_the_type_is_kept_and_sums_are_made_in_float32(name):
    layer, params = made(name)
    ys = jnp.ones((1, 1000, 6), jnp.bfloat16)
    pooled = layer.apply(params, ys)
    assert pooled.dtype == jnp.bfloat16
    assert_close(pooled, np.ones((1, 6)), jnp.bfloat16)


def test_attention_begins_with_a_query_of_norm_one():
    params = Pooling("attention").init(jax.random.key(0), 400)
    assert abs(float((params.query**2).sum()) - 1.0) < 0.2
    assert all(Pooling(name).init(jax.random.key(0), 4) is None for name in ("last", "mean", "max"))


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="pooling must be one of last, mean, max, attention"):
        Pooling("median")
