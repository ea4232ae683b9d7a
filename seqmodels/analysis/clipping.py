"""The wall in the loss of a recurrent unit, and what capping the gradient does there."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqmodels.cells import RNN, RNNParams, RNNState
from seqmodels.cells.base import Array
from seqmodels.engines import unroll

START, TARGET, STEPS = 0.25, 0.4, 50
"""The unit's first state, what its last one should be, and the steps between them."""


class Wall(NamedTuple):
    """The loss of one unit over a grid of weights and biases.

    Attributes:
      weights: w [W].
      biases: b [B].
      losses: [B, W].
      gradients: of the loss, by w and b, [B, W, 2].
    """

    weights: Array
    biases: Array
    losses: Array
    gradients: Array


class Descent(NamedTuple):
    """The way that gradient descent takes: points (w, b) [steps + 1, 2], and the loss at each, [steps + 1]."""

    points: Array
    losses: Array


def unit_loss(point: Array, *, steps: int = STEPS, start: float = START, target: float = TARGET) -> Array:
    """The loss of a network of one unit without input.

        hₜ = tanh(w hₜ₋₁ + b),      L(w, b) = (h_T - target)²

    Where b = artanh h₀ - w h₀ the unit stands still at h₀. If a = w (1 - h₀²) > 1 there, it stands on a border: a
    little more b and it runs to the upper of two resting points, a little less and to the lower one. On this line the
    loss has a wall, whose slope grows exponentially with the number of steps:

        ∂h_T/∂b = (a^T - 1) / (a - 1),      ∂h_T/∂w = h₀ ∂h_T/∂b

    Args:
      point: (w, b) [2].
      steps: T.
      start: h₀.
      target: what h_T should be.

    Example:
      >>> round(float(unit_loss(jnp.array([0.0, 0.0]))), 4)  # all is forgotten: (0 - 0.4)²
      0.16

    References:
      Pascanu, Mikolov & Bengio (2013), On the difficulty of training recurrent neural networks (their unit has a
      sigmoid, of which tanh is a rescaled form).
    """
    w, b = point
    params = RNNParams(w_ih=jnp.zeros((1, 1), point.dtype), w_hh=w.reshape(1, 1), b=b.reshape(1))
    state = RNNState(jnp.full((1,), start, point.dtype))
    last, _ = unroll(RNN(1), params, jnp.zeros((steps, 1), point.dtype), state, method="scan")
    return jnp.square(last.h[0] - target)


def wall(weights: Array, biases: Array, *, steps: int = STEPS, start: float = START, target: float = TARGET) -> Wall:
    """The loss of the unit and its gradient on a grid; the arguments are those of `unit_loss`.

    Args:
      weights: w [W].
      biases: b [B].
      steps: T.
      start: h₀.
      target: what h_T should be.
    """
    of_point = jax.value_and_grad(functools.partial(unit_loss, steps=steps, start=start, target=target))
    points = jnp.stack(jnp.meshgrid(weights, biases), axis=-1)
    losses, gradients = jax.jit(jax.vmap(jax.vmap(of_point)))(points)
    return Wall(weights, biases, losses, gradients)


def wall_bias(weights: Any, *, start: float = START) -> Any:
    """The bias at which the unit stands still at h₀, b = artanh h₀ - w h₀; the wall where also w (1 - h₀²) > 1."""
    return jnp.arctanh(start) - weights * start


def descend(point: Array, *, steps: int, learning_rate: float, cap: float | None) -> Descent:
    """Gradient descent on `unit_loss`, with the gradient's norm capped or not.

    Args:
      point: where to begin, (w, b) [2].
      steps: how many.
      learning_rate: what the gradient is multiplied by.
      cap: largest norm of a gradient; a longer one is shortened and keeps its direction. None: as it is.
    """
    capped = optax.identity() if cap is None else optax.clip_by_global_norm(cap)
    rule = optax.chain(capped, optax.sgd(learning_rate))

    def body(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], tuple[Array, Array]]:
        point, rule_state = carry
        loss, gradient = jax.value_and_grad(unit_loss)(point)
        updates, rule_state = rule.update(gradient, rule_state)
        return (optax.apply_updates(point, updates), rule_state), (point, loss)

    (last, _), (points, losses) = jax.lax.scan(body, (point, rule.init(point)), length=steps)
    return Descent(jnp.concatenate([points, last[None]]), jnp.concatenate([losses, unit_loss(last)[None]]))
