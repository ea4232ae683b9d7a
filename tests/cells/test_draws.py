"""Draws for parameters: JAX's own numbers, and few shapes for XLA to compile."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_equal

import seqmodels as sm
from seqmodels.cells.draws import SIZES, TOGETHER, keys, normal, uniform
from seqmodels.models import LanguageModel

KEY = jax.random.key(5)
LARGE = (1025, 1024)
SHAPES = [(), (0,), (7,), (5, 3), (2, 3, 4), (257, 256), (1024, 1024), LARGE]


@pytest.mark.parametrize("double", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_numbers_are_those_of_jax(shape, double):
    with jax.enable_x64(double):
        assert_equal(normal(KEY, shape), jax.random.normal(KEY, shape, float))
        assert_equal(uniform(KEY, shape, -0.3, 2.0), jax.random.uniform(KEY, shape, float, -0.3, 2.0))


def test_they_are_so_for_many_keys_at_once():
    several = jax.random.split(KEY, 3)
    drawn = jax.vmap(lambda key: normal(key, (4, 2)))(several)
    assert_equal(drawn, np.stack([jax.random.normal(key, (4, 2)) for key in several]))


@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_keys_are_those_of_jax(number):
    assert_equal(jax.random.key_data(jnp.stack(keys(KEY, number))), jax.random.key_data(jax.random.split(KEY, number)))


def shapes_of(primitive, init):
    """The shapes that a program gives a primitive."""
    found = re.findall(rf"{primitive}\[[^\]]*shape=\(([\d, ]*)\)", str(jax.make_jaxpr(init)(KEY)))
    return {tuple(int(size) for size in shape.split(",") if size.strip()) for shape in found}


@pytest.mark.parametrize("cell", [sm.LSTM(64), sm.LRU(64), sm.Stack([sm.GRU(32)] * 5), sm.SLSTM(64, heads=2)], ids=str)
def test_a_small_model_is_drawn_in_one_shape(cell):
    """XLA compiles equal pieces once: every further shape takes it about 0.1 s."""
    init = LanguageModel(50, 16, cell).init
    assert shapes_of("random_bits", init) == {SIZES[:1]}
    assert all(shape[0] % TOGETHER == 0 for shape in shapes_of("random_split", init))


def test_a_large_draw_has_the_shape_asked_for():
    """So that each of several devices makes its part of it, and nothing else."""
    assert shapes_of("random_bits", lambda key: normal(key, LARGE)) == {LARGE}
