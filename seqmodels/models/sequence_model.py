"""A recurrent model of sequences of vectors."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree
from seqmodels.cells.draws import keys, split_key
from seqmodels.cells.masks import check_rate
from seqmodels.engines import unroll
from seqmodels.layers import Linear, LinearParams, dropout


class SequenceModelParams(NamedTuple):
    """The cell's parameters, and those of the linear `output`."""

    cell: PyTree
    output: LinearParams


@dataclasses.dataclass(frozen=True)
class SequenceModel:
    """Reads vectors and gives an output at every step: a recurrent cell, and a linear map of what it puts out.

        yₜ = cell(x₁ … xₜ) W + b

    Args:
      input_size: D.
      cell: reads the inputs; usually a `Stack`.
      output_size: K.
      input_dropout: rate of dropping features of the inputs.
      output_dropout: rate of dropping features of what the cell puts out.
      method: the engine that runs the cell.
      compute_dtype: of products and activations, "float32" or "bfloat16"; parameters stay as they are.

    Example:
      >>> import jax, seqmodels as sm
      >>> model = SequenceModel(input_size=2, cell=sm.LSTM(hidden_size=8), output_size=1)
      >>> state, ys = model.apply(model.init(jax.random.key(0)), jnp.ones((3, 5, 2)))
      >>> ys.shape
      (3, 5, 1)
    """

    input_size: int
    cell: Cell
    output_size: int
    _: dataclasses.KW_ONLY
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    method: str = "auto"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        """Checks the rates."""
        check_rate("input_dropout", self.input_dropout)
        check_rate("output_dropout", self.output_dropout)

    def init(self, key: Array) -> SequenceModelParams:
        """Draws all parameters."""
        key_cell, key_output = keys(key, 2)
        return SequenceModelParams(
            cell=self.cell.init(key_cell, self.input_size),
            output=Linear(self.output_size).init(key_output, self.cell.output_size),
        )

    def initial_state(self, params: SequenceModelParams, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The cell's initial state."""
        return self.cell.initial_state(params.cell, batch_shape)

    def apply(
        self, params: SequenceModelParams, inputs: Array, state: PyTree = None, *, key: Array | None = None
    ) -> tuple[PyTree, Array]:
        """Reads whole sequences.

        Args:
          params: as made by `init`.
          inputs: [batch, time, D].
          state: the state to begin with; None: the initial one.
          key: for dropout and the cell's noise; None runs without.

        Returns:
          `(state, ys)`: outputs [batch, time, K] in float32.
        """
        key_input, key_cell, key_output = split_key(key, 3)
        xs = dropout(key_input, inputs.astype(jnp.dtype(self.compute_dtype)), self.input_dropout)
        state, hs = unroll(self.cell, params.cell, xs, state, method=self.method, key=key_cell)
        return state, self.outputs(params, dropout(key_output, hs, self.output_dropout))

    def outputs(self, params: SequenceModelParams, hs: Array) -> Array:
        """The model's outputs, float32 [..., K], from what the cell puts out, [..., F]."""
        return Linear(self.output_size).apply(params.output, hs)

    def step(self, params: SequenceModelParams, state: PyTree, x_t: Array) -> tuple[PyTree, Array]:
        """Reads one vector a row, [..., D]; returns `(state, y_t)` with outputs [..., K]."""
        state, h_t = self.cell.step(params.cell, state, x_t.astype(jnp.dtype(self.compute_dtype)))
        return state, self.outputs(params, h_t)
