"""The gated recurrent unit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.products import gate_products

sigmoid = jax.nn.sigmoid


class GRUParams(NamedTuple):
    """Weights `w_ih` [D, 3H], `w_hh` [H, 3H], bias `b` [3H] in the order r, z, n, and `b_hn` [H]."""

    w_ih: Array
    w_hh: Array
    b: Array
    b_hn: Array


class GRUState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


class GRUActivations(NamedTuple):
    """What the gates do at a step, each [..., H]: `r` and `z` from 0 to 1, the candidate `n` from -1 to 1."""

    r: Array
    z: Array
    n: Array


@dataclasses.dataclass(frozen=True)
class GRU(GatedCell):
    """A reset gate r and an update gate z, with the reset after the recurrent product.

        rₜ = σ(xₜ W_r + hₜ₋₁ R_r + b_r)
        zₜ = σ(xₜ W_z + hₜ₋₁ R_z + b_z)
        nₜ = tanh(xₜ W_n + b_n + rₜ ⊙ (hₜ₋₁ R_n + b_hn))
        hₜ = (1 - zₜ) ⊙ nₜ + zₜ ⊙ hₜ₋₁        yₜ = hₜ

    This is the form of torch and cuDNN; the paper's first version resets before the product.

    Args:
      hidden_size: H.

    Example:
      >>> cell = GRU(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_hh.shape, y_t.shape
      ((4, 12), (4,))

    References:
      Cho et al. (2014), Learning phrase representations using RNN encoder-decoder for statistical machine
      translation (arXiv:1406.1078v3 has the reset after the product).
    """

    hidden_size: int

    def __post_init__(self) -> None:
        """Checks the size."""
        check_size("hidden_size", self.hidden_size)

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> GRUParams:
        """Glorot input weights, orthogonal recurrent weights, zero biases."""
        key_ih, key_hh = keys(key, 2)
        return GRUParams(
            w_ih=glorot_blocks(key_ih, input_size, self.hidden_size, 3),
            w_hh=orthogonal_blocks(key_hh, self.hidden_size, 3),
            b=jnp.zeros(3 * self.hidden_size),
            b_hn=jnp.zeros(self.hidden_size),
        )

    def initial_state(self, params: GRUParams, batch_shape: tuple[int, ...] = ()) -> GRUState:
        """Zeros."""
        return GRUState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def hidden(self, state: GRUState) -> Array:
        """The state h."""
        return state.h

    def project(self, params: GRUParams, xs: Array) -> tuple[Array, ...]:
        """The input's part of every gate, x W_ih + b."""
        return gate_products(xs, params.w_ih, 3, params.b)

    def recur(self, params: GRUParams, h: Array) -> tuple[Array, ...]:
        """The recurrent part of every gate, h W_hh."""
        return gate_products(h, params.w_hh, 3)

    def gate_params(self, params: GRUParams) -> Array:
        """The recurrent bias b_hn, which the reset gate multiplies."""
        return params.b_hn

    def gates(
        self, gate_params: Array, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: GRUState, noise_t: None
    ) -> GRUState:
        """The new hidden state."""
        del noise_t
        _, z, n = self.activations(gate_params, u_t, r_t, state)
        return GRUState((1.0 - z) * n + z * state.h)

    def activations(
        self, gate_params: Array, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: GRUState
    ) -> GRUActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        del state
        (u_r, u_z, u_n), (r_r, r_z, r_n) = u_t, r_t
        r = sigmoid(u_r + r_r)
        z = sigmoid(u_z + r_z)
        return GRUActivations(r, z, jnp.tanh(u_n + r * (r_n + gate_params)))
