"""The engine with a gradient of its own: nothing but linear maps of h inside the backward loop, weights after it."""

import dataclasses
import functools
import math
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree
from seqmodels.engines.engine import Engine, Inputs, select
from seqmodels.engines.gated import Fixed, Given, Observe, Plan, add, take_apart, zeros
from seqmodels.engines.loop import loop, one_step, zero_after


@dataclasses.dataclass(frozen=True)
class Fused(Engine):
    """One step after the other, with a hand-written gradient for every gated cell.

        forwards     uₜ = project(xₜ), one product            sₜ = gates(uₜ, rₜ, sₜ₋₁),    rₜ = recur(hₜ₋₁)
        backwards    s̄ₜ₋₁ = (∂gates/∂s)ᵀ s̄ₜ + recurᵀ r̄ₜ,     ūₜ = (∂gates/∂u)ᵀ s̄ₜ,       r̄ₜ = (∂gates/∂r)ᵀ s̄ₜ
        afterwards   the gradients of all weights and of x from ū, r̄ and h, one product each

    Differentiating a scan would instead add a weight-sized array to an accumulator at every step. Reverse mode only,
    to any order: `jvp` and `jacfwd` need the engine "scan".

    Args:
      save: what the backward pass finds ready beside the states: "preactivations" (u + r where the gates read nothing
        else, else u and r: faster) or "states" (nothing: u and r are made again by one product each, which saves
        memory where layers wait for each other's backward pass, and none in a single layer).
      cap: each element of the gradient that step t hands to hₜ₋₁ through the recurrent product is held within ±cap,
        so that it cannot explode on its way through time; None: left as it is, and gradients are exact.
      unroll: steps in one turn of the compiled loops.
      packed: what each step leaves is written to one array for all that have one shape, not to one for each gate.
        None: as it was found to be faster (docs/benchmarks.md), see `packs`.

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
    packed: bool | None = None

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.save not in ("preactivations", "states"):
            raise ValueError(f"save must be 'preactivations' or 'states' (got {self.save!r})")
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap must be above 0 (got {self.cap})")

    def packs(self, leaf: Any) -> bool:
        """Whether a step's output is packed: a GPU takes a kernel for each array, a CPU reads packed ones slowly."""
        if self.packed is not None:
            return self.packed
        backend = jax.default_backend()
        return backend == "gpu" or (backend == "cpu" and _is_little(leaf.shape))

    def run(self, cell: GatedCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any gated cell; `observe` must be linear."""
        given, fixed = take_apart(cell, params, inputs)
        last, observed, hs = _recurrence(Plan(self, cell, observe), given, fixed)
        ys = cell.readout(given.params, hs.astype(inputs.xs.dtype), inputs.xs)
        return last, observed, ys.astype(inputs.xs.dtype)


class _Kept(NamedTuple):
    """What the forward pass leaves for the backward one; `us` and `rs` are None where they are to be made again.

    Else they are lists with an array for each gate. Where the gate reads u + r alone, that sum stands in `rs`, and
    None in `us`.
    """

    states: PyTree
    us: list[Array | None] | None
    rs: list[Array] | None


def _forward(plan: Plan, given: Given, fixed: Fixed, keep: Any) -> tuple[PyTree, PyTree, PyTree]:
    """The loop forwards: the last state, `keep(state, u_t, r_t)` of every step, and all u."""
    compute = given.xs.dtype

    def body(state: PyTree, at_t: tuple[PyTree, PyTree, Fixed]) -> tuple[PyTree, PyTree]:
        u_t, noise_t, fixed_t = at_t
        state = select(fixed_t.resets, given.fresh, state)
        r_t = plan.recur(given.params, plan.cell.hidden(state), compute)
        state = plan.move(fixed_t, given.gate_params, u_t, r_t, state, noise_t)
        return state, keep(state, u_t, r_t)

    us = plan.project(given.params, given.xs)
    last, kept = loop(
        body, given.state, (us, given.noise_ts, fixed), unroll=plan.engine.unroll, packs=plan.engine.packs
    )
    return last, kept, us


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(plan: Plan, given: Given, fixed: Fixed) -> tuple[PyTree, PyTree, Array]:
    """The last state, what is observed of all of them, and h [T, *batch, H]."""
    last, (observed, hs), _ = _forward(plan, given, fixed, lambda state, u_t, r_t: plan.emit(state))
    return last, observed, hs


def _recurrence_forward(plan: Plan, given: Given, fixed: Fixed) -> tuple[Any, tuple[Given, Fixed, _Kept]]:
    keeps = plan.engine.save == "preactivations"
    sums = plan.sums(given, fixed)

    def keep(state: PyTree, u_t: PyTree, r_t: PyTree) -> tuple[PyTree, list[Array] | None]:
        rs = jax.tree.leaves(r_t)
        if any(sums):
            rs = [u + r if only else r for only, u, r in zip(sums, jax.tree.leaves(u_t), rs, strict=True)]
        return state, rs if keeps else None

    last, (states, rs), all_us = _forward(plan, given, fixed, keep)
    observed, hs = jax.vmap(plan.emit)(states)
    us = [None if only else u for only, u in zip(sums, jax.tree.leaves(all_us), strict=True)] if keeps else None
    return (last, observed, hs), (given, fixed, _Kept(states, us, rs))


def _recurrence_backward(
    plan: Plan, residuals: tuple[Given, Fixed, _Kept], cotangents: tuple[PyTree, PyTree, Array]
) -> tuple[Given, None]:
    given, fixed, kept = residuals
    last_bar, *emitted_bar = cotangents
    hs_bar = emitted_bar[-1]
    compute = given.xs.dtype
    before = plan.before(given, fixed, kept.states)
    hs = plan.cell.hidden(before)

    params, xs = given.params, given.xs
    if kept.rs is None:  # products made again would else be made at once, and kept until the loop needs them
        params, xs, hs = jax.tree.map(lambda x: x + zero_after(hs_bar).astype(x.dtype), (params, xs, hs))
    made_us, project_t = jax.vjp(plan.project, params, xs)
    made_rs, recur_t = jax.vjp(lambda params: plan.recur(params, hs, compute), params)
    us = jax.tree.leaves(made_us) if kept.us is None else kept.us
    rs = jax.tree.leaves(made_rs) if kept.rs is None else kept.rs
    trees = jax.tree.structure(made_us), jax.tree.structure(made_rs)
    state_like, h_like = one_step((before, hs))
    emit_t = jax.linear_transpose(plan.emit, state_like)
    hidden_t = jax.linear_transpose(plan.cell.hidden, state_like)
    _, recur_h_t = jax.vjp(lambda h: plan.recur(given.params, h, compute), h_like)

    def body(carry: tuple[PyTree, PyTree, PyTree], at_t: tuple[PyTree, ...]) -> tuple[PyTree, PyTree]:
        state_bar, gate_params_bar, fresh_bar = carry
        us_t, rs_t, state, noise_t, fixed_t, emitted_bar_t = at_t
        u_t, r_t = (jax.tree.unflatten(tree, leaves) for tree, leaves in zip(trees, _pairs(us_t, rs_t), strict=True))
        state_bar = add(state_bar, emit_t(tuple(emitted_bar_t))[0])
        step = functools.partial(plan.move, fixed_t)
        _, move_t = jax.vjp(step, given.gate_params, u_t, r_t, state, noise_t)
        gate_bar, u_bar, r_bar, state_bar, noise_bar = move_t(state_bar)
        state_bar = add(state_bar, hidden_t(_capped(recur_h_t(r_bar)[0], plan.engine.cap))[0])
        if fixed_t.resets is not None:
            fresh_bar = add(fresh_bar, select(fixed_t.resets, state_bar, zeros(state_bar)))
            state_bar = select(fixed_t.resets, zeros(state_bar), state_bar)
        return (state_bar, add(gate_params_bar, gate_bar), fresh_bar), _Once.of((u_bar, r_bar, noise_bar))

    start = (last_bar, zeros(given.gate_params), zeros(given.fresh))
    at = (us, rs, before, given.noise_ts, fixed, emitted_bar)
    (state_bar, gate_params_bar, fresh_bar), once = loop(
        body, start, at, reverse=True, unroll=plan.engine.unroll, packs=plan.engine.packs
    )
    us_bar, rs_bar, noise_bar = once.tree()
    params_bar, xs_bar = project_t(us_bar)
    params_bar = add(params_bar, recur_t(rs_bar)[0])
    return Given(params_bar, gate_params_bar, xs_bar, state_bar, fresh_bar, noise_bar), None


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _pairs(us: list[Array | None], rs: list[Array]) -> tuple[list[Any], list[Array]]:
    """U and r of every gate, where r holds u + r in place of an u that is None: (u + r) + 0 is as good."""
    if all(u is not None for u in us):
        return us, rs
    return (
        [r if u is None else u for u, r in zip(us, rs, strict=True)],
        [jnp.zeros_like(r) if u is None else r for u, r in zip(us, rs, strict=True)],
    )


def _is_little(shape: tuple[Any, ...]) -> bool:
    """Whether a CPU writes an array of some rows more slowly than it reads it out of a packed one.

    An array without rows may be one of many under `vmap`, and one of a size that is not known may be large.
    """
    known = all(isinstance(size, int) for size in shape)
    return known and len(shape) > 1 and math.prod(shape) <= 256


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
