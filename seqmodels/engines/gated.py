"""A run of a gated cell taken apart: what gradients flow to, what is fixed, and the pieces of a step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, GatedCell, PyTree, cast, state_dtype
from seqmodels.engines.engine import Inputs, earlier, select
from seqmodels.engines.loop import one_step

Observe = Callable[[PyTree], PyTree]


class Given(NamedTuple):
    """What gradients flow to; noise only where it is of a float type."""

    params: PyTree
    gate_params: PyTree
    xs: Array
    state: PyTree
    fresh: PyTree
    noise_ts: PyTree


class Fixed(NamedTuple):
    """What no gradient flows to."""

    valid: Array | None
    resets: Array | None
    noise_ts: PyTree


def take_apart(cell: GatedCell, params: PyTree, inputs: Inputs) -> tuple[Given, Fixed]:
    """What an engine was given, with parameters in the types in which they are used."""
    compute = inputs.xs.dtype
    given = Given(
        params=cast(params, compute),
        gate_params=cast(cell.gate_params(params), state_dtype(compute)),
        xs=inputs.xs,
        state=inputs.state,
        fresh=inputs.fresh,
        noise_ts=floats(inputs.noise_ts),
    )
    return given, Fixed(inputs.valid, inputs.resets, others(inputs.noise_ts))


class Plan(NamedTuple):
    """The static side of one run, and the pieces of a step; the engine with its options is read by itself alone."""

    engine: Any
    cell: GatedCell
    observe: Observe

    def project(self, params: PyTree, xs: Array) -> PyTree:
        """U of all steps, in the type of the state."""
        return cast(self.cell.project(params, xs), state_dtype(xs.dtype))

    def u_like(self, given: Given) -> PyTree:
        """The shapes of U of one step."""
        return jax.eval_shape(lambda params, xs: one_step(self.project(params, xs)), given.params, given.xs)

    def recur(self, params: PyTree, h: Array, compute: jnp.dtype) -> PyTree:
        """R from h of one step or of all, in the type of h."""
        return cast(self.cell.recur(params, h.astype(compute)), h.dtype)

    def move(
        self, fixed_t: Fixed, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree, noise_t: PyTree
    ) -> PyTree:
        """The state after a step from `state`, which stands still on padding."""
        new = self.cell.gates(gate_params, u_t, r_t, state, merge(noise_t, fixed_t.noise_ts))
        new = jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)
        return new if fixed_t.valid is None else select(fixed_t.valid, new, state)

    def emit(self, state: PyTree) -> tuple[PyTree, Array]:
        """What of a state is handed out."""
        return self.observe(state), self.cell.hidden(state)

    def before(self, given: Given, fixed: Fixed, states: PyTree) -> PyTree:
        """The state before each step, resets done, from the state after each step."""
        return jax.vmap(select, in_axes=(0, None, 0))(fixed.resets, given.fresh, earlier(given.state, states))

    def sums(self, given: Given, fixed: Fixed) -> tuple[bool, ...]:
        """For each array of u: whether the gates read it and its partner in r in their sum alone.

        Then the sum is all of the two that a backward pass needs. It is seen in what the gates do when they are
        traced, so that a cell need not say it.
        """
        compute = given.xs.dtype
        u_t = self.u_like(given)
        r_t = jax.eval_shape(
            lambda params, state: self.recur(params, self.cell.hidden(state), compute), given.params, given.state
        )
        noise_t = jax.eval_shape(lambda *noise_ts: one_step(merge(*noise_ts)), given.noise_ts, fixed.noise_ts)
        sizes = [len(jax.tree.leaves(tree)) for tree in (given.gate_params, u_t, r_t)]
        if sizes[1] != sizes[2]:
            return (False,) * sizes[1]
        jaxpr = jax.make_jaxpr(self.cell.gates)(given.gate_params, u_t, r_t, given.state, noise_t).jaxpr
        us = jaxpr.invars[sizes[0] : sizes[0] + sizes[1]]
        rs = jaxpr.invars[sizes[0] + sizes[1] : sum(sizes)]
        return tuple(_only_added(jaxpr, u, r) for u, r in zip(us, rs, strict=True))


def _only_added(jaxpr: Any, u: Any, r: Any) -> bool:
    """Whether all that is done with two arrays of one shape is to add them, once."""
    users = [[eqn for eqn in jaxpr.eqns if any(read is var for read in eqn.invars)] for var in (u, r)]
    returned = any(out is var for out in jaxpr.outvars for var in (u, r))
    return (
        u.aval == r.aval
        and not returned
        and [len(eqns) for eqns in users] == [1, 1]
        and users[0][0] is users[1][0]
        and users[0][0].primitive.name == "add"
    )


def add(a: PyTree, b: PyTree) -> PyTree:
    """The sum, leaf by leaf."""
    return jax.tree.map(jnp.add, a, b)


def zeros(tree: PyTree) -> PyTree:
    """Zeros like every leaf."""
    return jax.tree.map(jnp.zeros_like, tree)


def _is_float(x: Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def floats(tree: PyTree) -> PyTree:
    """The tree with None in place of all leaves but floats."""
    return jax.tree.map(lambda x: x if _is_float(x) else None, tree)


def others(tree: PyTree) -> PyTree:
    """The tree with None in place of floats."""
    return jax.tree.map(lambda x: None if _is_float(x) else x, tree)


def merge(some: PyTree, rest: PyTree) -> PyTree:
    """Undoes `floats` and `others`."""
    return jax.tree.map(lambda a, b: b if a is None else a, some, rest, is_leaf=lambda x: x is None)
