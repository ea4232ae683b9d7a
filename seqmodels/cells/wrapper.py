"""A cell around a cell."""

import dataclasses
from typing import Any

from seqmodels.cells.base import Array, GatedCell, PyTree


@dataclasses.dataclass(frozen=True)
class Wrapper(GatedCell):
    """A gated cell that changes some parts of another one; this base changes none.

    A wrapper without arrays of its own has the inner cell's parameters and state, so it can be put on or taken
    off a trained model.

    Args:
      cell: the inner cell.

    Raises:
      TypeError: if the inner cell is not a gated one.
    """

    cell: GatedCell

    def __post_init__(self) -> None:
        """Checks the inner cell."""
        if not isinstance(self.cell, GatedCell):
            wrapper, inner = type(self).__name__, type(self.cell).__name__
            raise TypeError(f"{wrapper} goes around a gated cell, such as LSTM or each cell of a Stack (got {inner})")

    @property
    def mixes_units(self) -> bool:  # type: ignore[override]  # a class variable elsewhere: here the inner cell decides
        """Whether the inner cell's gates look across units."""
        return self.cell.mixes_units

    @property
    def output_size(self) -> int:
        """The inner cell's."""
        return self.cell.output_size

    def init(self, key: Array, input_size: int) -> PyTree:
        """The inner cell's parameters."""
        return self.cell.init(key, input_size)

    def initial_state(self, params: PyTree, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The inner cell's initial state."""
        return self.cell.initial_state(params, batch_shape)

    def hidden(self, state: PyTree) -> Array:
        """The inner cell's h."""
        return self.cell.hidden(state)

    def project(self, params: PyTree, xs: Array) -> PyTree:
        """The inner cell's product with the inputs."""
        return self.cell.project(params, xs)

    def recur(self, params: PyTree, h: Array) -> PyTree:
        """The inner cell's recurrent product."""
        return self.cell.recur(params, h)

    def gate_params(self, params: PyTree) -> PyTree:
        """What the inner cell's gates read."""
        return self.cell.gate_params(params)

    def gates(self, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree, noise_t: PyTree) -> PyTree:
        """The inner cell's next state."""
        return self.cell.gates(gate_params, u_t, r_t, state, noise_t)

    def readout(self, params: PyTree, hs: Array, xs: Array) -> Array:
        """The inner cell's outputs."""
        return self.cell.readout(params, hs, xs)

    def noise(self, params: PyTree, key: Array, steps: int, batch_shape: tuple[int, ...]) -> tuple[PyTree, Any]:
        """The inner cell's noise."""
        return self.cell.noise(params, key, steps, batch_shape)
