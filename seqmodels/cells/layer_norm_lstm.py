"""The long short-term memory with layer normalisation."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, cast, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.lstm import LSTMActivations
from seqmodels.cells.products import gate_products

sigmoid = jax.nn.sigmoid


class LayerNormLSTMParams(NamedTuple):
    """Weights, and the scales and shift of the norms.

    `w_ih` [D, 4H], `w_hh` [H, 4H], `b` [4H], and the scales of the two products `scale_ih` and `scale_hh` [4H], all in
    the order i, f, g, o; `scale_c` and `shift_c` [H] of the memory.
    """

    w_ih: Array
    w_hh: Array
    b: Array
    scale_ih: Array
    scale_hh: Array
    scale_c: Array
    shift_c: Array


class LayerNormLSTMState(NamedTuple):
    """The output `h` and the memory `c`, each [..., H]."""

    h: Array
    c: Array


GateParams = tuple[tuple[Array, ...], Array, Array]


@dataclasses.dataclass(frozen=True)
class LayerNormLSTM(GatedCell):
    """A memory cell whose products, and whose memory where it is read, are normalised over the units.

        LN(z) = (z - mean z) / √(var z + ε)
        (zⁱₜ, zᶠₜ, zᵍₜ, zᵒₜ) = α_x ⊙ LN(xₜ W_ih) + α_h ⊙ LN(hₜ₋₁ W_hh) + b        over all 4H together
        cₜ = σ(zᶠₜ) ⊙ cₜ₋₁ + σ(zⁱₜ) ⊙ tanh(zᵍₜ)
        hₜ = σ(zᵒₜ) ⊙ tanh(α_c ⊙ LN(cₜ) + β_c)        yₜ = hₜ

    What a gate sees then does not depend on how large weights and inputs are. The memory itself is not normalised, so
    along it the gradient is multiplied by the forget gate alone, as in an LSTM.

    Args:
      hidden_size: H.
      forget_bias: the value of b in the forget gate at the start.
      epsilon: ε, above 0; what is far below √ε is not blown up.

    Example:
      >>> cell = LayerNormLSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.scale_hh.shape, state.c.shape, y_t.shape
      ((16,), (4,), (4,))

    References:
      Ba, Kiros & Hinton (2016), Layer normalization (the equations of the supplement).
    """

    mixes_units: ClassVar[bool] = True

    hidden_size: int
    forget_bias: float = 1.0
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_size("hidden_size", self.hidden_size)
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be above 0 (got {self.epsilon})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> LayerNormLSTMParams:
        """Glorot input weights, orthogonal recurrent weights, scales 1, shift and bias 0 but in the forget gate."""
        key_ih, key_hh = keys(key, 2)
        size = self.hidden_size
        return LayerNormLSTMParams(
            w_ih=glorot_blocks(key_ih, input_size, size, 4),
            w_hh=orthogonal_blocks(key_hh, size, 4),
            b=jnp.zeros(4 * size).at[size : 2 * size].set(self.forget_bias),
            scale_ih=jnp.ones(4 * size),
            scale_hh=jnp.ones(4 * size),
            scale_c=jnp.ones(size),
            shift_c=jnp.zeros(size),
        )

    def initial_state(self, params: LayerNormLSTMParams, batch_shape: tuple[int, ...] = ()) -> LayerNormLSTMState:
        """Zeros."""

        def zeros() -> Array:
            return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype))

        return LayerNormLSTMState(h=zeros(), c=zeros())

    def hidden(self, state: LayerNormLSTMState) -> Array:
        """The output h."""
        return state.h

    def project(self, params: LayerNormLSTMParams, xs: Array) -> tuple[Array, ...]:
        """The input's part of every gate, normalised, α_x ⊙ LN(x W_ih) + b."""
        zs = self._norm(gate_products(xs, params.w_ih, 4))
        scale, b = cast((params.scale_ih, params.b), zs[0].dtype)  # as wide as the product, like a bias in `product`
        parts = zip(zs, jnp.split(scale, 4), jnp.split(b, 4), strict=True)
        return tuple(scale * z + b for z, scale, b in parts)

    def recur(self, params: LayerNormLSTMParams, h: Array) -> tuple[Array, ...]:
        """The recurrent part of every gate before its norm, h W_hh."""
        return gate_products(h, params.w_hh, 4)

    def gate_params(self, params: LayerNormLSTMParams) -> GateParams:
        """The scales of the recurrent part, one array a gate, and scale and shift of the memory."""
        return tuple(jnp.split(params.scale_hh, 4)), params.scale_c, params.shift_c

    def gates(
        self,
        gate_params: GateParams,
        u_t: tuple[Array, ...],
        r_t: tuple[Array, ...],
        state: LayerNormLSTMState,
        noise_t: None,
    ) -> LayerNormLSTMState:
        """The new output and memory."""
        del noise_t
        _, scale_c, shift_c = gate_params
        i, f, g, o = self.activations(gate_params, u_t, r_t, state)
        c = f * state.c + i * g
        (read,) = self._norm([c])
        return LayerNormLSTMState(h=o * jnp.tanh(scale_c * read + shift_c), c=c)

    def activations(
        self, gate_params: GateParams, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: LayerNormLSTMState
    ) -> LSTMActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        del state
        scales = gate_params[0]
        z_i, z_f, z_g, z_o = (u + scale * r for u, scale, r in zip(u_t, scales, self._norm(r_t), strict=True))
        return LSTMActivations(sigmoid(z_i), sigmoid(z_f), jnp.tanh(z_g), sigmoid(z_o))

    def _norm(self, zs: Sequence[Array]) -> list[Array]:
        """LN of the units of all arrays together. Where all are equal it is 0, with a finite gradient."""
        mean = _mean(zs)
        centred = [z - mean for z in zs]
        scale = jax.lax.rsqrt(_mean([z * z for z in centred]) + self.epsilon)
        return [z * scale for z in centred]


def _mean(zs: Sequence[Array]) -> Array:
    """The mean over the units of all arrays together, [..., 1]; added up first, so that one sum runs over the units."""
    return jnp.mean(sum(zs[1:], zs[0]), axis=-1, keepdims=True) / len(zs)
