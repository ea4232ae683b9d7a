"""The independently recurrent network."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys, uniform
from seqmodels.cells.initializers import glorot_blocks
from seqmodels.cells.products import gate_products

_ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class IndRNNParams(NamedTuple):
    """Input weights `w_ih` [D, H], one recurrent weight a unit `w_hh` [H], and bias `b` [H]."""

    w_ih: Array
    w_hh: Array
    b: Array


class IndRNNState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


@dataclasses.dataclass(frozen=True)
class IndRNN(GatedCell):
    """A network whose units see of the past themselves alone, each by one weight; layers above mix them.

        hₜ = φ(xₜ W_ih + w_hh ⊙ hₜ₋₁ + b)        yₜ = hₜ

    While φ' = 1, as with relu above 0, the gradient of a unit with the weight w through T steps is the power w^T: it at
    most doubles if |w| ≤ 2^(1/T), and does not vanish where w is near 1.

    Args:
      hidden_size: H.
      activation: φ, "relu" or "tanh".
      longest_lag: T, the longest time lag expected, in steps; None: no end. At the start w_hh ~ U[0, 2^(1/T)], as in
        the paper's experiments; training is free to leave these bounds.

    Example:
      >>> cell = IndRNN(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_hh.shape, y_t.shape
      ((4,), (4,))

    References:
      Li, Li, Cook, Zhu & Gao (2018), Independently recurrent neural network (IndRNN): building a longer and deeper
      RNN.
    """

    hidden_size: int
    activation: Literal["relu", "tanh"] = "relu"
    longest_lag: int | None = None

    def __post_init__(self) -> None:
        """Checks sizes and activation."""
        check_size("hidden_size", self.hidden_size)
        if self.longest_lag is not None:
            check_size("longest_lag", self.longest_lag)
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)} (got {self.activation!r})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> IndRNNParams:
        """Glorot input weights, recurrent weights uniform from 0 to the bound of `longest_lag`, zero bias."""
        key_ih, key_hh = keys(key, 2)
        bound = 1.0 if self.longest_lag is None else 2.0 ** (1.0 / self.longest_lag)
        return IndRNNParams(
            w_ih=glorot_blocks(key_ih, input_size, self.hidden_size, 1),
            w_hh=uniform(key_hh, (self.hidden_size,), 0.0, bound),
            b=jnp.zeros(self.hidden_size),
        )

    def initial_state(self, params: IndRNNParams, batch_shape: tuple[int, ...] = ()) -> IndRNNState:
        """Zeros."""
        return IndRNNState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def hidden(self, state: IndRNNState) -> Array:
        """The state h."""
        return state.h

    def project(self, params: IndRNNParams, xs: Array) -> Array:
        """The input's part, x W_ih + b."""
        return gate_products(xs, params.w_ih, 1, params.b)[0]

    def recur(self, params: IndRNNParams, h: Array) -> tuple[()]:
        """Nothing: there is no recurrent product (and nothing that a recurrent dropout could drop)."""
        del params, h
        return ()

    def gate_params(self, params: IndRNNParams) -> Array:
        """The recurrent weights, because bfloat16 would round those near 1 to 1."""
        return params.w_hh

    def gates(self, gate_params: Array, u_t: Array, r_t: tuple[()], state: IndRNNState, noise_t: None) -> IndRNNState:
        """The new hidden state."""
        del r_t, noise_t
        return IndRNNState(_ACTIVATIONS[self.activation](u_t + gate_params * state.h))
