"""A linear map."""

import dataclasses
import math
from typing import NamedTuple

import jax.numpy as jnp

from seqmodels.cells.base import Array, cast
from seqmodels.cells.draws import normal
from seqmodels.cells.products import product
from seqmodels.cells.spread import spread


class LinearParams(NamedTuple):
    """Weights `w` [D, F], or None where they are borrowed from elsewhere, and bias `b` [F]."""

    w: Array | None
    b: Array


@dataclasses.dataclass(frozen=True)
class Linear:
    """The map y = x w + b.

    Args:
      size: F.

    Example:
      >>> import jax
      >>> layer = Linear(size=4)
      >>> layer.apply(layer.init(jax.random.key(0), 3), jnp.ones((2, 3))).shape
      (2, 4)
    """

    size: int

    def init(self, key: Array, input_size: int) -> LinearParams:
        """Normal weights of variance 1 / D (LeCun), zero bias."""
        w = normal(key, (input_size, self.size)) / math.sqrt(input_size)
        return LinearParams(w, jnp.zeros(self.size))

    def apply(self, params: LinearParams, xs: Array) -> Array:
        """Maps [..., D] to [..., F], computed in the type of `xs`, returned in at least float32."""
        w, b = cast(params, xs.dtype)
        return product(xs, spread(w, axis=1), b)
