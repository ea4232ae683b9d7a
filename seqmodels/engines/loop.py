"""A scan for backward passes that the engines write themselves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree
from seqmodels.engines.packing import Packing, Packs, blank, put

Body = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]


def one_step(xs: PyTree) -> PyTree:
    """Zeros in the shape of one step of leaves [T, ...]."""
    return jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), xs)


def zero_after(x: Array) -> Array:
    """A zero that XLA does not know before `x` is there, so that what it is added to waits for `x`."""
    # Cut before it is flattened: devices that share x would have to put it together first.
    first = jnp.sum(x[(slice(0, 1),) * x.ndim])
    return (jnp.isinf(first) & jnp.isnan(first)).astype(x.dtype)  # which nothing is


def loop(
    body: Body,
    carry: PyTree,
    xs: PyTree,
    *,
    reverse: bool = False,
    unroll: int = 1,
    packs: Packs = lambda leaf: False,
) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan` whose stacked outputs take up memory from the first step on, and not before.

    XLA fills the output buffers of a `lax.scan` with a constant, which it puts at the start of the whole program: the
    buffers of a backward loop then lie beside all that the forward loop needs. Here they are filled with a number
    that depends on `xs`.

    Args:
      body: `(carry, x_t) -> (carry, y_t)`.
      carry: what the first step takes.
      xs: leaves [T, ...]; at least one.
      reverse: from the last step to the first; outputs stay at their input positions.
      unroll: steps in one turn of the compiled loop.
      packs: which outputs of a step are written to one array with those of the same shape and type.

    Returns:
      `(carry, ys)`, with leaves of `ys` [T, ...].

    Example:
      >>> loop(lambda total, x: (total + x, total), jnp.array(0), jnp.arange(4))[1].tolist()
      [0, 0, 1, 3]
    """
    leaves = jax.tree.leaves(xs)
    steps = leaves[0].shape[0]
    y_like = jax.eval_shape(body, carry, one_step(xs))[1]
    packing = Packing.of(y_like, packs)
    arrays = blank(packing, y_like, steps, zero_after(leaves[0]))

    def step(t: Array, carries: tuple[PyTree, list[Array]]) -> tuple[PyTree, list[Array]]:
        carry, arrays = carries
        carry, y_t = body(carry, take(xs, t))
        return carry, put(packing, arrays, y_t, t)

    if steps == 0:
        return carry, packing.unpack(arrays)
    carry, arrays = sweep(step, (carry, arrays), steps, reverse=reverse, unroll=unroll)
    return carry, packing.unpack(arrays)


def sweep(
    step: Callable[[Array, PyTree], PyTree], carry: PyTree, steps: int, *, reverse: bool = False, unroll: int = 1
) -> Any:
    """The carry after `step(t, carry)` for all t from 0, or down to 0."""

    def turn(n: Array, carry: PyTree) -> PyTree:
        return step(steps - 1 - n if reverse else n, carry)

    return jax.lax.fori_loop(0, steps, turn, carry, unroll=unroll)


def take(tree: PyTree, t: Array) -> PyTree:
    """Step t of leaves [T, ...]."""
    return jax.tree.map(lambda x: _step(x, t), tree)


def _step(x: Array, t: Array) -> Array:
    step: Array = jax.lax.dynamic_index_in_dim(x, t, 0, keepdims=False, allow_negative_indices=False)
    return step
