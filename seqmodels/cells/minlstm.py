"""The minimal long short-term memory."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.activations import positive
from seqmodels.cells.base import Array, LinearCell, check_size, state_dtype
from seqmodels.cells.initializers import glorot_blocks
from seqmodels.cells.products import gate_products


class MinLSTMParams(NamedTuple):
    """Weights `w_ih` [D, 3H] and bias `b` [3H] in the order f, i, h."""

    w_ih: Array
    b: Array


class MinLSTMState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


@dataclasses.dataclass(frozen=True)
class MinLSTM(LinearCell):
    """A long short-term memory whose gates see the input alone, share out 1 between them, and leave no output gate.

        fₜ = σ(xₜ W_f + b_f)        f'ₜ = fₜ / (fₜ + iₜ)
        iₜ = σ(xₜ W_i + b_i)        i'ₜ = iₜ / (fₜ + iₜ)
        h̃ₜ = g(xₜ W_h + b_h),       g(x) = x + ½ for x ≥ 0, else σ(x)
        hₜ = f'ₜ ⊙ hₜ₋₁ + i'ₜ ⊙ h̃ₜ        yₜ = hₜ

    The shares are computed from the difference of logarithms, f' = σ(log f - log i) and i' = σ(log i - log f): so each
    is exact where it is near 0, and they stay what they are where both gates vanish and the quotient would be 0 / 0.

    Args:
      hidden_size: H.
      forget_bias: the value of b_f at the start. As f is at most 1, f' is at most 2/3 while i is 1/2: what is to be
        kept for long needs a closed gate i as well.

    Example:
      >>> cell = MinLSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, y_t.shape
      ((3, 12), (4,))

    References:
      Feng, Tung, Ahmed, Bengio & Hajimirsadeghi (2024), Were RNNs all we needed?
    """

    hidden_size: int
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        """Checks the size."""
        check_size("hidden_size", self.hidden_size)

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> MinLSTMParams:
        """Glorot weights, zero bias but for the forget gate's."""
        zeros = jnp.zeros(self.hidden_size)
        return MinLSTMParams(
            w_ih=glorot_blocks(key, input_size, self.hidden_size, 3),
            b=jnp.concatenate([jnp.full_like(zeros, self.forget_bias), zeros, zeros]),
        )

    def initial_state(self, params: MinLSTMParams, batch_shape: tuple[int, ...] = ()) -> MinLSTMState:
        """Zeros."""
        return MinLSTMState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def coefficients(self, params: MinLSTMParams, decay_params: None, xs: Array) -> tuple[Array, Array]:
        """F' and i' h̃."""
        del decay_params
        f, i, x = gate_products(xs, params.w_ih, 3, params.b)
        log_odds = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        return jax.nn.sigmoid(log_odds), jax.nn.sigmoid(-log_odds) * positive(x)

    def hidden(self, state: MinLSTMState) -> Array:
        """The state h."""
        return state.h

    def as_state(self, h: Array) -> MinLSTMState:
        """H itself."""
        return MinLSTMState(h)

    def readout(self, params: MinLSTMParams, states: MinLSTMState, xs: Array) -> Array:
        """H itself."""
        del params, xs
        return states.h
