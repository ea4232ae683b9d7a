"""Arrays in pieces, as devices share them: what a checkpoint stores, whoever shared them when it was saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Elements = np.ndarray[Any, Any]
Slices = tuple[slice, ...]


class Region(NamedTuple):
    """A part of an array, from the index `start` to before `stop`.

    Example:
      >>> Region((0, 2), (4, 6)).common(Region((2, 0), (6, 3)))
      Region(start=(2, 2), stop=(4, 3))
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @classmethod
    def of(cls, index: Slices, shape: tuple[int, ...]) -> Region:
        """The part of an array of this shape that an index names."""
        bounds = [part.indices(size)[:2] for part, size in zip(index, shape, strict=True)]
        return cls(tuple(start for start, _ in bounds), tuple(stop for _, stop in bounds))

    @classmethod
    def whole(cls, shape: Iterable[int]) -> Region:
        """All of an array."""
        stop = tuple(shape)
        return cls((0,) * len(stop), stop)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def common(self, other: Region) -> Region | None:
        """What two have in common, or None."""
        both = Region(tuple(map(max, self.start, other.start)), tuple(map(min, self.stop, other.stop)))
        return both if all(size > 0 for size in both.shape) else None

    def within(self, outer: Region) -> Slices:
        """The index of this part in an array that holds `outer`."""
        bounds = zip(self.start, self.stop, outer.start, strict=True)
        return tuple(slice(start - begin, stop - begin) for start, stop, begin in bounds)

    def __str__(self) -> str:
        return "[" + ", ".join(f"{a}:{b}" for a, b in zip(self.start, self.stop, strict=True)) + "]"


class Piece(NamedTuple):
    """A part of an array: where it lies, and its elements, on the host."""

    region: Region
    elements: Elements


def pieces_here(leaves: Mapping[str, Any]) -> dict[str, list[Piece]]:
    """Copies to the host what this process is to store of each array: every element is stored by one process.

    Args:
      leaves: arrays by name.

    Raises:
      TypeError: at a leaf that is no array, or one of keys.

    Example:
      >>> [(str(piece.region), piece.elements.sum()) for piece in pieces_here({"w": jnp.ones((2, 3))})["w"]]
      [('[0:2, 0:3]', np.float32(6.0))]
    """
    for name, leaf in leaves.items():
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            raise TypeError(f"{name} is not an array but {type(leaf).__name__}")
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError(f"{name} is a key; keep jax.random.key_data of it in its place")
        if isinstance(leaf, jax.Array):
            leaf.copy_to_host_async()
    return {name: _pieces(leaf) for name, leaf in leaves.items()}


def _pieces(leaf: Any) -> list[Piece]:
    if not isinstance(leaf, jax.Array):
        return [Piece(Region.whole(leaf.shape), np.asarray(leaf))] if jax.process_index() == 0 else []
    shards = (shard for shard in leaf.addressable_shards if shard.replica_id == 0)
    return [Piece(Region.of(shard.index, leaf.shape), np.asarray(shard.data)) for shard in shards]


def regions_wanted(like: Any) -> list[Region]:
    """The parts of an array that this process needs: those of its devices, or the whole."""
    if not _is_placed(like):
        return [Region.whole(like.shape)]
    indices = like.sharding.addressable_devices_indices_map(tuple(like.shape))
    return list(dict.fromkeys(Region.of(index, like.shape) for index in indices.values()))


def assemble(like: Any, pieces: Iterable[Piece]) -> jax.Array:
    """An array on the devices that its pattern names, or else on the default device, not bound to it.

    Args:
      like: something with a shape and perhaps a sharding.
      pieces: enough of them for `regions_wanted(like)`.

    Example:
      >>> halves = [Piece(Region((0,), (2,)), np.ones(2)), Piece(Region((2,), (4,)), np.zeros(2))]
      >>> assemble(np.empty(4), halves).tolist()
      [1.0, 1.0, 0.0, 0.0]
    """
    pieces = list(pieces)

    def part(region: Region) -> Elements:
        found = np.empty(region.shape, pieces[0].elements.dtype)
        for piece in pieces:
            if (both := piece.region.common(region)) is not None:
                found[both.within(region)] = piece.elements[both.within(piece.region)]
        return found

    if not _is_placed(like):
        return jnp.array(part(Region.whole(like.shape)))
    array: jax.Array = jax.make_array_from_callback(
        tuple(like.shape),
        like.sharding,
        # JAX says that an index may be None; it is not where the process has a device of the array
        lambda index: part(Region.of(index, like.shape)),  # type: ignore[arg-type]  # see above
    )
    return array


def _is_placed(like: Any) -> bool:
    """Whether it names its devices; an array that JAX put on the default device does not."""
    return getattr(like, "sharding", None) is not None and getattr(like, "committed", True)
