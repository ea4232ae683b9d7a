"""Dropout with one mask for all time steps."""

import dataclasses
from typing import NamedTuple

import jax

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.masks import check_rate, dropout_mask
from seqmodels.cells.wrapper import Wrapper


class DroppedParams(NamedTuple):
    """The inner cell's parameters with the masks of one run: `x` [*batch, D] and `h` [*batch, H]."""

    cell: PyTree
    x: Array
    h: Array


@dataclasses.dataclass(frozen=True)
class VariationalDropout(Wrapper):
    """Drops units of the input and of the recurrent h, the same ones at every step of a sequence.

        uₜ = project(m_x ⊙ xₜ)        rₜ = recur(m_h ⊙ hₜ₋₁)

    The masks are drawn once for each row of the batch; the state itself is never damaged.

    Args:
      cell: the inner cell; its parameters must hold the input weights as `w_ih` [D, ...].
      rate: probability of dropping an input unit.
      recurrent_rate: the same for h; None: as `rate`.

    Example:
      >>> import seqmodels as sm
      >>> VariationalDropout(sm.GRU(hidden_size=4), rate=0.3).output_size
      4

    References:
      Gal & Ghahramani (2016), A theoretically grounded application of dropout in recurrent neural networks.
    """

    rate: float = 0.5
    recurrent_rate: float | None = None

    def __post_init__(self) -> None:
        """Checks the rates."""
        super().__post_init__()
        check_rate("the rate of VariationalDropout", self.rate)
        if self.recurrent_rate is not None:
            check_rate("the recurrent_rate of VariationalDropout", self.recurrent_rate)

    def noise(
        self, params: PyTree, key: Array, steps: int, batch_shape: tuple[int, ...]
    ) -> tuple[DroppedParams, PyTree]:
        """Puts the two masks beside the inner cell's parameters.

        Raises:
          ValueError: if h is to be dropped of a cell that has no product with it, such as `IndRNN`.
        """
        key_x, key_h, key_inner = jax.random.split(key, 3)
        h = self.cell.hidden(self.cell.initial_state(params, batch_shape))
        recurrent_rate = self.rate if self.recurrent_rate is None else self.recurrent_rate
        if recurrent_rate and not jax.tree.leaves(jax.eval_shape(self.cell.recur, params, h)):
            raise ValueError(
                f"{type(self.cell).__name__} has no product with h that could be dropped; recurrent_rate=0"
            )
        masks = {
            "x": dropout_mask(key_x, self.rate, (*batch_shape, _input_size(params)), h.dtype),
            "h": dropout_mask(key_h, recurrent_rate, h.shape, h.dtype),
        }
        inner, noise_ts = self.cell.noise(params, key_inner, steps, batch_shape)
        return DroppedParams(inner, **masks), noise_ts

    def project(self, params: PyTree, xs: Array) -> PyTree:
        """The inner cell's product with what is left of the inputs."""
        if isinstance(params, DroppedParams):
            return self.cell.project(params.cell, xs * params.x)
        return self.cell.project(params, xs)

    def recur(self, params: PyTree, h: Array) -> PyTree:
        """The inner cell's product with what is left of h."""
        if isinstance(params, DroppedParams):
            return self.cell.recur(params.cell, h * params.h)
        return self.cell.recur(params, h)

    def gate_params(self, params: PyTree) -> PyTree:
        """What the inner cell's gates read."""
        return self.cell.gate_params(_inner(params))

    def readout(self, params: PyTree, hs: Array, xs: Array) -> Array:
        """The inner cell's outputs."""
        return self.cell.readout(_inner(params), hs, xs)


def _inner(params: PyTree) -> PyTree:
    return params.cell if isinstance(params, DroppedParams) else params


def _input_size(params: PyTree) -> int:
    """D, from the input weights wherever they are nested."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if getattr(path[-1], "name", None) == "w_ih":
            return int(leaf.shape[0])
    raise ValueError("VariationalDropout needs a cell whose parameters hold the input weights as w_ih [D, ...]")
