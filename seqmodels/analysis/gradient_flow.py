"""How much gradient arrives at each step: dL/dsₜ over time."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, Cell, PyTree, cast, state_dtype


class GradientNorms(NamedTuple):
    """Norms of dL/dsₜ, for each row and step.

    Attributes:
      leaves: like the state, with the norm of each of its leaves, [batch, time].
      total: the norm of the whole state's gradient, [batch, time].
    """

    leaves: PyTree
    total: Array


def gradient_norms(
    cell: Cell, params: PyTree, xs: Array, loss: Callable[[Array], Array], state: PyTree = None
) -> GradientNorms:
    """The norm of dL/dsₜ over time, exactly, for any cell.

        ‖dL/dsₜ‖₂,   sₜ the state that step t reads;   dL/dsₜ₋₁ = (∂sₜ/∂sₜ₋₁)ᵀ dL/dsₜ + (∂yₜ₋₁/∂sₜ₋₁)ᵀ dL/dyₜ₋₁

    So place t holds what reaches the border before input t, through all that comes after it; place 0 is the initial
    state. The rows must not depend on each other, as long as their norms are to be read one by one: let the loss be a
    sum over rows.

    It is jitted inside; a new function as `loss` compiles anew.

    Args:
      cell: anything with a `step`.
      params: as made by `cell.init`.
      xs: inputs [batch, time, D] or [time, D]. In float32 a gradient below 1e-38 is 0.
      loss: from the outputs [batch, time, F] ([time, F]) to a number.
      state: the state to begin with; None: the cell's own.

    Returns:
      The norms, [batch, time] ([time]).

    Example:
      >>> import seqmodels as sm
      >>> cell = sm.LSTM(hidden_size=4)
      >>> params = cell.init(jax.random.key(0), 3)
      >>> norms = gradient_norms(cell, params, jnp.ones((2, 5, 3)), lambda ys: ys[:, -1].sum())
      >>> norms.leaves.c.shape, norms.total.shape
      ((2, 5), (2, 5))

    References:
      Hochreiter (1991), Untersuchungen zu dynamischen neuronalen Netzen; Bengio, Simard & Frasconi (1994), Learning
      long-term dependencies with gradient descent is difficult.
    """
    norms: GradientNorms = _gradient_norms(cell, params, xs, loss, state)
    return norms


@functools.partial(jax.jit, static_argnames=("cell", "loss"))
def _gradient_norms(
    cell: Cell, params: PyTree, xs: Array, loss: Callable[[Array], Array], state: PyTree
) -> GradientNorms:
    batch_shape, axis = xs.shape[:-2], xs.ndim - 2
    state = cast(cell.initial_state(params, batch_shape) if state is None else state, state_dtype(xs.dtype))

    def of_time_first(ys: Array) -> Array:
        return loss(jnp.moveaxis(ys, 0, axis))

    gradients = state_gradients(functools.partial(cell.step, params), state, jnp.moveaxis(xs, axis, 0), of_time_first)
    leaves = jax.tree.map(lambda g: jnp.moveaxis(norm(g, 1 + axis), 0, axis), gradients)
    return GradientNorms(leaves, norm(jnp.stack(jax.tree.leaves(leaves), axis=-1), 1 + axis))


def state_gradients(
    step: Callable[[PyTree, PyTree], tuple[PyTree, Array]],
    state: PyTree,
    xs: PyTree,
    loss: Callable[[Array], Array],
) -> PyTree:
    """The gradients dL/dsₜ for any body of a scan, such as `functools.partial(model.step, params)`.

    Nothing is added to each state before it is read; the gradient for this nothing is that for the state.

    Args:
      step: from a state and an input to the next state and an output.
      state: the state to begin with.
      xs: inputs, leaves [time, ...].
      loss: from the outputs [time, ...] to a number.

    Returns:
      Like the state, leaves [time, ...]; place t for the state that step t reads.
    """
    (steps,) = {x.shape[0] for x in jax.tree.leaves(xs)}

    def perturbed(nothing: PyTree) -> Array:
        def body(state: PyTree, at_t: tuple[PyTree, PyTree]) -> tuple[PyTree, Array]:
            x_t, nothing_t = at_t
            return step(jax.tree.map(jnp.add, state, nothing_t), x_t)

        return loss(jax.lax.scan(body, state, (xs, nothing))[1])

    return jax.grad(perturbed)(jax.tree.map(lambda s: jnp.zeros((steps, *s.shape), s.dtype), state))


def norm(x: Array, kept: int) -> Array:
    """The Euclidean norm over all axes but the first `kept`; squares of small numbers do not vanish in it."""
    flat = x.reshape(*x.shape[:kept], -1)
    largest = jnp.max(jnp.abs(flat), axis=-1, keepdims=True, initial=0.0)
    scaled = flat / jnp.where(largest > 0.0, largest, 1.0)
    return largest[..., 0] * jnp.sqrt(jnp.sum(scaled * scaled, axis=-1))
