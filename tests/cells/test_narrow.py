"""Products of narrow operands: values, and derivatives in both modes, of any order, side by side."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

from seqmodels.cells.narrow import narrow_product

SHAPES = {
    "even": ("nd,df->nf", (6, 3), (3, 4)),
    "odd": ("nd,df->nf", (5, 3), (3, 4)),
    "with all axes": ("abz,zAB->abAB", (2, 5, 3), (3, 2, 4)),
}


def drawn(*shapes, dtype=jnp.bfloat16):
    random = np.random.default_rng(0)
    return [jnp.asarray(random.normal(size=shape), dtype) for shape in shapes]


def product(axes):
    return lambda x, w: narrow_product(x, w, axes, turn=axes == "nd,df->nf")


def widened(arrays):
    return [array.astype(jnp.float32) for array in arrays]


def both_modes(function, x, w, x_dot, w_dot, y_bar):
    """The value, the derivative in a direction, and the gradients."""
    y, pull = jax.vjp(function, x, w)
    return y, jax.jvp(function, (x, w), (x_dot, w_dot)), pull(y_bar)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("kind", SHAPES)
def test_values_and_derivatives(kind, dtype):
    axes, *shapes = SHAPES[kind]
    given = drawn(*shapes, *shapes, dtype=dtype)
    (y_bar,) = widened(drawn(jax.eval_shape(product(axes), *given[:2]).shape, dtype=dtype))
    found = both_modes(product(axes), *given, y_bar)
    assert [leaf.dtype.name for leaf in jax.tree.leaves(found)] == ["float32"] * 3 + [jnp.dtype(dtype).name] * 2
    wanted = both_modes(lambda x, w: jnp.einsum(axes, x, w), *widened(given), y_bar)
    assert_close(found, wanted, jnp.bfloat16)
    assert_close(found[:2], wanted[:2], jnp.float32)


@pytest.mark.parametrize("places", [(0, 0), (1, None), (None, 2), (2, 1)])
def test_side_by_side(places):
    x, w = drawn((4, 3), (3, 5))
    shapes = [
        leaf.shape if at is None else (*leaf.shape[:at], 2, *leaf.shape[at:])
        for leaf, at in zip((x, w), places, strict=True)
    ]
    given = [*drawn(*shapes), *drawn(*shapes)]

    def of(function):
        return jax.vmap(function, in_axes=places)

    (y_bar,) = widened(drawn((2, 4, 5)))
    wanted = both_modes(of(jnp.matmul), *widened(given), y_bar)
    assert_close(both_modes(of(product("nd,df->nf")), *given, y_bar), wanted, jnp.bfloat16)


def test_second_derivatives():
    x, w, v = drawn((4, 3), (3, 5), (4, 3))

    def slope(product):
        def loss(x, w):
            return jnp.sum(jnp.square(product(x, w)))

        return lambda x, w, v: jax.grad(lambda w: jnp.sum(jax.grad(loss)(x, w) * v).astype(jnp.float32))(w)

    wanted = slope(jnp.matmul)(*widened((x, w, v)))
    assert_close(slope(product("nd,df->nf"))(x, w, v), wanted, jnp.bfloat16)


@pytest.mark.parametrize("kind", SHAPES)
def test_all_products_are_of_narrow_operands(kind):
    """Those of the gradient too: XLA would widen both, if one were wide."""
    axes, *shapes = SHAPES[kind]
    gradient = jax.grad(lambda x, w: jnp.sum(jnp.square(product(axes)(x, w))), argnums=(0, 1))
    lines = jax.jit(gradient).lower(*drawn(*shapes)).as_text().splitlines()
    types = [re.findall(r"x([a-z]\w+)>", line.rpartition(" : ")[2]) for line in lines if "dot_general" in line]
    assert types == [["bf16", "bf16", "f32"]] * 3


def test_transposed_operands_stay_narrow_when_compiled():
    """XLA takes a plain transpose into the product, and widens the operands of one that has a transposed operand."""
    x, w = drawn((32, 64), (64, 128))
    forwards = jax.jit(product("nd,df->nf")).lower(x, w).compile().as_text()
    if "f32[64,128]" in forwards:
        pytest.skip("here XLA widens the operands of every product")
    gradient = jax.grad(lambda x, w: jnp.sum(jnp.square(product("nd,df->nf")(x, w))), argnums=(0, 1))
    backwards = jax.jit(gradient).lower(x, w).compile().as_text()
    assert "bf16[128,64]" in backwards
    assert "f32[128,64]" not in backwards
    assert "bf16[64,32]" in backwards
    assert "f32[64,32]" not in backwards
