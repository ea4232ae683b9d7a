"""Outputs added to inputs."""

import dataclasses

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Residual(Wrapper):
    """Adds the input to the output, yₜ = inner yₜ + xₜ; the recurrence itself is unchanged.

    Args:
      cell: the inner cell; its output size must be the input size.

    Raises:
      ValueError: from `init`, where the sizes differ.

    Example:
      >>> import jax, seqmodels as sm
      >>> cell = sm.Residual(sm.LSTM(hidden_size=4))
      >>> cell.init(jax.random.key(0), 4).w_ih.shape
      (4, 16)

    References:
      He et al. (2016), Deep residual learning for image recognition; Wu et al. (2016), Google's neural machine
      translation system (between LSTM layers).
    """

    def init(self, key: Array, input_size: int) -> PyTree:
        """The inner cell's parameters, after a check of the sizes."""
        if input_size != self.output_size:
            raise ValueError(f"Residual adds inputs to outputs: input size {input_size} != {self.output_size}")
        return self.cell.init(key, input_size)

    def readout(self, params: PyTree, hs: Array, xs: Array) -> Array:
        """The inner cell's outputs plus the inputs."""
        return self.cell.readout(params, hs, xs) + xs
