"""The engine with a gradient of its own: nothing but linear maps of h inside the backward loop, weights after it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree, cast, state_dtype
from seqmodels.engines.engine import Engine, Inputs, select
from seqmodels.engines.loop import loop, one_step, zero_after

Observe = Callable[[PyTree], PyTree]


@dataclasses.dataclass(frozen=True)
class Fused(Engine):
    """One step after the other, with a hand-written gradient for every gated cell.

        forwards     uₜ = project(xₜ), one product            sₜ = gates(uₜ, rₜ, sₜ₋₁),    rₜ = recur(hₜ₋₁)
        backwards    s̄ₜ₋₁ = (∂gates/∂s)ᵀ s̄ₜ + recurᵀ r̄ₜ,     ūₜ = (∂gates/∂u)ᵀ s̄ₜ,       r̄ₜ = (∂gates/∂r)ᵀ s̄ₜ
        afterwards   the gradients of all weights and of x from ū, r̄ and h, one product each

    Differentiating a scan would instead add a weight-sized array to an accumulator at every step. Reverse mode only,
    to any order: `jvp` and `jacfwd` need the engine "scan".

    Args:
      save: what the backward pass finds ready beside the states: "preactivations" (u and r: faster) or "states"
        (nothing: u and r are made again by one product each, which saves memory where layers wait for each other's
        backward pass, and none in a single layer).
      cap: each element of the gradient that step t hands to hₜ₋₁ through the recurrent product is held within ±cap,
        so that it cannot explode on its way through time; None: left as it is, and gradients are exact.
      unroll: steps in one turn of the compiled loops.

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> sm.unroll(cell, params, jnp.ones((2, 5, 3)), method=Fused(save="states"))[1].shape
      (2, 5, 4)

    References:
      Appleyard, Kocisky & Blunsom (2016), Optimizing performance of recurrent neural networks on GPUs (products for
      all steps at once); Graves (2013), Generating sequences with recurrent neural networks (capped derivatives).
    """

    name: ClassVar[str] = "fused"
    kinds: ClassVar[tuple[type[Cell], ...]] = (GatedCell,)

    save: Literal["preactivations", "states"] = "preactivations"
    cap: float | None = None
    unroll: int = 1

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.save not in ("preactivations", "states"):
            raise ValueError(f"save must be 'preactivations' or 'states' (got {self.save!r})")
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap must be above 0 (got {self.cap})")

    def run(self, cell: GatedCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any gated cell; `observe` must be linear."""
        compute = inputs.xs.dtype
        given = _Given(
            params=cast(params, compute),
            gate_params=cast(cell.gate_params(params), state_dtype(compute)),
            xs=inputs.xs,
            state=inputs.state,
            fresh=inputs.fresh,
            noise_ts=_floats(inputs.noise_ts),
        )
        fixed = _Fixed(inputs.valid, inputs.resets, _others(inputs.noise_ts))
        last, observed, hs = _recurrence(_Plan(self, cell, observe), given, fixed)
        return last, observed, cell.readout(given.params, hs.astype(compute), inputs.xs).astype(compute)


class _Given(NamedTuple):
    """What gradients flow to; noise only where it is of a float type."""

    params: PyTree
    gate_params: PyTree
    xs: Array
    state: PyTree
    fresh: PyTree
    noise_ts: PyTree


class _Fixed(NamedTuple):
    """What no gradient flows to."""

    valid: Array | None
    resets: Array | None
    noise_ts: PyTree


class _Kept(NamedTuple):
    """What the forward pass leaves for the backward one; `us` and `rs` are None where they are to be made again."""

    states: PyTree
    us: PyTree
    rs: PyTree


def _is_float(x: Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def _floats(tree: PyTree) -> PyTree:
    """The tree with None in place of all leaves but floats."""
    return jax.tree.map(lambda x: x if _is_float(x) else None, tree)


def _others(tree: PyTree) -> PyTree:
    """The tree with None in place of floats."""
    return jax.tree.map(lambda x: None if _is_float(x) else x, tree)


def _merge(floats: PyTree, others: PyTree) -> PyTree:
    """Undoes `_floats` and `_others`."""
    return jax.tree.map(lambda a, b: b if a is None else a, floats, others, is_leaf=lambda x: x is None)


def _add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


def _zeros(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.zeros_like, tree)


class _Plan(NamedTuple):
    """The static side of one run, and the pieces of a step."""

    engine: Fused
    cell: GatedCell
    observe: Observe

    def project(self, params: PyTree, xs: Array) -> PyTree:
        """U of all steps, in the type of the state."""
        return cast(self.cell.project(params, xs), state_dtype(xs.dtype))

    def recur(self, params: PyTree, h: Array, compute: jnp.dtype) -> PyTree:
        """R from h of one step or of all, in the type of h."""
        return cast(self.cell.recur(params, h.astype(compute)), h.dtype)

    def move(
        self, fixed_t: _Fixed, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree, noise_t: PyTree
    ) -> PyTree:
        """The state after a step from `state`, which stands still on padding."""
        new = self.cell.gates(gate_params, u_t, r_t, state, _merge(noise_t, fixed_t.noise_ts))
        new = jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)
        return new if fixed_t.valid is None else select(fixed_t.valid, new, state)

    def emit(self, state: PyTree) -> tuple[PyTree, Array]:
        """What of a state is handed out."""
        return self.observe(state), self.cell.hidden(state)

    def forward(self, given: _Given, fixed: _Fixed, keep: Callable[[PyTree, PyTree], PyTree]) -> tuple[PyTree, PyTree]:
        """The loop forwards: the last state, and `keep(state, r_t)` of every step."""
        compute = given.xs.dtype

        def body(state: PyTree, at_t: tuple[PyTree, PyTree, _Fixed]) -> tuple[PyTree, PyTree]:
            u_t, noise_t, fixed_t = at_t
            state = select(fixed_t.resets, given.fresh, state)
            r_t = self.recur(given.params, self.cell.hidden(state), compute)
            state = self.move(fixed_t, given.gate_params, u_t, r_t, state, noise_t)
            return state, keep(state, r_t)

        us = self.project(given.params, given.xs)
        return loop(body, given.state, (us, given.noise_ts, fixed), unroll=self.engine.unroll)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(plan: _Plan, given: _Given, fixed: _Fixed) -> tuple[PyTree, PyTree, Array]:
    """The last state, what is observed of all of them, and h [T, *batch, H]."""
    last, (observed, hs) = plan.forward(given, fixed, lambda state, r_t: plan.emit(state))
    return last, observed, hs


def _recurrence_forward(plan: _Plan, given: _Given, fixed: _Fixed) -> tuple[Any, tuple[_Given, _Fixed, _Kept]]:
    keeps = plan.engine.save == "preactivations"
    last, (states, rs) = plan.forward(given, fixed, lambda state, r_t: (state, r_t if keeps else None))
    observed, hs = jax.vmap(plan.emit)(states)
    us = plan.project(given.params, given.xs) if keeps else None
    return (last, observed, hs), (given, fixed, _Kept(states, us, rs))


def _recurrence_backward(
    plan: _Plan, residuals: tuple[_Given, _Fixed, _Kept], cotangents: tuple[PyTree, PyTree, Array]
) -> tuple[_Given, None]:
    given, fixed, kept = residuals
    last_bar, *emitted_bar = cotangents
    hs_bar = emitted_bar[-1]
    compute = given.xs.dtype
    before = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later])[:-1], given.state, kept.states)
    before = jax.vmap(select, in_axes=(0, None, 0))(fixed.resets, given.fresh, before)
    hs = plan.cell.hidden(before)

    params, xs = given.params, given.xs
    if kept.rs is None:  # products made again would else be made at once, and kept until the loop needs them
        params, xs, hs = jax.tree.map(lambda x: x + zero_after(hs_bar).astype(x.dtype), (params, xs, hs))
    us, project_t = jax.vjp(plan.project, params, xs)
    rs, recur_t = jax.vjp(lambda params: plan.recur(params, hs, compute), params)
    if kept.rs is not None:
        us, rs = kept.us, kept.rs
    state_like, h_like = one_step((before, hs))
    emit_t = jax.linear_transpose(plan.emit, state_like)
    hidden_t = jax.linear_transpose(plan.cell.hidden, state_like)
    _, recur_h_t = jax.vjp(lambda h: plan.recur(given.params, h, compute), h_like)

    def body(carry: tuple[PyTree, PyTree, PyTree], at_t: tuple[PyTree, ...]) -> tuple[PyTree, PyTree]:
        state_bar, gate_params_bar, fresh_bar = carry
        u_t, r_t, state, noise_t, fixed_t, emitted_bar_t = at_t
        state_bar = _add(state_bar, emit_t(tuple(emitted_bar_t))[0])
        step = functools.partial(plan.move, fixed_t)
        _, move_t = jax.vjp(step, given.gate_params, u_t, r_t, state, noise_t)
        gate_bar, u_bar, r_bar, state_bar, noise_bar = move_t(state_bar)
        state_bar = _add(state_bar, hidden_t(_capped(recur_h_t(r_bar)[0], plan.engine.cap))[0])
        if fixed_t.resets is not None:
            fresh_bar = _add(fresh_bar, select(fixed_t.resets, state_bar, _zeros(state_bar)))
            state_bar = select(fixed_t.resets, _zeros(state_bar), state_bar)
        return (state_bar, _add(gate_params_bar, gate_bar), fresh_bar), _Once.of((u_bar, r_bar, noise_bar))

    start = (last_bar, _zeros(given.gate_params), _zeros(given.fresh))
    at = (us, rs, before, given.noise_ts, fixed, emitted_bar)
    (state_bar, gate_params_bar, fresh_bar), once = loop(body, start, at, reverse=True, unroll=plan.engine.unroll)
    us_bar, rs_bar, noise_bar = once.tree()
    params_bar, xs_bar = project_t(us_bar)
    params_bar = _add(params_bar, recur_t(rs_bar)[0])
    return _Given(params_bar, gate_params_bar, xs_bar, state_bar, fresh_bar, noise_bar), None


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _capped(h_bar: Array, cap: float | None) -> Array:
    return h_bar if cap is None else jnp.clip(h_bar, -cap, cap)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class _Once:
    """A tree some of whose leaves are one and the same array, which is then stacked once.

    Of most gates u + r alone is used, and then ū and r̄ are the same.
    """

    leaves: tuple[Array, ...]
    where: tuple[int, ...]
    structure: Any

    @classmethod
    def of(cls, tree: PyTree) -> "_Once":
        """Takes the arrays of a tree, each once."""
        all_leaves, structure = jax.tree.flatten(tree)
        leaves = list({id(leaf): leaf for leaf in all_leaves}.values())
        ids = [id(leaf) for leaf in leaves]
        return cls(tuple(leaves), tuple(ids.index(id(leaf)) for leaf in all_leaves), structure)

    def tree(self) -> PyTree:
        """The tree again."""
        return jax.tree.unflatten(self.structure, [self.leaves[n] for n in self.where])

    def tree_flatten(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        """For JAX."""
        return self.leaves, (self.where, self.structure)

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], leaves: Any) -> "_Once":
        """For JAX."""
        return cls(tuple(leaves), *static)
