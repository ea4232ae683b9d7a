"""The long short-term memory with exponential gates and a scalar memory."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.products import gate_products, product
from seqmodels.cells.spread import spread

_FORGET_BIAS = {"sigmoid": 3.0, "exp": 0.0}
_LARGEST_EXPONENT = 80.0
"""float32 ends at e⁸⁸; what e⁸⁰ is multiplied by may be some powers of e above 1."""


class SLSTMParams(NamedTuple):
    """Weights of an SLSTM with N heads of d = H / N units.

    `w_ih` [D, 4H] and `b` [4H], blocks in the order i, f, z, o; `w_hh` [N, d, 4d]: of each head the weights from its
    units to its own, blocks [d, d] again in the order i, f, z, o. Head n has the units n·d to (n + 1)·d - 1 of h.
    """

    w_ih: Array
    w_hh: Array
    b: Array


class SLSTMState(NamedTuple):
    """The output `h`, the memory `c`, its normaliser `n`, and the stabiliser `m`, each [..., H].

    c and n are what the equations say times e⁻ᵐ.
    """

    h: Array
    c: Array
    n: Array
    m: Array


class SLSTMActivations(NamedTuple):
    """What the gates do at a step, each [..., H].

    `i` and `f` are stabilised, i' and f' in the equations of `SLSTM`: how much of the new is written beside what is
    kept. Both are from 0 to 1, the larger one is 1; but where nothing is stored yet, f multiplies 0 and may be larger.
    `o` is from 0 to 1, the candidate `g` (z in the equations) from -1 to 1.
    """

    i: Array
    f: Array
    g: Array
    o: Array


@dataclasses.dataclass(frozen=True)
class SLSTM(GatedCell):
    """A long short-term memory that writes with an exponential gate, and so can revise what it stored.

        ĩₜ, f̃ₜ, z̃ₜ, õₜ = xₜ W + hₜ₋₁ R + b     R block-diagonal: a head sees its own units alone
        iₜ = exp(ĩₜ),   fₜ = σ(f̃ₜ) or exp(f̃ₜ),   zₜ = tanh(z̃ₜ),   oₜ = σ(õₜ)
        cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ zₜ               nₜ = fₜ ⊙ nₜ₋₁ + iₜ
        hₜ = oₜ ⊙ cₜ / nₜ                       yₜ = hₜ

    c / n is a mean of all z so far, with weights that the gates decide. It is computed with c and n divided by eᵐ,
    which cancels in h, so that no exponential can overflow:

        mₜ = max(log fₜ + mₜ₋₁, ĩₜ),   i'ₜ = exp(ĩₜ - mₜ),   f'ₜ = exp(log fₜ + mₜ₋₁ - mₜ)    in place of i and f

    While nothing is stored (n = 0, as at the start), mₜ = ĩₜ: were it held up by mₜ₋₁, i' could round to 0, and c / n
    would be 0 / 0. So n is at least 1 after the first step, and h within ±1, whatever the inputs.

    c, n and m belong together: an old c beside a new m is another memory. So a `Zoneout` of this cell had better have
    a rate for h alone, (rate, 0.0, 0.0, 0.0).

    Args:
      hidden_size: H.
      heads: number of blocks of R, N; must divide H.
      forget_gate: "sigmoid" or "exp".
      forget_bias: the value of b_f at the start. None: 3 for "sigmoid", f = 0.95, for a long memory costs nothing
        here: n divides out what piles up, and a large i outweighs whatever is kept. 0 for "exp", f = 1, where h starts
        near the plain mean; above 0 what is old would weigh the more the older it is.

    Example:
      >>> cell = SLSTM(hidden_size=4, heads=2)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, params.w_hh.shape, state.n.tolist(), y_t.shape
      ((3, 16), (2, 2, 8), [1.0, 1.0, 1.0, 1.0], (4,))

    References:
      Beck et al. (2024), xLSTM: Extended long short-term memory.
    """

    hidden_size: int
    heads: int = 1
    forget_gate: Literal["sigmoid", "exp"] = "sigmoid"
    forget_bias: float | None = None

    def __post_init__(self) -> None:
        """Checks sizes and gate."""
        check_size("hidden_size", self.hidden_size)
        check_size("heads", self.heads)
        if self.hidden_size % self.heads:
            raise ValueError(f"heads must divide hidden_size (got {self.heads} and {self.hidden_size})")
        if self.forget_gate not in _FORGET_BIAS:
            raise ValueError(f"forget_gate must be one of {', '.join(_FORGET_BIAS)} (got {self.forget_gate!r})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> SLSTMParams:
        """Glorot input weights, recurrent weights orthogonal in each head, bias 0 but for the forget gate's."""
        key_ih, key_hh = keys(key, 2)
        size = self.hidden_size // self.heads
        bias = _FORGET_BIAS[self.forget_gate] if self.forget_bias is None else self.forget_bias
        return SLSTMParams(
            w_ih=glorot_blocks(key_ih, input_size, self.hidden_size, 4),
            w_hh=jnp.stack([orthogonal_blocks(k, size, 4) for k in keys(key_hh, self.heads)]),
            b=jnp.zeros((4, self.hidden_size)).at[1].set(bias).reshape(-1),
        )

    def initial_state(self, params: SLSTMParams, batch_shape: tuple[int, ...] = ()) -> SLSTMState:
        """Zeros: nothing is stored."""

        def zeros() -> Array:
            return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype))

        return SLSTMState(h=zeros(), c=zeros(), n=zeros(), m=zeros())

    def hidden(self, state: SLSTMState) -> Array:
        """The output h."""
        return state.h

    def project(self, params: SLSTMParams, xs: Array) -> tuple[Array, ...]:
        """The input's part of every gate, x W_ih + b."""
        return gate_products(xs, params.w_ih, 4, params.b)

    def recur(self, params: SLSTMParams, h: Array) -> tuple[Array, ...]:
        """The recurrent part of every gate, head by head."""
        r = _product_by_head(h.reshape(*h.shape[:-1], self.heads, -1), params.w_hh)
        return tuple(gate.reshape(h.shape) for gate in jnp.split(r, 4, axis=-1))

    def gates(
        self, gate_params: None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: SLSTMState, noise_t: None
    ) -> SLSTMState:
        """The new output, memory, normaliser and stabiliser."""
        del gate_params, noise_t
        (i, f, g, o), m = self._open(u_t, r_t, state)
        c = f * state.c + i * g
        n = f * state.n + i
        return SLSTMState(h=o * c / n, c=c, n=n, m=m)

    def activations(
        self, gate_params: None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: SLSTMState
    ) -> SLSTMActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        del gate_params
        return self._open(u_t, r_t, state)[0]

    def _open(
        self, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: SLSTMState
    ) -> tuple[SLSTMActivations, Array]:
        """The gates, and the new stabiliser, by which two of them are divided."""
        z_i, z_f, z_z, z_o = (u + r for u, r in zip(u_t, r_t, strict=True))
        kept = state.m + (z_f if self.forget_gate == "exp" else jax.nn.log_sigmoid(z_f))
        m = jnp.where(state.n == 0.0, z_i, jnp.maximum(kept, z_i))
        i = jnp.exp(z_i - m)
        f = jnp.exp(jnp.minimum(kept - m, _LARGEST_EXPONENT))  # above 0 only where f multiplies an n of 0
        return SLSTMActivations(i, f, jnp.tanh(z_z), jax.nn.sigmoid(z_o)), m


def _product_by_head(h: Array, w: Array) -> Array:
    """The products of h [..., N, d] and w [N, d, F], head by head: [..., N, F]."""
    w = spread(w, axis=0)  # where several devices share the model, each has heads of its own
    if w.shape[0] == 1:  # XLA on CPU takes up to twice as long for a batch of one product as for the product
        return product(h, w[0])
    return jax.vmap(product, in_axes=(-2, 0), out_axes=-2)(h, w)
