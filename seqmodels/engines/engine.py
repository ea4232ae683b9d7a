"""What every engine takes and gives."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree


class Inputs(NamedTuple):
    """One sequence made ready for an engine: time first, to be read forwards, padding zeroed.

    Attributes:
      xs: [T, *batch, D]; its type is the compute type.
      state: the state before the first step, leaves [*batch, ...], at least float32.
      valid: [T, *batch] booleans, False on padding, where the state must stand still; None: all valid.
      resets: [T, *batch] booleans, True where the state is set to `fresh` before the step; None: nowhere.
      fresh: what resets put in place of the state, like `state`; None without resets.
      noise_ts: the cell's noise for each step, leaves [T, *batch, ...], or None.
    """

    xs: Array
    state: PyTree
    valid: Array | None
    resets: Array | None
    fresh: PyTree
    noise_ts: PyTree


@dataclasses.dataclass(frozen=True)
class Engine(abc.ABC):
    """One way of running a cell over time; its fields are options, its defaults what the name stands for.

    A value like a cell: hashable, comparable, printable, static to JAX.

    Attributes:
      name: what `unroll(..., method=name)` asks for.
      kinds: the kinds of cell it can run, subclasses of `Cell`.
      side_by_side: whether two runs of one cell, such as those of two directions, are well done under one `vmap`.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[type[Cell], ...]]
    side_by_side: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        jax.tree_util.register_static(cls)

    @abc.abstractmethod
    def run(
        self, cell: Any, params: PyTree, inputs: Inputs, observe: Callable[[PyTree], PyTree]
    ) -> tuple[PyTree, PyTree, Array]:
        """Runs a cell of one of its kinds.

        Args:
          cell: the cell.
          params: its parameters as the user has them.
          inputs: the sequence.
          observe: what is wanted of every state; must itself be hashable.

        Returns:
          `(state, observed, ys)`: the state after the last step; `observe(state)` of every step, time first; the
          outputs [T, *batch, F] in the type of `inputs.xs`. Outputs on padding may be anything finite.
        """


def over_time(a: Array, b: Array) -> Array:
    """A coefficient with the time axis of `b` [T, *batch, H]: one that is the same at every step gets batches of 1."""
    return a if a.ndim == b.ndim else jnp.broadcast_to(a, (b.shape[0], *(1,) * (b.ndim - 2), b.shape[-1]))


def select(where: Array | None, then: PyTree, other: PyTree) -> PyTree:
    """`then` in the rows where `where` [*batch] is True, `other` elsewhere; `other` where there is no `where`."""
    if where is None:
        return other

    def leaf(a: Array, b: Array) -> Array:
        return jnp.where(where.reshape(where.shape + (1,) * (b.ndim - where.ndim)), a, b)

    return jax.tree.map(leaf, then, other)


def earlier(first: PyTree, states: PyTree) -> PyTree:
    """The states before each step, from the first one and those after each, leaves [T, ...]."""
    return jax.tree.map(lambda first, later: jnp.concatenate([first[None], later])[:-1], first, states)


def final(first: PyTree, states: PyTree) -> PyTree:
    """The state after the last step: the first one where there are no steps."""
    return jax.tree.map(lambda first, later: jnp.concatenate([first[None], later])[-1], first, states)
