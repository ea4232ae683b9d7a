"""The long short-term memory."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, check_size, state_dtype
from seqmodels.cells.draws import keys, uniform
from seqmodels.cells.initializers import glorot_blocks, orthogonal_blocks
from seqmodels.cells.products import gate_products

sigmoid = jax.nn.sigmoid


class LSTMParams(NamedTuple):
    """Weights of an LSTM with G gates (4, or 3 when coupled).

    `w_ih` [D, G*H], `w_hh` [H, G*H] and `b` [G*H], blocks in the order i, f, g, o (coupled: f, g, o); `peephole`
    [3, H] in the order i, f, o (coupled: [2, H], f, o), or None.
    """

    w_ih: Array
    w_hh: Array
    b: Array
    peephole: Array | None = None


class LSTMState(NamedTuple):
    """The output `h` and the memory `c`, each [..., H]."""

    h: Array
    c: Array


class LSTMActivations(NamedTuple):
    """What the gates do at a step, each [..., H]: `i`, `f` and `o` from 0 to 1, the candidate `g` from -1 to 1."""

    i: Array
    f: Array
    g: Array
    o: Array


@dataclasses.dataclass(frozen=True)
class LSTM(GatedCell):
    """A memory cell with a write gate i, a forget gate f and a read gate o.

        iₜ = σ(xₜ W_i + hₜ₋₁ R_i + b_i)         what is written
        fₜ = σ(xₜ W_f + hₜ₋₁ R_f + b_f)         what is kept
        gₜ = tanh(xₜ W_g + hₜ₋₁ R_g + b_g)      the candidate
        oₜ = σ(xₜ W_o + hₜ₋₁ R_o + b_o)         what is read
        cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ
        hₜ = oₜ ⊙ tanh(cₜ)                      yₜ = hₜ

    Along the memory the gradient is multiplied by fₜ alone, which the cell may hold near 1: this is what carries
    long dependencies. The forget bias is put into `b` by `init`, never added in a step.

    Args:
      hidden_size: H.
      forget_bias: the value of b_f at the start.
      chrono: the longest time lag expected, in steps (at least 3); then b_f = log u, u ~ U[1, chrono - 1], and
        b_i = -b_f at the start, in place of `forget_bias`.
      peepholes: gates also see the memory: i and f see cₜ₋₁, o sees cₜ, each by one weight a unit.
      coupled: writes exactly what it forgets, i = 1 - f: three gates, a quarter of the weights less.

    Example:
      >>> cell = LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> state, y_t = cell.step(params, cell.initial_state(params), jnp.ones(3))
      >>> params.w_ih.shape, state.c.shape, y_t.shape
      ((3, 16), (4,), (4,))

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory.
      Gers, Schmidhuber & Cummins (2000), Learning to forget.
      Gers & Schmidhuber (2000), Recurrent nets that time and count (peepholes).
      Jozefowicz, Zaremba & Sutskever (2015), An empirical exploration of recurrent network architectures.
      Greff et al. (2017), LSTM: a search space odyssey (coupled gates).
      Tallec & Ollivier (2018), Can recurrent neural networks warp time? (chrono).
    """

    hidden_size: int
    forget_bias: float = 1.0
    chrono: int | None = None
    peepholes: bool = False
    coupled: bool = False

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_size("hidden_size", self.hidden_size)
        if self.chrono is not None and self.chrono < 3:
            raise ValueError(f"chrono is the longest time lag in steps, at least 3 (got {self.chrono})")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    def init(self, key: Array, input_size: int) -> LSTMParams:
        """Glorot input weights, orthogonal recurrent weights, peepholes 0, bias as the fields say."""
        key_ih, key_hh, key_b = keys(key, 3)
        size, gates = self.hidden_size, self._gates
        return LSTMParams(
            w_ih=glorot_blocks(key_ih, input_size, size, gates),
            w_hh=orthogonal_blocks(key_hh, size, gates),
            b=self._initial_bias(key_b),
            peephole=jnp.zeros((gates - 1, size)) if self.peepholes else None,
        )

    def _initial_bias(self, key: Array) -> Array:
        zeros = jnp.zeros(self.hidden_size)
        if self.chrono is None:
            b_i, b_f = zeros, jnp.full(self.hidden_size, self.forget_bias, zeros.dtype)
        else:
            lag = uniform(key, (self.hidden_size,), 1.0, self.chrono - 1.0)
            b_i, b_f = -jnp.log(lag), jnp.log(lag)
        return jnp.concatenate([b_f, zeros, zeros] if self.coupled else [b_i, b_f, zeros, zeros])

    def initial_state(self, params: LSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        """Zeros."""

        def zeros() -> Array:
            return jnp.zeros((*batch_shape, self.hidden_size), state_dtype(params.b.dtype))

        return LSTMState(h=zeros(), c=zeros())

    def hidden(self, state: LSTMState) -> Array:
        """The output h."""
        return state.h

    def project(self, params: LSTMParams, xs: Array) -> tuple[Array, ...]:
        """The input's part of every gate, x W_ih + b."""
        return gate_products(xs, params.w_ih, self._gates, params.b)

    def recur(self, params: LSTMParams, h: Array) -> tuple[Array, ...]:
        """The recurrent part of every gate, h W_hh."""
        return gate_products(h, params.w_hh, self._gates)

    @property
    def _gates(self) -> int:
        return 3 if self.coupled else 4

    def gate_params(self, params: LSTMParams) -> Array | None:
        """The peepholes."""
        return params.peephole

    def gates(
        self,
        gate_params: Array | None,
        u_t: tuple[Array, ...],
        r_t: tuple[Array, ...],
        state: LSTMState,
        noise_t: None,
    ) -> LSTMState:
        """The new output and memory."""
        del noise_t
        (_, _, _, o), c = self._open(gate_params, u_t, r_t, state)
        return LSTMState(h=o * jnp.tanh(c), c=c)

    def activations(
        self, gate_params: Array | None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: LSTMState
    ) -> LSTMActivations:
        """What the gates do at a step; the arguments are those of `gates`."""
        return self._open(gate_params, u_t, r_t, state)[0]

    def _open(
        self, gate_params: Array | None, u_t: tuple[Array, ...], r_t: tuple[Array, ...], state: LSTMState
    ) -> tuple[LSTMActivations, Array]:
        """The gates, and the new memory, which the read gate may look at."""
        z = [u + r for u, r in zip(u_t, r_t, strict=True)]
        p = [None] * (len(z) - 1) if gate_params is None else list(gate_params)
        if self.coupled:
            (z_f, z_g, z_o), (p_f, p_o) = z, p
            f = sigmoid(_look(z_f, p_f, state.c))
            i = 1.0 - f
        else:
            (z_i, z_f, z_g, z_o), (p_i, p_f, p_o) = z, p
            f = sigmoid(_look(z_f, p_f, state.c))
            i = sigmoid(_look(z_i, p_i, state.c))
        kept, g = f * state.c, jnp.tanh(z_g)
        c = kept + i * g
        o = sigmoid(_look(z_o, p_o, c))
        return LSTMActivations(i, f, g, o), c


def _look(z: Array, peephole: Array | None, c: Array) -> Array:
    """A gate's pre-activation with its look at the memory, if it has one."""
    return z if peephole is None else z + peephole * c
