"""One sequence as a model's recurrent cell reads it, with what its outputs cost: what `seqmodels analyze` looks at."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.cells.base import Array, PyTree


class Reading(NamedTuple):
    """A sequence, and one cost of it, seen from the model's recurrent cell; without noise.

    Attributes:
      cell: a cell, or a composite of cells.
      params: the cell's.
      xs: the cell's inputs, float32 [time, D].
      cost: from the cell's last state and its outputs [time, F] to a number.
      asked: what the cost is of, such as "the last symbol".
      unit: what the cell reads at a step, such as "symbol".
      names: what stands at each step; None: the inputs speak for themselves, and the steps are numbered.
    """

    cell: Any
    params: PyTree
    xs: Array
    cost: Callable[[PyTree, Array], Array]
    asked: str
    unit: str
    names: Sequence[str] | None = None


def longest(lengths: npt.ArrayLike, most: int) -> int:
    """Which of some sequences is worth looking at: the longest of no more than `most` steps, else the shortest.

    Example:
      >>> longest([3, 9, 5, 0], 6), longest([9, 7], 6)
      (2, 1)
    """
    given = np.asarray(lengths)
    fitting = np.where(given <= most, given, -1)
    return int(fitting.argmax() if fitting.max() > 0 else given.argmin())
