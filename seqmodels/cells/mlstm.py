"""The long short-term memory with exponential gates and a matrix memory."""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys
from seqmodels.cells.initializers import glorot_blocks
from seqmodels.cells.products import product

_LARGEST_EXPONENT = 80.0
"""float32 ends at e⁸⁸."""

_einsum = functools.partial(jnp.einsum, precision="highest")
"""Products within the state keep all of float32 on accelerators too. On CPU up to 5 times faster than sums."""


class MLSTMParams(NamedTuple):
    """Weights `w_ih` [D, 2N + 4H] and bias `b` [2N + 4H] of an MLSTM with N heads.

    Blocks in the order i, f (one unit a head) and o, q, k, v (H units, head by head).
    """

    w_ih: Array
    b: Array


class MLSTMState(NamedTuple):
    """The output `h` [..., H], and of each of N heads of d = H / N units its memory, normaliser and stabiliser.

    `c` [..., N, d, d] has values along its rows and keys along its columns, `n` is [..., N, d], `m` [..., N]. c and n
    are what the equations say times e⁻ᵐ.
    """

    h: Array
    c: Array
    n: Array
    m: Array


class MLSTMInputs(NamedTuple):
    """What a step sees of its input.

    The gates before their functions, `i` and `f` [..., N] and `o` [..., H], and the query `q`, key `k` and value `v`
    of each head, [..., N, d].
    """

    i: Array
    f: Array
    o: Array
    q: Array
    k: Array
    v: Array


class MLSTMActivations(NamedTuple):
    """What the gates do at a step: `i` and `f` [..., N], one number for each head, and `o` [..., H], from 0 to 1.

    `i` and `f` are stabilised, i' and f' in the equations of `MLSTM`: how much of the new is written beside what is
    kept; the larger one is 1.
    """

    i: Array
    f: Array
    o: Array


@dataclasses.dataclass(frozen=True)
class MLSTM(GatedCell):
    """A long short-term memory that stores values v under keys k in a matrix, and reads them by queries q.

        qₜ = xₜ W_q + b_q,   kₜ = (xₜ W_k + b_k) / √d,   vₜ = xₜ W_v + b_v       d units for each head
        iₜ = exp(xₜ w_i + b_i),   fₜ = σ(xₜ w_f + b_f)                            one number for each head
        oₜ = σ(xₜ W_o + b_o)
        Cₜ = fₜ Cₜ₋₁ + iₜ vₜ kₜᵀ            nₜ = fₜ nₜ₋₁ + iₜ kₜ
        hₜ = oₜ ⊙ Cₜ qₜ / max(|nₜᵀ qₜ|, 1)                                        yₜ = hₜ

    It is computed with C and n divided by eᵐ, so that no exponential can overflow; the 1 then becomes e⁻ᵐ:

        mₜ = max(log fₜ + mₜ₋₁, ĩₜ),   i'ₜ = exp(ĩₜ - mₜ),   f'ₜ = exp(log fₜ + mₜ₋₁ - mₜ)    in place of i and f

    No gate sees h: `recur` gives nothing. From an empty memory the outputs are those of attention whose weights decay,
    and which are not normalised by a softmax:

        hₜ = oₜ ⊙ Σₛ aₜₛ vₛ / max(|Σₛ aₜₛ|, 1),    aₜₛ = (qₜ · kₛ) fₜ fₜ₋₁ ⋯ fₛ₊₁ iₛ    for s ≤ t

    The state has H·d numbers a row, more than all else in a step. The engine "fused", which "auto" takes, keeps it
    for every step, T·H·d numbers a row, and once more on the way back; "chunked" is what long sequences need.

    Args:
      hidden_size: H.
      heads: N; must divide H.
      forget_bias: the value of b_f at the start; by default f = 0.95. A long memory costs little here: what piles up
        is divided out, and a large i outweighs whatever is kept.

    Example:
      >>> cell = MLSTM(hidden_size=4, heads=2)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, state.c.shape, y_t.shape
      ((3, 20), (2, 2, 2), (4,))

    References:
      Beck et al. (2024), xLSTM: Extended long short-term memory.
    """

    mixes_units: ClassVar[bool] = True

    hidden_size: int
    heads: int = 1
    forget_bias: float = 3.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        check_size("hidden_size", self.hidden_size)
        check_size("heads", self.heads)
        if self.hidden_size % self.heads:
            raise ValueError(f"heads must divide hidden_size (got {self.heads} and {self.hidden_size})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> MLSTMParams:
        """Glorot weights, bias 0 but for the forget gate's."""
        key_gates, key_units = keys(key, 2)
        gates = glorot_blocks(key_gates, input_size, self.heads, 2)
        units = glorot_blocks(key_units, input_size, self.hidden_size, 4)
        b = jnp.zeros(2 * self.heads + 4 * self.hidden_size)
        return MLSTMParams(
            w_ih=jnp.concatenate([gates, units], axis=1),
            b=b.at[self.heads : 2 * self.heads].set(self.forget_bias),
        )

    def initial_state(self, params: MLSTMParams, batch_shape: tuple[int, ...] = ()) -> MLSTMState:
        """Zeros."""
        heads, size = self.heads, self.hidden_size // self.heads

        def zeros(*shape: int) -> Array:
            return jnp.zeros((*batch_shape, *shape), state_dtype(params.b.dtype))

        return MLSTMState(h=zeros(self.hidden_size), c=zeros(heads, size, size), n=zeros(heads, size), m=zeros(heads))

    def hidden(self, state: MLSTMState) -> Array:
        """The output h."""
        return state.h

    def project(self, params: MLSTMParams, xs: Array) -> MLSTMInputs:
        """Gates, queries, keys and values, x W_ih + b; the keys are scaled."""
        ends = np.cumsum([self.heads, self.heads, self.hidden_size, self.hidden_size, self.hidden_size])
        i, f, o, *units = jnp.split(product(xs, params.w_ih, params.b), ends, axis=-1)
        q, k, v = (x.reshape(*x.shape[:-1], self.heads, -1) for x in units)
        return MLSTMInputs(i, f, o, q, k * k.shape[-1] ** -0.5, v)

    def recur(self, params: MLSTMParams, h: Array) -> tuple[()]:
        """Nothing: no gate sees h."""
        del params, h
        return ()

    def gates(
        self, gate_params: None, u_t: MLSTMInputs, r_t: tuple[()], state: MLSTMState, noise_t: None
    ) -> MLSTMState:
        """The new output, memory, normaliser and stabiliser."""
        del gate_params, r_t, noise_t
        (i, f, o), m = self._open(u_t, state)
        i, f = i[..., None], f[..., None]
        c = f[..., None] * state.c + _einsum("...v,...k->...vk", i * u_t.v, u_t.k)
        n = f * state.n + i * u_t.k
        read, overlap = _einsum("...vk,...k->...v", c, u_t.q), _einsum("...k,...k->...", n, u_t.q)
        one = jnp.exp(jnp.minimum(-m, _LARGEST_EXPONENT))  # beyond that h is 0 for all that float32 can tell
        h = read / jnp.maximum(jnp.abs(overlap), one)[..., None]
        return MLSTMState(h=o * h.reshape(o.shape), c=c, n=n, m=m)

    def activations(self, gate_params: None, u_t: MLSTMInputs, r_t: tuple[()], state: MLSTMState) -> MLSTMActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        del gate_params, r_t
        return self._open(u_t, state)[0]

    def _open(self, u_t: MLSTMInputs, state: MLSTMState) -> tuple[MLSTMActivations, Array]:
        """The gates, and the new stabiliser, by which two of them are divided."""
        kept = jax.nn.log_sigmoid(u_t.f) + state.m
        m = jnp.maximum(kept, u_t.i)
        return MLSTMActivations(jnp.exp(u_t.i - m), jnp.exp(kept - m), jax.nn.sigmoid(u_t.o)), m
