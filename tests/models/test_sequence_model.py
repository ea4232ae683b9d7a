"""The model of sequences of vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

import seqmodels as sm
from seqmodels.models import SequenceModel

XS = jax.random.normal(jax.random.key(0), (3, 5, 2))


def made(**settings):
    model = SequenceModel(input_size=2, cell=sm.GRU(hidden_size=4), output_size=3, **settings)
    return model, model.init(jax.random.key(1))


def test_steps_are_what_the_whole_is():
    model, params = made()
    state, ys = model.apply(params, XS)
    now, step = model.initial_state(params, (3,)), jax.jit(model.step)
    for t in range(5):
        now, y_t = step(params, now, XS[:, t])
        assert_close(y_t, np.asarray(ys[:, t], np.float64), np.float32)
    assert_close(now, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state), np.float32)


def test_outputs_are_a_linear_map_of_the_cells():
    model, params = made()
    hs = sm.unroll(model.cell, params.cell, XS)[1]
    expected = np.asarray(hs, np.float64) @ np.asarray(params.output.w, np.float64) + np.asarray(params.output.b)
    assert_close(model.apply(params, XS)[1], expected, np.float32)


@pytest.mark.parametrize("rate", ["input_dropout", "output_dropout"])
def test_features_are_dropped_with_a_key_only(rate):
    model, params = made(**{rate: 0.5})
    plain = made()[0].apply(params, XS)[1]
    assert np.array_equal(model.apply(params, XS)[1], plain)
    apply = jax.jit(lambda key: model.apply(params, XS, key=key)[1])
    noisy = [apply(jax.random.key(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(noisy[0], noisy[1])
    assert np.any(noisy[0] != noisy[2])
    assert np.any(noisy[0] != plain)
    with pytest.raises(ValueError, match=rate):
        made(**{rate: 1.0})


def test_outputs_are_float32_whatever_is_computed_in():
    model, params = made(compute_dtype="bfloat16")
    assert model.apply(params, XS)[1].dtype == jnp.float32
