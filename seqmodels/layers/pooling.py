"""One vector for a whole sequence."""

import dataclasses
import math
from typing import Final, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, state_dtype
from seqmodels.cells.draws import keys, normal
from seqmodels.layers.linear import Linear, LinearParams

POOLINGS: Final = ("last", "mean", "max", "attention")
_LOW: Final = -1e30  # below every score; minus infinity less itself would be no number


class AttentionParams(NamedTuple):
    """A map `hidden` [F, F] and the `query` [F] that scores what it gives."""

    hidden: LinearParams
    query: Array


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Makes one vector of the outputs yₜ of a sequence of length n.

        last       y_n; of outputs read backwards y₁
        mean       Σₜ yₜ / n
        max        maxₜ yₜ, feature by feature
        attention  Σₜ aₜ yₜ        a = softmax over t of q · tanh(yₜ W + b)

    What is beyond the length reaches neither values nor gradients. A row of length 0 gives zeros.

    Args:
      name: one of these.
      backwards: for `last`: how many of the features, the last ones, were read backwards.

    Raises:
      ValueError: for another name.

    Example:
      >>> layer = Pooling("mean")
      >>> ys = jnp.array([[[2.0], [4.0], [jnp.nan]], [[jnp.nan], [jnp.nan], [jnp.nan]]])
      >>> layer.apply(layer.init(jax.random.key(0), 1), ys, jnp.array([2, 0])).tolist()
      [[3.0], [0.0]]

    References:
      Yang et al. (2016), Hierarchical attention networks for document classification (attention).
    """

    name: str
    backwards: int = 0

    def __post_init__(self) -> None:
        """Checks the name."""
        if self.name not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)} (got {self.name!r})")

    def init(self, key: Array, input_size: int) -> AttentionParams | None:
        """Parameters for F features: those of attention, with a normal query of expected norm 1; else None."""
        if self.name != "attention":
            return None
        key_hidden, key_query = keys(key, 2)
        query = normal(key_query, (input_size,)) / math.sqrt(input_size)
        return AttentionParams(Linear(input_size).init(key_hidden, input_size), query)

    def apply(self, params: AttentionParams | None, ys: Array, lengths: Array | None = None) -> Array:
        """Pools outputs [batch, time, F] of `lengths` [batch] (None: all whole) to [batch, F] of the same type."""
        lengths = jnp.full(ys.shape[:1], ys.shape[1], jnp.int32) if lengths is None else lengths.astype(jnp.int32)
        valid = (jnp.arange(ys.shape[1], dtype=jnp.int32) < lengths[:, None])[..., None]
        ys = jnp.where(valid, ys, jnp.zeros_like(ys))
        pooled = self._pool(params, ys.astype(state_dtype(ys.dtype)), lengths, valid)
        return pooled.astype(ys.dtype)

    def _pool(self, params: AttentionParams | None, ys: Array, lengths: Array, valid: Array) -> Array:
        """Of outputs that are 0 beyond the lengths, in float32 at least; `valid` is [batch, time, 1]."""
        if params is not None:
            scores = jnp.tanh(Linear(ys.shape[-1]).apply(params.hidden, ys)) @ params.query.astype(ys.dtype)
            weights = jax.nn.softmax(jnp.where(valid[..., 0], scores, _LOW), axis=-1)
            return jnp.einsum("bt,btf->bf", weights, ys)
        if self.name == "last":
            forwards = ys.shape[-1] - self.backwards
            last = jnp.take_along_axis(ys, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
            return jnp.concatenate([last[:, :forwards], ys[:, 0, forwards:]], axis=-1)
        if self.name == "mean":
            return ys.sum(axis=1) / jnp.maximum(lengths, 1).astype(ys.dtype)[:, None]
        return jnp.where(lengths[:, None] > 0, jnp.where(valid, ys, -jnp.inf).max(axis=1), 0.0)
