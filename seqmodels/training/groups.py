"""Items in groups."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

import jax
import numpy as np

from seqmodels.cells.base import PyTree

T = TypeVar("T")


def batched(items: Iterable[T], number: int) -> Iterator[tuple[T, ...]]:
    """Groups of `number` items; `itertools.batched` came with Python 3.12.

    Example:
      >>> list(batched("abcd", 2))
      [('a', 'b'), ('c', 'd')]
    """
    items = iter(items)
    while group := tuple(itertools.islice(items, number)):
        yield group


def stacked(batches: Iterable[PyTree], number: int) -> Iterator[PyTree]:
    """What steps of `number` batches each read: these along a new first axis, or the one batch as it is.

    Example:
      >>> [step.tolist() for step in stacked(np.arange(4), 2)], list(stacked("ab", 1))
      ([[0, 1], [2, 3]], ['a', 'b'])
    """
    if number == 1:
        return iter(batches)
    return (jax.tree.map(lambda *leaves: np.stack(leaves), *group) for group in batched(batches, number))
