"""The simple recurrent network."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.products import gate_products

_ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


class RNNParams(NamedTuple):
    """Weights `w_ih` [D, H], `w_hh` [H, H] and bias `b` [H]."""

    w_ih: Array
    w_hh: Array
    b: Array


class RNNState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


@dataclasses.dataclass(frozen=True)
class RNN(GatedCell):
    """Elman's network: one layer applied again and again with shared weights.

        hₜ = φ(xₜ W_ih + hₜ₋₁ W_hh + b)        yₜ = hₜ

    Its gradient through T steps is a product of T Jacobians diag(φ') W_hhᵀ and so vanishes or explodes with T.

    Args:
      hidden_size: H.
      activation: φ, "tanh" or "relu".

    Example:
      >>> cell = RNN(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> y_t.shape
      (4,)

    References:
      Elman (1990), Finding structure in time.
    """

    hidden_size: int
    activation: Literal["tanh", "relu"] = "tanh"

    def __post_init__(self) -> None:
        """Checks size and activation."""
        check_size("hidden_size", self.hidden_size)
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)} (got {self.activation!r})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> RNNParams:
        """Glorot input weights, orthogonal recurrent weights, zero bias."""
        key_ih, key_hh = keys(key, 2)
        return RNNParams(
            w_ih=glorot_blocks(key_ih, input_size, self.hidden_size, 1),
            w_hh=orthogonal_blocks(key_hh, self.hidden_size, 1),
            b=jnp.zeros(self.hidden_size),
        )

    def initial_state(self, params: RNNParams, batch_shape: tuple[int, ...] = ()) -> RNNState:
        """Zeros."""
        return RNNState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def hidden(self, state: RNNState) -> Array:
        """The state h."""
        return state.h

    def project(self, params: RNNParams, xs: Array) -> Array:
        """The input's part, x W_ih + b."""
        return gate_products(xs, params.w_ih, 1, params.b)[0]

    def recur(self, params: RNNParams, h: Array) -> Array:
        """The recurrent part, h W_hh."""
        return gate_products(h, params.w_hh, 1)[0]

    def gates(self, gate_params: None, u_t: Array, r_t: Array, state: RNNState, noise_t: None) -> RNNState:
        """The new hidden state."""
        del gate_params, state, noise_t
        return RNNState(_ACTIVATIONS[self.activation](u_t + r_t))
