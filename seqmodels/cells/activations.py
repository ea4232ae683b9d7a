"""Activations that several cells have."""

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array


def positive(x: Array) -> Array:
    """g(x) = x + ½ for x ≥ 0, else σ(x): continuous and never negative.

    Example:
      >>> positive(jnp.array([-1000.0, 0.0, 2.0])).tolist()
      [0.0, 0.5, 2.5]

    References:
      Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?
    """
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))
