"""Arrays of one shape and type, kept in one array."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree

Packs = Callable[[Any], bool]
"""Whether an array, or its shape, is kept in one with others like it."""


class Packing(NamedTuple):
    """How the leaves of a tree stand in fewer arrays: those of one shape and type beside each other.

    They stand in an axis of their own, before the last one, so that what devices share of a leaf they share of all.

    Attributes:
      structure: of the tree.
      groups: the numbers of the leaves in each array.

    Example:
      >>> tree = {"c": jnp.zeros(2), "h": jnp.ones(2), "n": jnp.array(3)}
      >>> packing = Packing.of(tree, lambda leaf: True)
      >>> packed = packing.pack(tree)
      >>> [array.shape for array in packed], packing.unpack(packed)["h"].tolist()
      ([(2, 2), ()], [1.0, 1.0])
    """

    structure: Any
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, like: PyTree, packs: Packs) -> "Packing":
        """For trees of such leaves, arrays or their shapes; numbers and what `packs` denies stay by themselves."""
        leaves, structure = jax.tree.flatten(like)
        groups: dict[Any, list[int]] = {}
        for number, leaf in enumerate(leaves):
            groups.setdefault((leaf.shape, leaf.dtype) if leaf.ndim and packs(leaf) else number, []).append(number)
        return cls(structure, tuple(map(tuple, groups.values())))

    def pack(self, tree: PyTree) -> list[Array]:
        """The arrays."""
        leaves = jax.tree.leaves(tree)
        return [
            leaves[group[0]] if len(group) == 1 else jnp.stack([leaves[number] for number in group], axis=-2)
            for group in self.groups
        ]

    def unpack(self, arrays: list[Array]) -> PyTree:
        """The tree again, of arrays that may have got further axes in front."""
        leaves: dict[int, Array] = {}
        for group, array in zip(self.groups, arrays, strict=True):
            apart = [array] if len(group) == 1 else [array[..., place, :] for place in range(len(group))]
            leaves |= dict(zip(group, apart, strict=True))
        return jax.tree.unflatten(self.structure, [leaves[number] for number in range(len(leaves))])
