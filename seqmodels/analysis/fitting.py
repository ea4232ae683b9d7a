"""Training on the spot, for pictures: one compiled loop, nothing saved."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from seqmodels.cells.base import Array, PyTree


class Fitted(NamedTuple):
    """What training gave.

    Attributes:
      before: parameters at the start.
      after: parameters at the end.
      losses: of each step, [steps].
    """

    before: PyTree
    after: PyTree
    losses: Array


def fit(
    loss: Callable[[PyTree, Array], Array], params: PyTree, key: Array, *, steps: int, learning_rate: float
) -> Fitted:
    """Trains with Adam and the gradient's norm capped at 1.

    Args:
      loss: from parameters and a key, which decides the batch, to a number.
      params: to begin with.
      key: decides the batches.
      steps: how many.
      learning_rate: Adam's.

    Example:
      >>> import jax.numpy as jnp
      >>> fitted = fit(lambda x, key: (x - 1.0) ** 2, jnp.array(0.0), jax.random.key(0), steps=200, learning_rate=0.1)
      >>> bool(abs(fitted.after - 1.0) < 0.01), fitted.losses.shape
      (True, (200,))
    """
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate))

    def body(carry: tuple[PyTree, Any], key: Array) -> tuple[tuple[PyTree, Any], Array]:
        params, rule_state = carry
        value, gradient = jax.value_and_grad(loss)(params, key)
        with jax.numpy_dtype_promotion("standard"):  # Adam raises a float to an integer power
            updates, rule_state = rule.update(gradient, rule_state, params)
        return (optax.apply_updates(params, updates), rule_state), value

    @jax.jit
    def run(params: PyTree, keys: Array) -> tuple[PyTree, Array]:
        (after, _), losses = jax.lax.scan(body, (params, rule.init(params)), keys)
        return after, losses

    return Fitted(params, *run(params, jax.random.split(key, steps)))
