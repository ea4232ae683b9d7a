"""An initial state that is a parameter."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree, cast, state_dtype
from seqmodels.cells.wrapper import Wrapper


class LearnedStateParams(NamedTuple):
    """The inner cell's parameters, and the state before the first step, leaves [H]."""

    cell: PyTree
    state: PyTree


@dataclasses.dataclass(frozen=True)
class LearnedState(Wrapper):
    """Learns the state that every sequence begins with; it starts as the inner cell's own.

    Args:
      cell: the inner cell.

    Example:
      >>> import jax, seqmodels as sm
      >>> cell = LearnedState(sm.GRU(hidden_size=4))
      >>> params = cell.init(jax.random.key(0), 3)
      >>> params.state.h.shape, cell.initial_state(params, (2,)).h.shape
      ((4,), (2, 4))
    """

    def init(self, key: Array, input_size: int) -> LearnedStateParams:
        """The inner cell's parameters and initial state."""
        params = self.cell.init(key, input_size)
        return LearnedStateParams(params, self.cell.initial_state(params))

    def initial_state(self, params: LearnedStateParams, batch_shape: tuple[int, ...] = ()) -> PyTree:
        """The learned state, one copy for each row."""

        def leaf(x: Array) -> Array:
            wide = cast(x, state_dtype(x.dtype))
            return jnp.array(jnp.broadcast_to(wide, (*batch_shape, *x.shape)))  # a copy: it may be given away

        return jax.tree.map(leaf, params.state)

    def project(self, params: LearnedStateParams, xs: Array) -> PyTree:
        """The inner cell's product with the inputs."""
        return self.cell.project(params.cell, xs)

    def recur(self, params: LearnedStateParams, h: Array) -> PyTree:
        """The inner cell's recurrent product."""
        return self.cell.recur(params.cell, h)

    def gate_params(self, params: LearnedStateParams) -> PyTree:
        """What the inner cell's gates read."""
        return self.cell.gate_params(params.cell)

    def readout(self, params: LearnedStateParams, hs: Array, xs: Array) -> Array:
        """The inner cell's outputs."""
        return self.cell.readout(params.cell, hs, xs)

    def noise(
        self, params: LearnedStateParams, key: Array, steps: int, batch_shape: tuple[int, ...]
    ) -> tuple[LearnedStateParams, PyTree]:
        """The inner cell's noise."""
        inner, noise_ts = self.cell.noise(params.cell, key, steps, batch_shape)
        return params._replace(cell=inner), noise_ts
