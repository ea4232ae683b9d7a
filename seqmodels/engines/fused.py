"""The engine with a gradient of its own: nothing but linear maps of h inside the backward loop, weights after it."""

import dataclasses
import functools
import math
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, GatedCell, PyTree
from seqmodels.cells.spread import platform
from seqmodels.engines.engine import Engine, Inputs, select
from seqmodels.engines.gated import Fixed, Given, Observe, Plan, add, take_apart, zeros
from seqmodels.engines.loop import Body, loop, one_step, zero_after
from seqmodels.engines.spans import Pull, Spans, backwards, forwards, usual_size


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
      span: steps in a span of time whose wide products, those afterwards and, unless x is less than half as wide as h,
        project(x), are made while the loop is in the span beside it, on another core, and are never whole; 0, or where
        T is no multiple of it: all at once. None: as it was found to be faster, on CPUs, see `usual_size`. Of no use
        with save="states".

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
    span: int | None = None

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.save not in ("preactivations", "states"):
            raise ValueError(f"save must be 'preactivations' or 'states' (got {self.save!r})")
        if self.cap is not None and not self.cap > 0:
            raise ValueError(f"cap must be above 0 (got {self.cap})")
        if self.span is not None and self.span < 0:
            raise ValueError(f"span must be at least 0 steps (got {self.span})")

    def packs(self, leaf: Any) -> bool:
        """Whether a step's output is packed: a GPU takes a kernel for each array, a CPU reads packed ones slowly."""
        if self.packed is not None:
            return self.packed
        device = platform()
        return device == "gpu" or (device == "cpu" and _is_little(leaf.shape))

    def run(self, cell: GatedCell, params: PyTree, inputs: Inputs, observe: Observe) -> tuple[PyTree, PyTree, Array]:
        """Runs any gated cell; `observe` must be linear."""
        given, fixed = take_apart(cell, params, inputs)
        plan = Plan(self, cell, observe)
        plan = plan._replace(engine=dataclasses.replace(self, span=self.steps_in_span(plan, given)))
        last, observed, hs = _recurrence(plan, given, fixed)
        ys = cell.readout(given.params, hs.astype(inputs.xs.dtype), inputs.xs)
        return last, observed, ys.astype(inputs.xs.dtype)

    def steps_in_span(self, plan: Plan, given: Given) -> int:
        """The steps in a span, or 0 for one loop over all of them."""
        steps = given.xs.shape[0]
        if self.save == "states" or not isinstance(steps, int):
            return 0
        if self.span is None:
            return usual_size(given.xs, jax.tree.leaves(plan.u_like(given)), plan.cell.hidden(given.state))
        return self.span if self.span and steps % self.span == 0 and steps > self.span else 0

    @property
    def spans(self) -> Spans:
        """How the loops are cut, once `span` is known."""
        return Spans(self.span or 0, self.unroll, self.packs)


class _Kept(NamedTuple):
    """What the forward pass leaves for the backward one; `us` and `rs` are None where they are to be made again.

    Else they are lists with an array for each gate. Where the gate reads u + r alone, that sum stands in `rs`, and
    None in `us`.
    """

    states: PyTree
    us: list[Array | None] | None
    rs: list[Array] | None


def _forward(plan: Plan, given: Given, fixed: Fixed, keep: Any) -> tuple[PyTree, PyTree, PyTree]:
    """The loop forwards: the last state, `keep(state, u_t, r_t)` of every step, and all u, or None made in spans."""
    compute = given.xs.dtype

    def step(state: PyTree, at_t: tuple[PyTree, PyTree, Fixed]) -> tuple[PyTree, PyTree]:
        u_t, noise_t, fixed_t = at_t
        state = select(fixed_t.resets, given.fresh, state)
        r_t = plan.recur(given.params, plan.cell.hidden(state), compute)
        state = plan.move(fixed_t, given.gate_params, u_t, r_t, state, noise_t)
        return state, keep(state, u_t, r_t)

    at = given.noise_ts, fixed
    project = functools.partial(plan.project, given.params)
    spans = plan.engine.spans
    if _projects_in_spans(plan, given):
        return *forwards(step, given.state, project, given.xs, at, spans), None
    us = project(given.xs)
    return *loop(step, given.state, (us, *at), unroll=spans.unroll, packs=spans.packs), us


def _projects_in_spans(plan: Plan, given: Given) -> bool:
    """Whether u is made beside the loop: that of inputs less than half as wide as h is too little to be worth it."""
    h = plan.cell.hidden(given.state)
    return bool(plan.engine.span) and 2 * given.xs.shape[-1] >= h.shape[-1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recurrence(plan: Plan, given: Given, fixed: Fixed) -> tuple[PyTree, PyTree, Array]:
    """The last state, what is observed of all of them, and h [T, *batch, H]."""
    last, (observed, hs), _ = _forward(plan, given, fixed, lambda state, u_t, r_t: plan.emit(state))
    return last, observed, hs


def _recurrence_forward(plan: Plan, given: Given, fixed: Fixed) -> tuple[Any, tuple[Given, Fixed, _Kept]]:
    keeps = plan.engine.save == "preactivations"
    sums, in_spans = plan.sums(given, fixed), _projects_in_spans(plan, given)

    def apart(us: PyTree) -> list[Array | None]:
        return [None if only else u for only, u in zip(sums, jax.tree.leaves(us), strict=True)]

    def keep(state: PyTree, u_t: PyTree, r_t: PyTree) -> tuple[PyTree, list[Array | None] | None, list[Array] | None]:
        if not keeps:
            return state, None, None
        rs = jax.tree.leaves(r_t)
        if any(sums):
            rs = [u + r if only else r for only, u, r in zip(sums, jax.tree.leaves(u_t), rs, strict=True)]
        return state, apart(u_t) if in_spans else None, rs

    last, (states, us, rs), all_us = _forward(plan, given, fixed, keep)
    observed, hs = jax.vmap(plan.emit)(states)
    if keeps and us is None:
        us = apart(all_us)
    return (last, observed, hs), (given, fixed, _Kept(states, us, rs))


def _recurrence_backward(
    plan: Plan, residuals: tuple[Given, Fixed, _Kept], cotangents: tuple[PyTree, PyTree, Array]
) -> tuple[Given, None]:
    given, fixed, kept = residuals
    last_bar, *emitted_bar = cotangents
    before = plan.before(given, fixed, kept.states)
    params, xs, hs = given.params, given.xs, plan.cell.hidden(before)
    if kept.rs is None:  # products made again would else be made at once, and kept until the loop needs them
        params, xs, hs = jax.tree.map(lambda x: x + zero_after(emitted_bar[-1]).astype(x.dtype), (params, xs, hs))

    def wide(params: PyTree, xs: Array, hs: Array) -> tuple[PyTree, PyTree]:
        return plan.project(params, xs), plan.recur(params, hs, given.xs.dtype)

    def wide_vjp(xs: Array, hs: Array) -> tuple[tuple[PyTree, PyTree], Any]:
        return jax.vjp(lambda params, xs: wide(params, xs, hs), params, xs)

    spans = plan.engine.spans
    made = jax.eval_shape(wide, params, xs, hs)
    trees = [jax.tree.structure(tree) for tree in made]
    step = _step_backwards(plan, given, trees, one_step((before, hs)))
    start = (last_bar, zeros(given.gate_params), zeros(given.fresh))
    if spans.size:

        def step_apart(carry: PyTree, at_t: PyTree) -> tuple[PyTree, PyTree]:
            carry, (u_bar, r_bar, noise_bar) = step(carry, at_t)
            return carry, (_different(u_bar, r_bar), noise_bar)

        def pull_of(n: Any) -> Any:
            _, pull = wide_vjp(*spans.cut((xs, hs), n))
            return jax.tree_util.Partial(functools.partial(_pull_different, trees[1]), pull)  # type: ignore[no-untyped-call]  # jax does not annotate it

        found = (kept.us, kept.rs, before, given.noise_ts, fixed, emitted_bar)
        carry, params_bar, xs_bar, noise_bar = backwards(step_apart, start, found, Pull(pull_of, params), spans)
        params_bar = jax.tree.map(lambda bar, leaf: bar.astype(leaf.dtype), params_bar, params)
    else:

        def step_once(carry: PyTree, at_t: PyTree) -> tuple[PyTree, _Once]:
            carry, bars = step(carry, at_t)
            return carry, _Once.of(bars)

        made, wide_t = wide_vjp(xs, hs)
        us, rs = (jax.tree.leaves(m) if k is None else k for m, k in zip(made, (kept.us, kept.rs), strict=True))
        at = (us, rs, before, given.noise_ts, fixed, emitted_bar)
        carry, once = loop(step_once, start, at, reverse=True, unroll=spans.unroll, packs=spans.packs)
        us_bar, rs_bar, noise_bar = once.tree()
        params_bar, xs_bar = wide_t((us_bar, rs_bar))
    state_bar, gate_params_bar, fresh_bar = carry
    return Given(params_bar, gate_params_bar, xs_bar, state_bar, fresh_bar, noise_bar), None


def _step_backwards(plan: Plan, given: Given, trees: list[Any], like: tuple[PyTree, Array]) -> Body:
    """A step of the loop backwards; `trees` are the structures of u and r, and `like` a state and its h."""
    state_like, h_like = like
    emit_t = jax.linear_transpose(plan.emit, state_like)
    hidden_t = jax.linear_transpose(plan.cell.hidden, state_like)
    _, recur_h_t = jax.vjp(lambda h: plan.recur(given.params, h, given.xs.dtype), h_like)

    def step(carry: tuple[PyTree, PyTree, PyTree], at_t: tuple[PyTree, ...]) -> tuple[PyTree, PyTree]:
        state_bar, gate_params_bar, fresh_bar = carry
        us_t, rs_t, state, noise_t, fixed_t, emitted_bar_t = at_t
        u_t, r_t = (jax.tree.unflatten(tree, leaves) for tree, leaves in zip(trees, _pairs(us_t, rs_t), strict=True))
        state_bar = add(state_bar, emit_t(tuple(emitted_bar_t))[0])
        move = functools.partial(plan.move, fixed_t)
        _, move_t = jax.vjp(move, given.gate_params, u_t, r_t, state, noise_t)
        gate_bar, u_bar, r_bar, state_bar, noise_bar = move_t(state_bar)
        state_bar = add(state_bar, hidden_t(_capped(recur_h_t(r_bar)[0], plan.engine.cap))[0])
        if fixed_t.resets is not None:
            fresh_bar = add(fresh_bar, select(fixed_t.resets, state_bar, zeros(state_bar)))
            state_bar = select(fixed_t.resets, zeros(state_bar), state_bar)
        return (state_bar, add(gate_params_bar, gate_bar), fresh_bar), (u_bar, r_bar, noise_bar)

    return step


_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _pairs(us: list[Array | None], rs: list[Array]) -> tuple[list[Any], list[Array]]:
    """U and r of every gate, where r holds u + r in place of an u that is None: (u + r) + 0 is as good."""
    if all(u is not None for u in us):
        return us, rs
    return (
        [r if u is None else u for u, r in zip(us, rs, strict=True)],
        [jnp.zeros_like(r) if u is None else r for u, r in zip(us, rs, strict=True)],
    )


def _different(u_bar: PyTree, r_bar: PyTree) -> tuple[PyTree, ...]:
    """Ū and r̄, or ū alone where r̄ is made of the same arrays."""
    us, rs = jax.tree.leaves(u_bar), jax.tree.leaves(r_bar)
    same = len(us) == len(rs) and all(u is r for u, r in zip(us, rs, strict=True))
    return (u_bar,) if same else (u_bar, r_bar)


def _pull_different(structure: Any, pull: Any, bars: tuple[PyTree, ...]) -> tuple[PyTree, Array]:
    """What the transposed products make of what `_different` has left; `structure` is that of r̄."""
    pulled: tuple[PyTree, Array] = pull((bars[0], jax.tree.unflatten(structure, jax.tree.leaves(bars[-1]))))
    return pulled


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
