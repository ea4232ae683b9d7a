"""Matrix products, and derivative rules for them that XLA does well."""

import string
from typing import Any, Final

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from seqmodels.cells.base import Array
from seqmodels.cells.narrow import narrow_product, turned
from seqmodels.cells.spread import is_shared, model_devices, spread

MANY_ROWS: Final = 128
"""So many rows repay XLA on CPU for turning the weights in their product; for fewer they are turned beforehand."""


def product(x: Array, w: Array, b: Array | None = None) -> Array:
    """The matrix product x w (+ b), accumulated and returned in at least float32.

    Args:
      x: [..., D], any floating type; it is brought to that of `w`, so that products can follow each other.
      w: [D, F], of the compute type.
      b: [F], of the type of `w`, or None.

    Raises:
      ValueError: if the last dimension of `x` is not D.

    Returns:
      [..., F]; float32 where `w` is narrower, else the type of `w`.

    Example:
      >>> product(jnp.ones((2, 3), jnp.bfloat16), jnp.ones((3, 4), jnp.bfloat16)).dtype
      dtype('float32')
    """
    if x.shape[-1] != w.shape[0]:
        raise ValueError(f"the inputs have {x.shape[-1]} features, the weights take {w.shape[0]}")
    if is_shared():
        y = _shared(x.astype(w.dtype), w)
    else:
        # As rows, because XLA on CPU takes twice as long for the gradient of w where x has more axes.
        y = _matmul(x.reshape(-1, x.shape[-1]).astype(w.dtype), w).reshape(*x.shape[:-1], w.shape[-1])
    return y if b is None else y + b.astype(y.dtype)


def gate_products(x: Array, w: Array, gates: int, b: Array | None = None) -> tuple[Array, ...]:
    """The product x w (+ b) of weights that lie gate beside gate, cut into the gates.

    Where several devices share the model, each has the same units of all gates: then a step of a recurrence hands
    only h from device to device. Cut as the weights lie, a device would have units of one gate, and gates would have
    to be handed on before they can meet.

    Args:
      x: [..., D], as for `product`.
      w: [D, G*H].
      gates: G.
      b: [G*H], or None.

    Returns:
      G arrays [..., H], of the type that `product` returns.

    Example:
      >>> [gate.tolist() for gate in gate_products(jnp.ones((1, 2)), jnp.eye(2, 4), gates=2)]
      [[[1.0, 1.0]], [[0.0, 0.0]]]
    """
    if model_devices() == 1:
        return tuple(jnp.split(product(x, w, b), gates, axis=-1))
    # The loop does not change w, so XLA takes all but the product itself out of it.
    by_unit = spread(w.reshape(w.shape[0], gates, -1), axis=-1)
    y = _shared(x.astype(w.dtype), by_unit)
    if b is not None:
        y = y + b.reshape(gates, -1).astype(y.dtype)
    return tuple(y[..., gate, :] for gate in range(gates))


def _shared(x: Array, w: Array) -> Array:
    """X [..., D] times w [D, ...] with all its axes, in at least float32.

    Devices that share rows could not keep them apart in an axis that rows and time have been put into: each would be
    handed the whole batch.
    """
    if x.dtype.itemsize >= 4:
        return jnp.tensordot(x, w, 1)
    rows, features = string.ascii_lowercase[: x.ndim - 1], string.ascii_uppercase[: w.ndim - 1]
    return narrow_product(x, w, f"{rows}z,z{features}->{rows}{features}")


def _matmul(x: Array, w: Array) -> Array:
    """X [N, D] times w [D, F], in at least float32."""
    return narrow_product(x, w, "nd,df->nf", turn=True) if x.dtype.itemsize < 4 else _wide(x, w)


@jax.custom_jvp
def _wide(x: Array, w: Array) -> Array:
    return jnp.matmul(x, w)


def _wide_jvp(primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    """The product rule, written so that what its terms are when transposed, ȳ wᵀ and xᵀ ȳ, is fast."""
    (x, w), (x_dot, w_dot) = primals, tangents
    terms = []
    if not isinstance(x_dot, SymbolicZero):
        few = x.shape[0] < MANY_ROWS
        terms.append(jax.lax.dot_general(x_dot, turned(w), (((1,), (1,)), ((), ()))) if few else jnp.matmul(x_dot, w))
    if not isinstance(w_dot, SymbolicZero):
        terms.append(jax.lax.dot_general(turned(x), w_dot, (((0,), (0,)), ((), ()))))
    return _wide(x, w), sum(terms[1:], terms[0])


_wide.defjvp(_wide_jvp, symbolic_zeros=True)
