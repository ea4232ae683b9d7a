"""The product of narrow operands, whose derivatives are such products too."""

import functools
import string
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from seqmodels.cells.base import Array


def narrow_product(x: Array, w: Array, axes: str, *, turn: bool = False) -> Array:
    """The product of two arrays narrower than float32, accumulated and returned in float32.

        x̄ = ȳ wᵀ        w̄ = xᵀ ȳ,        with ȳ brought to the type of x and w

    JAX would leave ȳ wide, or else make the result of these two narrow. For both, XLA on CPU widens the operands first,
    which takes two to three times as long. So this is an operation of its own, linear in each operand, whose transposes
    are operations of its kind. Forward mode, `vmap` and derivatives of any order follow from that.

    Args:
      x: of bfloat16 or float16.
      w: of the type of `x`.
      axes: of x, w and the product, a letter each, as for `jnp.einsum`.
      turn: for matrices on one device: the transposes find their operands turned, see `turned`.

    Example:
      >>> narrow_product(jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 4), jnp.bfloat16), "nd,df->nf").dtype
      dtype('float32')
    """
    y: Array = _PRODUCT.bind(x, w, axes=axes, turn=turn)  # type: ignore[no-untyped-call]  # jax does not annotate it
    return y


def turned(x: Array) -> Array:
    """The last two axes in turned order, made beforehand: XLA on CPU does not do it as fast within a product."""
    made: Array = jax.lax.optimization_barrier(jnp.swapaxes(x, -1, -2))  # type: ignore[no-untyped-call]  # jax does not annotate it
    return made


def _turned_by_halves(x: Array) -> Array:
    """`turned` by way of one axis more, where x [..., N, D] has an even N: of two, XLA puts one into the product."""
    *lead, rows, size = x.shape
    if rows % 2:
        return turned(x)
    halves = jnp.moveaxis(x.reshape(*lead, 2, rows // 2, size), -1, -3).reshape(*lead, size, rows)
    made: Array = jax.lax.optimization_barrier(halves)  # type: ignore[no-untyped-call]  # jax does not annotate it
    return made


def _compute(x: Array, w: Array, *, axes: str, turn: bool) -> Array:
    del turn
    return jnp.einsum(axes, x, w, preferred_element_type=jnp.float32)


def _shape(x: Any, w: Any, **options: Any) -> Any:
    """Shape and type of the product, found by tracing it."""
    like = [jax.ShapeDtypeStruct(operand.shape, operand.dtype) for operand in (x, w)]  # type: ignore[no-untyped-call]  # jax does not annotate it
    return jax.make_jaxpr(functools.partial(_compute, **options))(*like).out_avals[0]


def _parts(axes: str) -> list[str]:
    """The axes of x, w and the product."""
    return axes.replace("->", ",").split(",")


def _x_bar(y_bar: Array, x: Any, w: Array, *, axes: str, turn: bool) -> Array:
    """ȳ wᵀ."""
    of_x, of_w, of_y = _parts(axes)
    if turn:
        w, of_w = _turned_by_halves(w), of_w[:-2] + of_w[:-3:-1]
    return narrow_product(y_bar.astype(w.dtype), w, f"{of_y},{of_w}->{of_x}", turn=turn).astype(x.aval.dtype)


def _w_bar(y_bar: Array, x: Array, w: Any, *, axes: str, turn: bool) -> Array:
    """xᵀ ȳ."""
    of_x, of_w, of_y = _parts(axes)
    if turn:
        x, of_x = _turned_by_halves(x), of_x[:-2] + of_x[:-3:-1]
    return narrow_product(x, y_bar.astype(x.dtype), f"{of_x},{of_y}->{of_w}", turn=turn).astype(w.aval.dtype)


def _side_by_side(operands: Any, places: Any, *, axes: str, turn: bool) -> tuple[Array, int]:
    """Many products at once, under `vmap`: one more axis, in front of the operands that have it."""
    of_x, of_w, of_y = _parts(axes)
    letter = next(letter for letter in string.ascii_letters if letter not in axes)
    (x, w), (x_place, w_place) = operands, places
    if x_place is not None:
        x, of_x = jnp.moveaxis(x, x_place, 0), letter + of_x
    if w_place is not None:
        w, of_w = jnp.moveaxis(w, w_place, 0), letter + of_w
    return narrow_product(x, w, f"{of_x},{of_w}->{letter}{of_y}", turn=turn), 0


_PRODUCT = Primitive("narrow_product")
_PRODUCT.def_impl(jax.jit(_compute, static_argnames=("axes", "turn")))  # type: ignore[no-untyped-call]  # jax does not annotate it
_PRODUCT.def_abstract_eval(_shape)  # type: ignore[no-untyped-call]  # jax does not annotate it
ad.defbilinear(_PRODUCT, _x_bar, _w_bar)  # type: ignore[no-untyped-call]  # jax does not annotate it
batching.primitive_batchers[_PRODUCT] = _side_by_side
mlir.register_lowering(_PRODUCT, mlir.lower_fun(_compute, multiple_results=False))
