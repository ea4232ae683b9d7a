"""Linear recurrences whose coefficients are blocks of numbers, and states laid out for them."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.engines.gated import Given


class Blocks(NamedTuple):
    """States as arrays [T, *batch, K, m]: one block of all n numbers, or one for each unit.

    Attributes:
      like: the state of one step, as shapes.
      axes: how many of a leaf's axes are the batch's.
      diagonal: K = H blocks of one number from each leaf, in place of K = 1 of all.
    """

    like: PyTree
    axes: int
    diagonal: bool

    @classmethod
    def of(cls, given: Given, *, diagonal: bool) -> "Blocks":
        """For the state of a run.

        Raises:
          ValueError: if the leaves have not one number a unit each, where they are to be taken by units.
        """
        like = jax.eval_shape(lambda state: state, given.state)
        axes = given.xs.ndim - 2
        shapes = {leaf.shape[axes:] for leaf in jax.tree.leaves(like)}
        if diagonal and (len(shapes) > 1 or any(len(shape) != 1 for shape in shapes)):
            raise ValueError(f"a state of shapes {sorted(shapes)} is not one number a unit; use jacobian='full'")
        return cls(like, axes, diagonal)

    def pack(self, states: PyTree) -> Array:
        """[T, *batch, K, m] from leaves [T, *batch, ...]."""
        leaves = jax.tree.leaves(states)
        if self.diagonal:
            return jnp.stack(leaves, axis=-1)
        lead = leaves[0].shape[: self.axes + 1]
        return jnp.concatenate([leaf.reshape(*lead, 1, math.prod(leaf.shape[len(lead) :])) for leaf in leaves], axis=-1)

    def unpack(self, packed: Array) -> PyTree:
        """Undoes `pack`."""
        leaves, structure = jax.tree.flatten(self.like)
        if self.diagonal:
            parts = [packed[..., n] for n in range(len(leaves))]
        else:
            sizes = [math.prod(leaf.shape[self.axes :]) for leaf in leaves]
            parts = jnp.split(packed[..., 0, :], np.cumsum(sizes)[:-1], axis=-1)
        shaped = [
            part.reshape(*part.shape[:-1], *leaf.shape[self.axes :]) for part, leaf in zip(parts, leaves, strict=True)
        ]
        return jax.tree.unflatten(
            structure, [part.astype(leaf.dtype) for part, leaf in zip(shaped, leaves, strict=True)]
        )

    def columns(self, push: Callable[[PyTree], PyTree], states: PyTree) -> Array:
        """The matrix [T, *batch, K, m, m] of a linear map of states that joins no two blocks."""
        packed = self.pack(states)
        units = jnp.eye(packed.shape[-1], dtype=packed.dtype)
        answers = jax.vmap(lambda unit: self.pack(push(self.unpack(jnp.broadcast_to(unit, packed.shape)))))(units)
        return jnp.moveaxis(answers, 0, -1)


def recurrence(matrices: Array, vectors: Array) -> Array:
    """All xₜ = Aₜ xₜ₋₁ + bₜ from A [T, ..., m, m] and b [T, ..., m], with 0 before the first.

    Example:
      >>> recurrence(jnp.full((3, 1, 1), 2.0), jnp.ones((3, 1)))[:, 0].tolist()
      [1.0, 3.0, 7.0]
    """
    if vectors.shape[0] == 0:
        return vectors

    def then(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
        (a_1, b_1), (a_2, b_2) = first, second
        return _times(a_2, a_1), _times(a_2, b_1[..., None])[..., 0] + b_2

    xs: Array = jax.lax.associative_scan(then, (matrices, vectors))[1]
    return xs


def _times(a: Array, b: Array) -> Array:
    """The products of many matrices; small ones number by number, since a call for each costs more than they do."""
    if a.shape[-1] > 4:
        return a @ b
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)
