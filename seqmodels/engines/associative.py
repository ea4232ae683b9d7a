"""The engine for cells that are linear in their state: all time steps at once, in logarithmic depth."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, LinearCell, PyTree, cast, state_dtype
from seqmodels.engines.engine import Engine, Inputs, earlier, final, over_time, select

Observe = Callable[[PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Associative(Engine):
    """Composes the maps h ↦ a ⊙ h + b of all steps by a parallel prefix scan.

        (a₂, b₂) ∘ (a₁, b₁) = (a₂ a₁, a₂ b₁ + b₂)

    It is exact, takes about twice the arithmetic of a loop, and 2 log₂ T turns in place of T. Its gradient is another
    such scan, from the end to the start, so it keeps h and the coefficients of each step and nothing more.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.MinGRU(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> sm.unroll(cell, params, jnp.ones((2, 5, 3)), method="associative")[1].shape
      (2, 5, 4)

    References:
      Blelloch (1990), Prefix sums and their applications; Martin & Cundy (2018), Parallelizing linear recurrent
      neural nets over sequence length.
    """

    name: ClassVar[str] = "associative"
    kinds: ClassVar[tuple[type[Cell], ...]] = (LinearCell,)

    def run(self, cell: LinearCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any linear cell; resets and padding are put into the coefficients."""
        compute = inputs.xs.dtype
        decay_params = cast(cell.decay_params(params), state_dtype(compute))
        params = cast(params, compute)
        a, b = cell.coefficients(params, decay_params, inputs.xs)
        a = over_time(a, b)
        h = cell.hidden(inputs.state)
        if inputs.resets is not None:
            h = select(jnp.any(inputs.resets[:1], axis=0), jnp.zeros_like(h), h)  # 0 · h would let a NaN through
            b = select(inputs.resets, a * cell.hidden(inputs.fresh) + b, b)
            a = select(inputs.resets, jnp.zeros_like(a), a)
        if inputs.valid is not None:
            a, b = select(inputs.valid, (a, b), (jnp.ones_like(a), jnp.zeros_like(b)))
        states = cell.as_state(_recurrence(a, b, h))
        states = jax.tree.map(lambda new, old: new.astype(old.dtype), states, inputs.state)
        ys = cell.readout(params, cast(states, compute), inputs.xs)
        return final(inputs.state, states), jax.vmap(observe)(states), ys.astype(compute)


@jax.custom_vjp
def _recurrence(a: Array, b: Array, h: Array) -> Array:
    """All hₜ = aₜ ⊙ hₜ₋₁ + bₜ from b [T, ...], a like it or with axes of 1, and the h before the first step."""
    if a.shape[0] == 0:
        return b
    a, b = jax.lax.associative_scan(_then, (a, b))
    return a * h + b


def _then(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """One map after the other."""
    (a_1, b_1), (a_2, b_2) = first, second
    return a_2 * a_1, a_2 * b_1 + b_2


def _recurrence_forward(a: Array, b: Array, h: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    hs = _recurrence(a, b, h)
    return hs, (a, h, hs)


def _recurrence_backward(kept: tuple[Array, Array, Array], hs_bar: Array) -> tuple[Array, Array, Array]:
    """λₜ = h̄ₜ + aₜ₊₁ ⊙ λₜ₊₁ is a recurrence of the same form, read from the end."""
    a, h, hs = kept
    a_next = jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])
    b_bar = jnp.flip(_recurrence(jnp.flip(a_next, 0), jnp.flip(hs_bar, 0), jnp.zeros_like(h)), 0)
    before = earlier(h, hs)
    shared = tuple(axis for axis, (one, many) in enumerate(zip(a.shape, hs.shape, strict=True)) if one != many)
    a_bar = jnp.sum(b_bar * before, axis=shared, keepdims=True)
    return a_bar, b_bar, jnp.sum((a * b_bar)[:1], axis=0)


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)
