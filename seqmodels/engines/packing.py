"""Arrays of one shape and type, kept in one array."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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


class Joining(NamedTuple):
    """How a tuple of trees stands in fewer arrays: all leaves of a tree one behind the other in the last axis.

    So the gates of a cell lie as they do in its weights, and a product with all of them reads them as they are. A tree
    whose leaves differ in more than that axis stays as it is.

    Attributes:
      like: the trees, or the shapes of their leaves.

    Example:
      >>> joining = Joining(({"f": jnp.zeros((2, 3)), "i": jnp.ones((2, 3))},))
      >>> joined = joining.pack(joining.like)
      >>> [array.shape for array in joined], joining.unpack(joined)[0]["i"].tolist()
      ([(2, 6)], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    """

    like: tuple[PyTree, ...]

    def pack(self, trees: tuple[PyTree, ...]) -> list[Array]:
        """The arrays."""
        arrays: list[Array] = []
        for tree in trees:
            leaves = jax.tree.leaves(tree)
            arrays += [jnp.concatenate(leaves, axis=-1)] if _can_join(leaves) else leaves
        return arrays

    def unpack(self, arrays: list[Array]) -> tuple[PyTree, ...]:
        """The trees again, of arrays that may have got further axes in front."""
        rest, trees = iter(arrays), []
        for tree in self.like:
            leaves, structure = jax.tree.flatten(tree)
            if _can_join(leaves):
                parts = jnp.split(next(rest), np.cumsum([leaf.shape[-1] for leaf in leaves])[:-1], axis=-1)
            else:
                parts = [next(rest) for _ in leaves]
            trees.append(jax.tree.unflatten(structure, parts))
        return tuple(trees)


def _can_join(leaves: list[Any]) -> bool:
    return len({(leaf.shape[:-1], leaf.dtype) for leaf in leaves}) == 1 and len(leaves) > 1 and leaves[0].ndim > 0


def blank(packing: Packing | Joining, like: Any, steps: int, seed: Array) -> list[Array]:
    """Arrays [steps, ...] for trees like this one, filled with a number."""
    packed = jax.eval_shape(packing.pack, like)
    return [jnp.broadcast_to(seed.astype(leaf.dtype), (steps, *leaf.shape)) for leaf in packed]


def put(packing: Packing | Joining, arrays: list[Array], tree: Any, t: Array) -> list[Array]:
    """Arrays [T, ...] with a tree at t."""
    return [
        jax.lax.dynamic_update_index_in_dim(array, leaf, t, 0, allow_negative_indices=False)
        for array, leaf in zip(arrays, packing.pack(tree), strict=True)
    ]
