"""Items in groups."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

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
