"""Random masks of the regularisers."""

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array


def check_rate(name: str, rate: float) -> None:
    """Raises ValueError unless 0 <= rate < 1."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"{name} must be at least 0 and below 1 (got {rate})")


def dropout_mask(key: Array, rate: float, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """An inverted dropout mask: 0 with probability `rate`, else 1 / (1 - rate), so that the mean is 1.

    Example:
      >>> mask = dropout_mask(jax.random.key(0), 0.5, (1000,), jnp.float32)
      >>> sorted(set(mask.tolist()))
      [0.0, 2.0]

    References:
      Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.
    """
    keep = jax.random.bernoulli(key, 1.0 - rate, shape)
    return keep.astype(dtype) / (1.0 - rate)


def dropout(key: Array | None, xs: Array, rate: float, *, variational: bool = False) -> Array:
    """Drops features of sequences; without a key it does nothing.

    Args:
      key: for the mask, or None.
      xs: [*batch, time, F].
      rate: probability of dropping a feature.
      variational: one mask for all time steps, in place of a new one at every step.

    Returns:
      Like `xs`, with the same mean.

    Example:
      >>> ys = dropout(jax.random.key(0), jnp.ones((2, 5, 3)), 0.5, variational=True)
      >>> bool((ys == ys[:, :1]).all())
      True
    """
    if key is None or rate == 0.0:
        return xs
    shape = (*xs.shape[:-2], 1, xs.shape[-1]) if variational else xs.shape
    return xs * dropout_mask(key, rate, shape, xs.dtype)
