"""Keys, and random numbers for parameters, made so that XLA compiles them once however many a program has."""

import math
from typing import Final

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array

SIZES: Final = (2**16, 2**18, 2**20)
"""Of how many numbers a draw is. A larger one is made as it is, by the devices that share it, each its part."""

TOGETHER: Final = 4
"""Keys are split by multiples of this."""


def keys(key: Array, number: int) -> tuple[Array, ...]:
    """The first `number` keys that `jax.random.split` makes of a key, which do not depend on how many it makes.

    Example:
      >>> [bool(own == other) for own, other in zip(keys(jax.random.key(0), 2), jax.random.split(jax.random.key(0)))]
      [True, True]
    """
    return tuple(jax.random.split(key, math.ceil(number / TOGETHER) * TOGETHER)[:number])


def split_key(key: Array | None, number: int) -> tuple[Array | None, ...]:
    """`keys` of a key that may be None: then all are None."""
    return (None,) * number if key is None else keys(key, number)


def normal(key: Array, shape: tuple[int, ...]) -> Array:
    """`jax.random.normal(key, shape)`: from the standard normal distribution.

    XLA compiles equal pieces of a program once, and each draw of another shape takes it about 0.1 s on a CPU, those
    with more axes more. So a draw here is the beginning of a row of one of a few sizes. It holds the same numbers:
    JAX's generator makes each from its place in the row.

    Example:
      >>> bool((normal(jax.random.key(0), (2, 3)) == jax.random.normal(jax.random.key(0), (2, 3))).all())
      True
    """
    return _cut(jax.random.normal(key, _drawn(shape)), shape)


def uniform(key: Array, shape: tuple[int, ...], low: float, high: float) -> Array:
    """`jax.random.uniform(key, shape, float, low, high)`, drawn like `normal`."""
    return _cut(jax.random.uniform(key, _drawn(shape), float, low, high), shape)


def _drawn(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the draw that one of `shape` is cut from."""
    count = math.prod(shape)
    return next(((size,) for size in SIZES if size >= count), shape)


def _cut(drawn: Array, shape: tuple[int, ...]) -> Array:
    return drawn if drawn.shape == shape else jnp.reshape(drawn[: math.prod(shape)], shape)
