"""One optimizer step, a pure function of state and batch."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from seqmodels.cells.base import Array, PyTree
from seqmodels.training.seeds import make_seeds
from seqmodels.training.tables import Averaging
from seqmodels.training.task import Repeated, Sums, Trainable

NEVER: Final = 2**31 - 1
"""A step that no run comes to."""


class TrainState(struct.PyTreeNode):  # type: ignore[no-untyped-call]  # flax leaves it untyped
    """All that changes from step to step; saved whole, it makes a resumed run equal to one never stopped.

    Attributes:
      step: optimizer steps done, int32.
      params: the parameters.
      opt_state: the optimizer's state.
      carry: what the task hands from step to step (the recurrent state of truncated back-propagation).
      average: the averaged parameters, or None.
      sums: measures since the last row of metrics, name -> (total, weight).
      scale: what the scheduled learning rate is multiplied by, float32.
      average_start: with `nt_asgd` the first step of the mean, `NEVER` before it is known; else None.
    """

    step: Array
    params: PyTree
    opt_state: PyTree
    carry: PyTree
    average: PyTree
    sums: dict[str, tuple[Array, Array]]
    scale: Array
    average_start: Array | None = None

    @property
    def result(self) -> PyTree:
        """The parameters to validate and use: the average where there is one."""
        return self.params if self.average is None else self.average


class Step(NamedTuple):
    """The two functions of training, each a pure one that may be jitted.

    Attributes:
      init: `(key) -> TrainState`.
      update: `(state, batches) -> TrainState`; `batches` has the batches of one optimizer step, stacked along a
        leading axis if there are several.
    """

    init: Callable[[Array], TrainState]
    update: Callable[[TrainState, Any], TrainState]


def make_step(
    task: Trainable, optimizer: optax.GradientTransformation, *, seed: int, accumulate: int = 1, averaging: Averaging
) -> Step:
    """Puts a task and an optimizer together.

    The randomness of step n is `fold_in(make_seeds(seed).noise, n)`: the step's number decides it, whatever came
    before. Gradients do not flow from one batch into those before it.

    Args:
      task: gives parameters, carry and loss.
      optimizer: its updates are multiplied by `state.scale`.
      seed: of all noise.
      accumulate: number of batches in a step; their gradients are averaged, their carry is handed on.
      averaging: what kind of average is kept.
    """
    gradient = jax.value_and_grad(task.loss, has_aux=True)
    if isinstance(task, Repeated):
        optimizer = optax.GradientTransformation(jax.vmap(optimizer.init), jax.vmap(optimizer.update))

    def init(key: Array) -> TrainState:
        params = task.init(key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),
            carry=task.initial_carry(params),
            average=None if averaging.name == "none" else jax.tree.map(jnp.copy, params),
            sums=zero_sums(task),
            scale=jnp.ones((), jnp.float32),
            average_start=jnp.full((), NEVER, jnp.int32) if averaging.name == "nt_asgd" else None,
        )

    def gradients(state: TrainState, batches: Any, key: Array) -> tuple[PyTree, PyTree, Sums]:
        """The mean gradient, the carry after the last batch, and the sums over all."""
        if accumulate == 1:
            (_, (carry, sums)), grads = gradient(state.params, state.carry, batches, key)
            return grads, carry, sums

        def one(so_far: tuple[PyTree, PyTree, Sums], at: tuple[Any, Array]) -> tuple[Any, None]:
            grads, carry, sums = so_far
            batch, number = at
            (_, (carry, new)), added = gradient(state.params, carry, batch, jax.random.fold_in(key, number))
            return (jax.tree.map(jnp.add, grads, added), carry, add_sums(new, sums)), None

        nothing = {name: zero for name, zero in zero_sums(task).items() if name != "grad_norm"}
        start = (jax.tree.map(jnp.zeros_like, state.params), state.carry, nothing)
        (grads, carry, sums), _ = jax.lax.scan(one, start, (batches, jnp.arange(accumulate)))
        return jax.tree.map(lambda g: g / accumulate, grads), carry, sums

    def update(state: TrainState, batches: Any) -> TrainState:
        key = jax.random.fold_in(make_seeds(seed).noise, state.step)
        grads, carry, sums = gradients(state, batches, key)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda u: (u * state.scale).astype(u.dtype), updates)
        params = optax.apply_updates(state.params, updates)
        norm = jax.vmap(optax.tree.norm)(grads).mean() if isinstance(task, Repeated) else optax.tree.norm(grads)
        return state.replace(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            carry=carry,
            average=_average(averaging, state, params),
            sums=add_sums(state.sums, {**sums, "grad_norm": (norm, jnp.ones_like(norm))}),
        )

    return Step(init, update)


def zero_sums(task: Trainable) -> dict[str, tuple[Array, Array]]:
    """Sums over nothing, of a task's measures and the gradient's norm."""
    shapes = {**task.measures, "grad_norm": ()}
    return {name: (jnp.zeros(shape, jnp.float32), jnp.zeros((), jnp.float32)) for name, shape in shapes.items()}


def add_sums(a: Sums, b: Sums) -> dict[str, tuple[Array, Array]]:
    """Adds totals and weights name by name."""
    return {name: (a[name][0] + b[name][0], a[name][1] + b[name][1]) for name in a}


def _average(averaging: Averaging, state: TrainState, params: PyTree) -> PyTree:
    """The average after the step from `state` that gave `params`.

    The exponential one is a plain mean at first, so that the random start does not linger in it. A mean is the last
    parameters themselves, to the bit, until it starts.
    """
    if averaging.name == "none":
        return None
    if averaging.name == "ema":
        share = jnp.maximum(1.0 - averaging.decay, 1.0 / (state.step + 1).astype(jnp.float32))
    else:
        start = averaging.start if state.average_start is None else state.average_start
        share = 1.0 / jnp.maximum(state.step - start + 1, 1).astype(jnp.float32)
    return jax.tree.map(lambda a, p: (1 - share).astype(a.dtype) * a + share.astype(a.dtype) * p, state.average, params)
