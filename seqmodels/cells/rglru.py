"""The real-gated linear recurrent unit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, LinearCell, check_size, state_dtype
from seqmodels.cells.draws import keys, uniform
from seqmodels.cells.initializers import glorot_blocks
from seqmodels.cells.products import gate_products


class RGLRUParams(NamedTuple):
    """The gates' weights `w_ih` [D, 2H] and bias `b` [2H] in the order r, i; `w_v` [D, H]; Λ, `decay` [H]."""

    w_ih: Array
    b: Array
    w_v: Array
    decay: Array


class RGLRUState(NamedTuple):
    """The hidden state `h` [..., H]."""

    h: Array


@dataclasses.dataclass(frozen=True)
class RGLRU(LinearCell):
    """A linear recurrent unit with real decays, which the input sets by a gate r and feeds through a gate i.

        rₜ = σ(xₜ W_r + b_r)        vₜ = xₜ W_v
        iₜ = σ(xₜ W_i + b_i)        log aₜ = -8 softplus(Λ) ⊙ rₜ
        hₜ = aₜ ⊙ hₜ₋₁ + √(1 - aₜ²) ⊙ (iₜ ⊙ vₜ)        yₜ = hₜ

    With r near 0 the state is kept and the input passed over. √(1 - a²) gives h the variance of i ⊙ v, however long
    its memory, for i ⊙ v of mean 0 that do not depend on each other. In the paper v = x: where D = H and W_v is the
    identity, this is exactly its layer.

    Args:
      hidden_size: H.
      min_radius: the smallest exp(-8 softplus(Λ)) at the start, the decay of a wide open gate r; Λ is drawn so that
        this is uniform between the two.
      max_radius: the largest one, below 1.

    Example:
      >>> cell = RGLRU(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, y_t.shape
      ((3, 8), (4,))

    References:
      De et al. (2024), Griffin: mixing gated linear recurrences with local attention for efficient language models.
    """

    hidden_size: int
    min_radius: float = 0.9
    max_radius: float = 0.999

    def __post_init__(self) -> None:
        """Checks size and radii."""
        check_size("hidden_size", self.hidden_size)
        if not 0.0 < self.min_radius <= self.max_radius < 1.0:
            raise ValueError(
                f"0 < min_radius <= max_radius < 1 must hold (got {self.min_radius} and {self.max_radius})"
            )

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> RGLRUParams:
        """Glorot weights, zero bias, Λ for decays uniform on a ring."""
        key_ih, key_v, key_decay = keys(key, 3)
        radius = uniform(key_decay, (self.hidden_size,), self.min_radius, self.max_radius)
        return RGLRUParams(
            w_ih=glorot_blocks(key_ih, input_size, self.hidden_size, 2),
            b=jnp.zeros(2 * self.hidden_size),
            w_v=glorot_blocks(key_v, input_size, self.hidden_size, 1),
            decay=jnp.log(jnp.expm1(-jnp.log(radius) / 8.0)),
        )

    def initial_state(self, params: RGLRUParams, batch_shape: tuple[int, ...] = ()) -> RGLRUState:
        """Zeros."""
        return RGLRUState(jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype)))

    def decay_params(self, params: RGLRUParams) -> Array:
        """Λ."""
        return params.decay

    def coefficients(self, params: RGLRUParams, decay_params: Array, xs: Array) -> tuple[Array, Array]:
        """The decay a, and √(1 - a²) i v."""
        r, i = (jax.nn.sigmoid(z) for z in gate_products(xs, params.w_ih, 2, params.b))
        log_a = -8.0 * jax.nn.softplus(decay_params) * r
        return jnp.exp(log_a), _complement(log_a) * i * gate_products(xs, params.w_v, 1)[0]

    def hidden(self, state: RGLRUState) -> Array:
        """The state h."""
        return state.h

    def as_state(self, h: Array) -> RGLRUState:
        """H itself."""
        return RGLRUState(h)

    def readout(self, params: RGLRUParams, states: RGLRUState, xs: Array) -> Array:
        """H itself."""
        del params, xs
        return states.h


def _complement(log_a: Array) -> Array:
    """√(1 - a²) from log a ≤ 0, exact where a is near 1.

    Its slope -a² / √(1 - a²) has no bound as a nears 1, but whoever makes log a = -eᶻ comes with a slope log a, and
    the product of both goes to 0 like √|log a|. Only where log a has underflown to 0 would that be ∞ · 0; there the
    root is a constant, with the slope 0 of the limit.
    """
    squared = -jnp.expm1(2.0 * log_a)
    inside = squared > 0.0
    return jnp.where(inside, jnp.sqrt(jnp.where(inside, squared, 1.0)), 0.0)
