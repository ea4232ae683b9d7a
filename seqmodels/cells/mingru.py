"""The minimal gated recurrent unit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.activations import positive
from seqmodels.cells.base import Array, LinearCell, check_size, state_dtype
from seqmodels.cells.initializers import glorot_blocks
from seqmodels.cells.products import gate_products


class MinGRUParams(NamedTuple):
    """Weights `w_ih` [D, 2H] and bias `b` [2H] in the order z, h."""

    w_ih: Array
    b: Array


class MinGRUState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


@dataclasses.dataclass(frozen=True)
class MinGRU(LinearCell):
    """A gated recurrent unit whose gate and candidate see the input alone.

        zₜ = σ(xₜ W_z + b_z)
        h̃ₜ = g(xₜ W_h + b_h),    g(x) = x + ½ for x ≥ 0, else σ(x)
        hₜ = (1 - zₜ) ⊙ hₜ₋₁ + zₜ ⊙ h̃ₜ        yₜ = hₜ

    The paper computes this in logarithms, for which g keeps h̃ positive. Here the coefficients themselves are
    composed: 0 < 1 - z < 1, so their products go to 0 at worst, and nothing can overflow.

    Args:
      hidden_size: H.

    Example:
      >>> cell = MinGRU(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, y_t.shape
      ((3, 8), (4,))

    References:
      Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?
    """

    hidden_size: int

    def __post_init__(self) -> None:
        """Checks the size."""
        check_size("hidden_size", self.hidden_size)

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> MinGRUParams:
        """Glorot weights, zero bias."""
        return MinGRUParams(w_ih=glorot_blocks(key, input_size, self.hidden_size, 2), b=jnp.zeros(2 * self.hidden_size))

    def initial_state(self, params: MinGRUParams, batch_shape: tuple[int, ...] = ()) -> MinGRUState:
        """Zeros."""
        return MinGRUState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def coefficients(self, params: MinGRUParams, decay_params: None, xs: Array) -> tuple[Array, Array]:
        """1 - z, made as σ(-·) so that nothing is lost where z is near 1, and z h̃."""
        del decay_params
        k, x = gate_products(xs, params.w_ih, 2, params.b)
        return jax.nn.sigmoid(-k), jax.nn.sigmoid(k) * positive(x)

    def hidden(self, state: MinGRUState) -> Array:
        """The state h."""
        return state.h

    def as_state(self, h: Array) -> MinGRUState:
        """H itself."""
        return MinGRUState(h)

    def readout(self, params: MinGRUParams, states: MinGRUState, xs: Array) -> Array:
        """H itself."""
        del params, xs
        return states.h
