"""A vector for every symbol."""

import dataclasses
import math

import jax.numpy as jnp

from seqmodels.cells.base import Array
from seqmodels.cells.draws import normal
from seqmodels.cells.masks import check_rate, dropout_mask
from seqmodels.cells.spread import spread


@dataclasses.dataclass(frozen=True)
class Embedding:
    """Looks up one vector a symbol.

    Args:
      vocabulary_size: V.
      size: E.
      dropout: rate of dropping whole symbols: all occurrences of a dropped symbol in a run become zero.

    Example:
      >>> import jax
      >>> layer = Embedding(vocabulary_size=10, size=4)
      >>> layer.apply(layer.init(jax.random.key(0)), jnp.array([[1, 2, 1]])).shape
      (1, 3, 4)

    References:
      Gal & Ghahramani (2016), A theoretically grounded application of dropout in recurrent neural networks.
    """

    vocabulary_size: int
    size: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Checks the rate."""
        check_rate("the dropout of Embedding", self.dropout)

    def init(self, key: Array) -> Array:
        """Normal vectors [V, E] of expected norm 1."""
        return normal(key, (self.vocabulary_size, self.size)) / math.sqrt(self.size)

    def apply(self, table: Array, ids: Array, *, key: Array | None = None, dtype: jnp.dtype | None = None) -> Array:
        """The vectors of `ids`.

        Args:
          table: [V, E].
          ids: integers [...] in [0, V); others take the nearest vector.
          key: for dropout, or None.
          dtype: the type of the result; None: that of `table`.

        Returns:
          [..., E].
        """
        xs = _rows(spread(table, axis=0), ids).astype(dtype or table.dtype)
        if key is None or self.dropout == 0.0:
            return xs
        mask = dropout_mask(key, self.dropout, (self.vocabulary_size, 1), xs.dtype)
        return xs * _rows(mask, ids)


def _rows(table: Array, ids: Array) -> Array:
    """Rows [..., T, E] of ids [..., T], looked up time first, as engines take them: then nothing is moved for these."""
    if ids.ndim < 2:
        return jnp.take(table, ids, axis=0, mode="clip")
    return jnp.moveaxis(jnp.take(table, jnp.moveaxis(ids, -1, 0), axis=0, mode="clip"), 0, -2)
