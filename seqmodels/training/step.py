"""One optimizer step, a pure function of state and batch."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from seqmodels.cells.base import Array, PyTree
from seqmodels.training.bad_steps import BadSteps, Skips, is_finite
from seqmodels.training.seeds import make_seeds
from seqmodels.training.tables import Averaging
from seqmodels.training.task import Paced, Repeated, Sums, Trainable

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
      sums: measures since the last row of metrics, name -> (total, weight). Where "grad_norm" is not finite, the step
        after `step` was not, and all else stands still as it was before it.
      scale: what the scheduled learning rate is multiplied by, float32.
      average_start: with `nt_asgd` the first step of the mean, `NEVER` before it is known; else None.
      skips: where bad steps are skipped, how many there were; else None.
    """

    step: Array
    params: PyTree
    opt_state: PyTree
    carry: PyTree
    average: PyTree
    sums: dict[str, tuple[Array, Array]]
    scale: Array
    average_start: Array | None = None
    skips: Skips | None = None

    @property
    def result(self) -> PyTree:
        """The parameters to validate and use: the average where there is one."""
        return self.params if self.average is None else self.average

    @property
    def saved(self) -> "TrainState":
        """What a checkpoint has as arrays: the same whatever is done about bad steps, which a resume may change."""
        return self.replace(skips=None)


class Attempt(NamedTuple):
    """What a step comes to, before it is known whether all of it is finite.

    Attributes:
      loss: a number.
      gradient: of the parameters.
      state: the next one.
    """

    loss: Array
    gradient: PyTree
    state: TrainState


class Step(NamedTuple):
    """The functions of training, each a pure one that may be jitted.

    Attributes:
      init: `(key) -> TrainState`.
      update: `(state, batches) -> TrainState`; `batches` has the batches of one optimizer step, stacked along a
        leading axis if there are several. A step that is not finite is dealt with as `bad_steps` says.
      attempt: `(state, batches) -> Attempt`, what `update` looks at.
    """

    init: Callable[[Array], TrainState]
    update: Callable[[TrainState, Any], TrainState]
    attempt: Callable[[TrainState, Any], Attempt]


def make_step(
    task: Trainable,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    accumulate: int = 1,
    averaging: Averaging,
    bad_steps: BadSteps = BadSteps(),  # noqa: B008 (frozen)
) -> Step:
    """Puts a task and an optimizer together.

    The randomness of step n is `fold_in(make_seeds(seed).noise, n)`: the step's number decides it, whatever came
    before. Gradients do not flow from one batch into those before it.

    Args:
      task: gives parameters, carry and loss.
      optimizer: its updates are multiplied by `state.scale`, and by the task's pace if it has one.
      seed: of all noise.
      accumulate: number of batches in a step; their gradients are averaged, their carry is handed on.
      averaging: what kind of average is kept.
      bad_steps: what is done about steps that are not finite.
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
            skips=Skips.start() if bad_steps.name == "skip" else None,
        )

    def gradients(state: TrainState, batches: Any, key: Array) -> tuple[Array, PyTree, PyTree, Sums]:
        """The mean loss and its gradient, the carry after the last batch, and the sums over all."""
        if accumulate == 1:
            (loss, (carry, sums)), grads = gradient(state.params, state.carry, batches, key)
            return loss, grads, carry, sums

        def one(so_far: tuple[PyTree, PyTree, Sums], at: tuple[Any, Array]) -> tuple[Any, Array]:
            grads, carry, sums = so_far
            batch, number = at
            (loss, (carry, new)), added = gradient(state.params, carry, batch, jax.random.fold_in(key, number))
            return (jax.tree.map(jnp.add, grads, added), carry, add_sums(new, sums)), loss

        nothing = {name: zero for name, zero in zero_sums(task).items() if name != "grad_norm"}
        start = (jax.tree.map(jnp.zeros_like, state.params), state.carry, nothing)
        (grads, carry, sums), losses = jax.lax.scan(one, start, (batches, jnp.arange(accumulate)))
        return losses.mean(), jax.tree.map(lambda g: g / accumulate, grads), carry, sums

    def attempt(state: TrainState, batches: Any) -> Attempt:
        key = jax.random.fold_in(make_seeds(seed).noise, state.step)
        loss, grads, carry, sums = gradients(state, batches, key)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        scale = state.scale * task.pace(batches) if isinstance(task, Paced) else state.scale
        updates = jax.tree.map(lambda u: (u * scale).astype(u.dtype), updates)
        params = optax.apply_updates(state.params, updates)
        norm = jax.vmap(optax.tree.norm)(grads).mean() if isinstance(task, Repeated) else optax.tree.norm(grads)
        new = state.replace(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            carry=carry,
            average=_average(averaging, state, params),
            sums=add_sums(state.sums, {**sums, "grad_norm": (norm, jnp.ones_like(norm))}),
        )
        return Attempt(loss, grads, new)

    def update(state: TrainState, batches: Any) -> TrainState:
        return _settle(state, attempt(state, batches), bad_steps.limit)

    return Step(init, update, attempt)


def _settle(state: TrainState, attempt: Attempt, limit: int) -> TrainState:
    """The attempted state where all is finite; else the one before, marked, or past the step if that is skipped.

    A marked state stays as it is, whatever comes, since its sums are not finite: the loop has time to look.
    """
    good = is_finite((attempt.loss, attempt.state))  # whose sums have the gradient's norm
    kept: TrainState = jax.tree.map(lambda new, old: jnp.where(good, new, old), attempt.state, state)
    skipped = jnp.zeros((), bool)
    if state.skips is not None:
        in_a_row = jnp.where(good, 0, state.skips.in_a_row + 1)
        skipped = ~good & (in_a_row <= limit)
        left_out = state.skips.left_out + skipped.astype(jnp.int32)
        kept = kept.replace(step=kept.step + skipped.astype(jnp.int32), skips=Skips(in_a_row, left_out))
    norm, weight = kept.sums["grad_norm"]
    return kept.replace(sums={**kept.sums, "grad_norm": (jnp.where(good | skipped, norm, jnp.nan), weight)})


def leave_out(state: TrainState) -> TrainState:
    """The state past a step that is not done; a marked one stays as it is, before the step that was not finite."""
    good = jnp.isfinite(state.sums["grad_norm"][0])
    return state.replace(step=state.step + good.astype(jnp.int32))


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
