"""The engine that runs a nonlinear cell at all time steps at once, by Newton's method."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree, cast, state_dtype
from seqmodels.engines.blocks import Blocks, recurrence
from seqmodels.engines.engine import Engine, Inputs, earlier, final, select
from seqmodels.engines.gated import Fixed, Given, Observe, Plan, add, take_apart, zeros
from seqmodels.engines.loop import loop

_TOLERANCES = {"bfloat16": 4e-3, "float16": 4e-3, "float32": 1e-6, "float64": 1e-11}
"""By compute type, a little above what rounding leaves of an update."""

_SMALLEST = float(np.finfo(np.float32).eps)


@dataclasses.dataclass(frozen=True)
class Newton(Engine):
    """Solves the equations of all steps together, and falls back on one step after the other where that fails.

    The states are the solution of sₜ = fₜ(sₜ₋₁), t = 1 ... T. From a guess s, all of it at once:

        δₜ = Jₜ δₜ₋₁ + (fₜ(sₜ₋₁) - sₜ),  δ₀ = 0,  Jₜ = ∂fₜ/∂s at sₜ₋₁        s ← s + δ

    δ is a linear recurrence, which a prefix scan solves in logarithmic depth. Near the solution the error is squared
    by every turn, and after T turns it is gone in any case. The gradient is one such recurrence more, from the end to
    the start, and does not pass through the turns.

    It pays where steps are many, states are small and the cell forgets: a Jacobian of n × n numbers is kept for every
    step and row, n being the size of the state, and for a chaotic cell no number of turns is enough. What is returned
    is right in any case: where the turns did not converge, the steps are done one after the other. (Under `vmap` both
    are done.) `solve` tells what happened.

    Args:
      jacobian: "full", or "diagonal": of each unit what it does to itself alone, which needs H blocks in place of one
        n × n, more turns, and for its gradient a loop over the steps where the cell has a recurrent product.
      damping: the Jacobian is taken (1 - damping) times; above 0 where the turns would swing too far.
      turns: at most so many.
      tolerance: the turns have converged when the last δ, and all that would follow if each went on being smaller than
        the one before by the same factor, are this small beside s, array by array; None: 1e-6 for float32, 1e-11 for
        float64, 4e-3 for narrower types.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.GRU(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> sm.unroll(cell, params, jnp.ones((2, 5, 3)), method=Newton(jacobian="diagonal"))[1].shape
      (2, 5, 4)

    References:
      Lim, Zhu, Selfridge & Kasim (2024), Parallelizing non-linear sequential models over the sequence length (DEER).
      Gonzalez, Warrington, Smith & Linderman (2024), Towards scalable and stable parallelization of nonlinear RNNs
      (the diagonal, and damping, there by a trust region).
    """

    name: ClassVar[str] = "newton"
    kinds: ClassVar[tuple[type[Cell], ...]] = (GatedCell,)
    side_by_side: ClassVar[bool] = False  # under vmap both branches of the fallback would be run

    jacobian: Literal["full", "diagonal"] = "full"
    damping: float = 0.0
    turns: int = 32
    tolerance: float | None = None

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.jacobian not in ("full", "diagonal"):
            raise ValueError(f"jacobian must be 'full' or 'diagonal' (got {self.jacobian!r})")
        if not 0.0 <= self.damping <= 1.0:
            raise ValueError(f"damping must be from 0 to 1 (got {self.damping})")
        if self.turns < 1:
            raise ValueError(f"turns must be at least 1 (got {self.turns})")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance must be above 0 (got {self.tolerance})")

    def run(self, cell: GatedCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any gated cell; with the diagonal, those whose state and gates have one number a unit."""
        given, fixed = take_apart(cell, params, inputs)
        plan = Plan(self, cell, observe)
        states, _ = _states(plan, given, fixed)
        observed, hs = jax.vmap(plan.emit)(states)
        ys = cell.readout(given.params, hs.astype(inputs.xs.dtype), inputs.xs)
        return final(given.state, states), observed, ys.astype(inputs.xs.dtype)


class Solution(NamedTuple):
    """What Newton's method found.

    Attributes:
      states: leaves [*batch, T, ...]; what the turns ended with, whether they converged or not.
      residual: the largest |fₜ(sₜ₋₁) - sₜ| of all steps, rows and units; NaN if one is.
      iterations: turns that were made.
      converged: whether what the last one changed, and what is left, is less than the tolerance; never where anything
        is not finite.
    """

    states: PyTree
    residual: Array
    iterations: Array
    converged: Array


@functools.partial(jax.jit, static_argnames=("cell", "engine"))
def solve(
    cell: GatedCell, params: PyTree, xs: Array, state: PyTree = None, *, engine: Newton | None = None
) -> Solution:
    """Newton's method alone, without the step by step that `unroll` falls back on.

    Args:
      cell: a gated cell.
      params: its parameters.
      xs: inputs [*batch, time, D].
      state: the state to begin with; None: the cell's own.
      engine: the options; None: the defaults.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.GRU(hidden_size=4)
      >>> found = solve(cell, cell.init(jax.random.key(0), 3), jnp.ones((2, 50, 3)))
      >>> bool(found.converged), int(found.iterations) < 10, bool(found.residual < 1e-6)
      (True, True, True)
    """
    axis = xs.ndim - 2
    state = cell.initial_state(params, xs.shape[:axis]) if state is None else state
    inputs = Inputs(jnp.moveaxis(xs, axis, 0), cast(state, state_dtype(xs.dtype)), None, None, None, None)
    given, fixed = take_apart(cell, params, inputs)
    found = _newton(Plan(engine or Newton(), cell, lambda state: None), given, fixed)
    return found._replace(states=jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, axis), found.states))


class _Free(NamedTuple):
    """All that the states depend on but the states themselves."""

    params: PyTree
    gate_params: PyTree
    xs: Array
    fresh: PyTree
    noise_ts: PyTree


def _free(given: Given) -> _Free:
    return _Free(given.params, given.gate_params, given.xs, given.fresh, given.noise_ts)


def _all_steps(plan: Plan, fixed: Fixed, free: _Free, before: PyTree) -> PyTree:
    """fₜ(sₜ₋₁) of all steps side by side, from the states before each, resets still to be done."""
    us = plan.project(free.params, free.xs)
    before = jax.vmap(select, in_axes=(0, None, 0))(fixed.resets, free.fresh, before)
    rs = plan.recur(free.params, plan.cell.hidden(before), free.xs.dtype)
    return jax.vmap(plan.move, in_axes=(0, None, 0, 0, 0, 0))(fixed, free.gate_params, us, rs, before, free.noise_ts)


def _one_step(plan: Plan, free: _Free, state: PyTree, at_t: tuple[PyTree, PyTree, Fixed]) -> PyTree:
    """fₜ(sₜ₋₁) from one step of u."""
    u_t, noise_t, fixed_t = at_t
    state = select(fixed_t.resets, free.fresh, state)
    r_t = plan.recur(free.params, plan.cell.hidden(state), free.xs.dtype)
    return plan.move(fixed_t, free.gate_params, u_t, r_t, state, noise_t)


def _newton(plan: Plan, given: Given, fixed: Fixed) -> Solution:
    """The turns, from a guess of zeros."""
    engine: Newton = plan.engine
    blocks = Blocks.of(given, diagonal=engine.jacobian == "diagonal")
    tolerance = engine.tolerance or _TOLERANCES[given.xs.dtype.name]
    step = functools.partial(_all_steps, plan, fixed, _free(given))
    steps = given.xs.shape[0]

    def miss(states: PyTree) -> PyTree:
        return jax.tree.map(jnp.subtract, step(earlier(given.state, states)), states)

    def goes_on(carry: tuple[PyTree, Array, Array, Array]) -> Array:
        _, change, left, turns = carry
        return (left > tolerance) & (turns < engine.turns) & jnp.isfinite(change)

    def turn(carry: tuple[PyTree, Array, Array, Array]) -> tuple[PyTree, Array, Array, Array]:
        states, before, _, turns = carry
        jacobian = (1.0 - engine.damping) * _jacobian(plan, given, fixed, states, blocks)
        delta = blocks.unpack(recurrence(jacobian, blocks.pack(miss(states))))
        states = add(states, delta)
        changes = [_largest(d) / jnp.maximum(_largest(s), np.finfo(s.dtype).tiny) for d, s in _leaves(delta, states)]
        change = functools.reduce(_greater, changes).astype(jnp.float32)
        return states, change, _left(change, before), turns + 1

    zero = jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), given.state)
    guess = step(earlier(given.state, zero))  # not zeros themselves: there a norm has no slope to go by
    unknown = jnp.full((), jnp.inf, jnp.float32)
    start = (guess, unknown, unknown, jnp.zeros((), jnp.int32))
    states, _, left, turns = jax.lax.while_loop(lambda carry: (carry[3] == 0) | goes_on(carry), turn, start)
    residual = functools.reduce(_greater, map(_largest, jax.tree.leaves(miss(states))))
    return Solution(states, residual, turns, jnp.isfinite(residual) & (left <= tolerance))


def _left(change: Array, before: Array) -> Array:
    """The last change, or what is still to change if that is more.

    Where a turn only takes a part of the error away, as with damping or the diagonal, a small change may leave a large
    error: changes that fall by the factor r each time have r / (1 - r) times the last one still to come.
    """
    rate = change / before
    rest = jnp.where(rate < 1.0, change * rate / jnp.maximum(1.0 - rate, _SMALLEST), jnp.inf)
    return jnp.where(change == 0.0, change, jnp.maximum(change, rest))


def _leaves(*trees: PyTree) -> list[tuple[Array, ...]]:
    return list(zip(*map(jax.tree.leaves, trees), strict=True))


def _greater(a: Array, b: Array) -> Array:
    """The greater of two; NaN if one is, which XLA's own does not promise on every machine."""
    return jnp.where(jnp.isnan(a) | jnp.isnan(b), jnp.full((), jnp.nan, a.dtype), jnp.maximum(a, b))


def _largest(x: Array) -> Array:
    """max|x|; NaN if anything is not finite."""
    return jnp.where(jnp.all(jnp.isfinite(x)), jnp.max(jnp.abs(x), initial=0.0), jnp.full((), jnp.nan, x.dtype))


def _jacobian(plan: Plan, given: Given, fixed: Fixed, states: PyTree, blocks: Blocks) -> Array:
    """∂fₜ/∂s of all steps at the states before them, as blocks [T, *batch, K, m, m]."""
    before = earlier(given.state, states)
    if blocks.diagonal:
        return blocks.columns(_unit_by_unit(plan, given, fixed, before), before)
    _, pull = jax.vjp(functools.partial(_all_steps, plan, fixed, _free(given)), before)
    return jnp.swapaxes(blocks.columns(lambda unit: pull(unit)[0], before), -1, -2)


def _unit_by_unit(plan: Plan, given: Given, fixed: Fixed, before: PyTree) -> Callable[[PyTree], PyTree]:
    """What a small change of the states before does to the states after, where each unit hears itself alone.

    Of the recurrent product the diagonal of each gate is left, which is the product's answer to single units.
    """
    h = plan.cell.hidden(given.state)
    compute, size = given.xs.dtype, h.shape[-1]
    answers = plan.recur(given.params, jnp.eye(size, dtype=h.dtype), compute)
    if plan.cell.mixes_units or any(leaf.shape != (size, size) for leaf in jax.tree.leaves(answers)):
        kind = type(plan.cell).__name__
        raise ValueError(f"{kind} has no diagonal: its gates are not one number a unit; use Newton(jacobian='full')")
    weights = jax.tree.map(jnp.diagonal, answers)
    before = jax.vmap(select, in_axes=(0, None, 0))(fixed.resets, given.fresh, before)
    us = plan.project(given.params, given.xs)
    rs = plan.recur(given.params, plan.cell.hidden(before), compute)

    def move(rs: PyTree, before: PyTree) -> PyTree:
        step = jax.vmap(plan.move, in_axes=(0, None, 0, 0, 0, 0))
        return step(fixed, given.gate_params, us, rs, before, given.noise_ts)

    _, push = jax.linearize(move, rs, before)

    def answer(before_dot: PyTree) -> PyTree:
        before_dot = jax.vmap(select, in_axes=(0, None, 0))(fixed.resets, zeros(given.state), before_dot)
        h_dot = plan.cell.hidden(before_dot)
        return push(jax.tree.map(lambda weight: weight * h_dot, weights), before_dot)

    return answer


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states(plan: Plan, given: Given, fixed: Fixed) -> tuple[PyTree, Array]:
    """The states after each step, leaves [T, *batch, ...], and whether Newton's method found them."""
    found = _newton(plan, given, fixed)

    def one_by_one() -> PyTree:
        us = plan.project(given.params, given.xs)

        def body(state: PyTree, at_t: tuple[PyTree, PyTree, Fixed]) -> tuple[PyTree, PyTree]:
            state = _one_step(plan, _free(given), state, at_t)
            return state, state

        return loop(body, given.state, (us, given.noise_ts, fixed))[1]

    return jax.lax.cond(found.converged, lambda: found.states, one_by_one), found.converged


def _states_forward(plan: Plan, given: Given, fixed: Fixed) -> tuple[Any, tuple[Given, Fixed, PyTree, Array]]:
    states, converged = _states(plan, given, fixed)
    return (states, converged), (given, fixed, states, converged)


def _states_backward(
    plan: Plan, residuals: tuple[Given, Fixed, PyTree, Array], cotangents: tuple[PyTree, Any]
) -> tuple[Given, None]:
    """The gradient of all that follows for each state, λₜ = s̄ₜ + Jₜ₊₁ᵀ λₜ₊₁, and from it all others at once."""
    given, fixed, states, converged = residuals
    blocks = Blocks.of(given, diagonal=plan.engine.jacobian == "diagonal")
    before = earlier(given.state, states)

    def together() -> PyTree:
        jacobian = jnp.swapaxes(_jacobian(plan, given, fixed, states, blocks), -1, -2)
        later = jnp.concatenate([jacobian[1:], jnp.zeros_like(jacobian[:1])])
        packed = blocks.pack(cotangents[0])
        return blocks.unpack(jnp.flip(recurrence(jnp.flip(later, 0), jnp.flip(packed, 0)), 0))

    def one_by_one() -> PyTree:
        us = plan.project(given.params, given.xs)

        def body(later: PyTree, at_t: tuple[PyTree, ...]) -> tuple[PyTree, PyTree]:
            state, state_bar, *rest = at_t
            total = add(state_bar, later)
            _, pull = jax.vjp(lambda state: _one_step(plan, _free(given), state, tuple(rest)), state)
            return pull(total)[0], total

        at = (before, cotangents[0], us, given.noise_ts, fixed)
        return loop(body, zeros(given.state), at, reverse=True)[1]

    exact = not blocks.diagonal or not jax.tree.leaves(plan.cell.recur(given.params, plan.cell.hidden(given.state)))
    totals = jax.lax.cond(converged, together, one_by_one) if exact else one_by_one()
    _, pull = jax.vjp(functools.partial(_all_steps, plan, fixed), _free(given), before)
    free_bar, before_bar = pull(totals)
    first_bar = jax.tree.map(lambda leaf: jnp.sum(leaf[:1], axis=0), before_bar)
    return Given(state=first_bar, **free_bar._asdict()), None


_states.defvjp(_states_forward, _states_backward)
