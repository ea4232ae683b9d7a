"""The long short-term memory with a projected output."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.lstm import LSTMActivations
from seqmodels.cells.products import gate_products, product

sigmoid = jax.nn.sigmoid


class LSTMPParams(NamedTuple):
    """Weights `w_ih` [D, 4H], `w_hh` [P, 4H], bias `b` [4H] in the order i, f, g, o, and projection `w_hr` [H, P]."""

    w_ih: Array
    w_hh: Array
    b: Array
    w_hr: Array


class LSTMPState(NamedTuple):
    """The output before its projection `m` and the memory `c`, each [..., H]."""

    m: Array
    c: Array


@dataclasses.dataclass(frozen=True)
class LSTMP(GatedCell):
    """A memory cell whose output is projected to fewer units, and whose gates see the projection alone.

        iₜ = σ(xₜ W_i + yₜ₋₁ R_i + b_i)         what is written
        fₜ = σ(xₜ W_f + yₜ₋₁ R_f + b_f)         what is kept
        gₜ = tanh(xₜ W_g + yₜ₋₁ R_g + b_g)      the candidate
        oₜ = σ(xₜ W_o + yₜ₋₁ R_o + b_o)         what is read
        cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ
        mₜ = oₜ ⊙ tanh(cₜ)                      yₜ = mₜ W_hr

    So a large memory costs 5 H P recurrent weights in place of 4 H². The state holds m and not y: then the outputs
    of all steps are one product after the loop. This is the form of torch's `proj_size`.

    Args:
      hidden_size: H.
      projection_size: P, at most H; None: half of H.
      forget_bias: the value of b_f at the start.

    Example:
      >>> cell = LSTMP(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_hh.shape, state.m.shape, y_t.shape
      ((2, 16), (4,), (2,))

    References:
      Sak, Senior & Beaufays (2014), Long short-term memory recurrent neural network architectures for large scale
      acoustic modeling.
    """

    hidden_size: int
    projection_size: int | None = None
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_size("hidden_size", self.hidden_size)
        if self.projection_size is not None and not 1 <= self.projection_size <= self.hidden_size:
            raise ValueError(f"projection_size must be from 1 to {self.hidden_size}, H (got {self.projection_size})")

    @property
    def output_size(self) -> int:
        """P."""
        return max(1, self.hidden_size // 2) if self.projection_size is None else self.projection_size

    def init(self, key: Array, input_size: int) -> LSTMPParams:
        """Glorot input weights; recurrent ones with orthonormal rows, gate by gate; a projection with such columns."""
        key_ih, key_hh, key_hr = keys(key, 3)
        size, outputs = self.hidden_size, self.output_size
        return LSTMPParams(
            w_ih=glorot_blocks(key_ih, input_size, size, 4),
            w_hh=orthogonal_blocks(key_hh, size, 4)[:outputs],
            b=jnp.zeros(4 * size).at[size : 2 * size].set(self.forget_bias),
            w_hr=orthogonal_blocks(key_hr, size, 1)[:, :outputs],
        )

    def initial_state(self, params: LSTMPParams, batch_shape: tuple[int, ...] = ()) -> LSTMPState:
        """Zeros."""

        def zeros() -> Array:
            return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype))

        return LSTMPState(m=zeros(), c=zeros())

    def hidden(self, state: LSTMPState) -> Array:
        """The output m before its projection."""
        return state.m

    def project(self, params: LSTMPParams, xs: Array) -> tuple[Array, ...]:
        """The input's part of every gate, x W_ih + b."""
        return gate_products(xs, params.w_ih, 4, params.b)

    def recur(self, params: LSTMPParams, h: Array) -> tuple[Array, ...]:
        """The recurrent part of every gate, y W_hh with y = m W_hr."""
        return gate_products(product(h, params.w_hr), params.w_hh, 4)

    def gates(
        self, gate_params: None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: LSTMPState, noise_t: None
    ) -> LSTMPState:
        """The new memory and what is read of it."""
        del noise_t
        i, f, g, o = self.activations(gate_params, u_t, r_t, state)
        c = f * state.c + i * g
        return LSTMPState(m=o * jnp.tanh(c), c=c)

    def activations(
        self, gate_params: None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: LSTMPState
    ) -> LSTMActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        del gate_params, state
        z_i, z_f, z_g, z_o = (u + r for u, r in zip(u_t, r_t, strict=True))
        return LSTMActivations(sigmoid(z_i), sigmoid(z_f), jnp.tanh(z_g), sigmoid(z_o))

    def readout(self, params: LSTMPParams, hs: Array, xs: Array) -> Array:
        """The projections m W_hr of all steps."""
        del xs
        return product(hs, params.w_hr)
