"""Cells on top of one another."""

import dataclasses

from seqmodels.cells.base import Array, Cell, Composite, PyTree, Run
from seqmodels.cells.draws import keys, split_key
from seqmodels.cells.masks import check_rate, dropout


@dataclasses.dataclass(frozen=True)
class Stack(Composite, Cell):
    """Layers of cells, each reading the outputs of the one below.

    It is a cell itself: stepped as one while streaming, run layer by layer over a whole sequence.

    Args:
      cells: from the bottom to the top; a list becomes a tuple.
      dropout: rate of dropping the connections between layers (not into the first, nor out of the last).
      variational: one dropout mask for all time steps of a run, in place of a new one at every step.

    Example:
      >>> import jax, jax.numpy as jnp, seqmodels as sm
      >>> stack = sm.Stack([sm.LSTM(hidden_size=8), sm.GRU(hidden_size=4)])
      >>> params = stack.init(jax.random.key(0), 3)
      >>> state, ys = sm.unroll(stack, params, jnp.ones((2, 5, 3)))
      >>> ys.shape, state[0].c.shape
      ((2, 5, 4), (2, 8))

    References:
      Graves (2013), Generating sequences with recurrent neural networks; Zaremba, Sutskever & Vinyals (2014),
      Recurrent neural network regularization (dropout between layers).
    """

    cells: tuple[Cell, ...]
    dropout: float = 0.0
    variational: bool = False

    def __post_init__(self) -> None:
        """Checks the layers; a list becomes a tuple."""
        object.__setattr__(self, "cells", tuple(self.cells))
        check_rate("the dropout of Stack", self.dropout)
        if not self.cells:
            raise ValueError("Stack needs at least one cell")

    @property
    def parts(self) -> tuple[Cell, ...]:
        """The layers."""
        return self.cells

    @property
    def output_size(self) -> int:
        """The top layer's."""
        return self.cells[-1].output_size

    def init(self, key: Array, input_size: int) -> tuple[PyTree, ...]:
        """One set of parameters a layer."""
        sizes = [input_size, *(cell.output_size for cell in self.cells[:-1])]
        each = zip(self.cells, keys(key, len(self.cells)), sizes, strict=True)
        return tuple(cell.init(k, size) for cell, k, size in each)

    def initial_state(self, params: tuple[PyTree, ...], batch_shape: tuple[int, ...] = ()) -> tuple[PyTree, ...]:
        """One state a layer."""
        return tuple(cell.initial_state(p, batch_shape) for cell, p in zip(self.cells, params, strict=True))

    def step(self, params: tuple[PyTree, ...], state: tuple[PyTree, ...], x_t: Array) -> tuple[PyTree, Array]:
        """One time step through all layers."""
        states = []
        for cell, p, s in zip(self.cells, params, state, strict=True):
            new, x_t = cell.step(p, s, x_t)
            states.append(new)
        return tuple(states), x_t

    def compose(
        self, run: Run, params: tuple[PyTree, ...], xs: Array, state: tuple[PyTree, ...], key: Array | None
    ) -> tuple[tuple[PyTree, ...], Array]:
        """Layer by layer over the whole sequence."""
        keys = split_key(key, 2 * len(self.cells))
        states = []
        for layer, (cell, p, s) in enumerate(zip(self.cells, params, state, strict=True)):
            if layer > 0:
                xs = dropout(keys[2 * layer], xs, self.dropout, variational=self.variational)
            new, xs = run(cell, p, xs, s, keys[2 * layer + 1])
            states.append(new)
        return tuple(states), xs
