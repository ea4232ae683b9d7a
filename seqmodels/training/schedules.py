"""Learning-rate schedules: the table `[optimizer.schedule]`, one frozen class a schedule.

Steps are counted from 0: the rate at step `t` is the one that the update number `t + 1` uses, as in optax. A
schedule is a function of the step alone, so a resumed run needs no state for it. `plateau` looks at validation
scores, which a function of the step cannot: its own part is constant, and the training loop multiplies it by the
scale that `watchers.PlateauWatcher` keeps.
"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import optax
from pydantic import Field

from seqmodels.config import config
from seqmodels.errors import UserError

Fraction = Annotated[float, Field(ge=0, le=1, description="the last rate, as a fraction of learning_rate")]


class ScheduleError(UserError):
    """A schedule does not fit the length of the run."""


@config
class Constant:
    """The same rate at every step."""

    name: Literal["constant"] = "constant"

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the function from step to rate.

        Example:
          >>> Constant().build(0.1, steps=100)(7)
          0.1
        """
        del steps
        return optax.constant_schedule(learning_rate)


@config
class Cosine:
    """Half a cosine wave from the full rate to `final_fraction` of it over the whole run.

    References:
      Loshchilov & Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts.
    """

    name: Literal["cosine"] = "cosine"
    final_fraction: Fraction = 0.0

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the function from step to rate.

        Example:
          >>> rate = Cosine(final_fraction=0.5).build(0.1, steps=100)
          >>> [round(float(rate(step)), 4) for step in (0, 50, 100)]
          [0.1, 0.075, 0.05]
        """
        return _of_float_step(optax.cosine_decay_schedule(learning_rate, steps, alpha=self.final_fraction))


@config
class WarmupCosine:
    """A straight line from 0 to the full rate in `warmup_steps`, then half a cosine wave down to the run's end.

    The rate at step 0 is 0, as in optax.
    """

    name: Literal["warmup_cosine"] = "warmup_cosine"
    warmup_steps: Annotated[int, Field(ge=1, description="steps from rate 0 to the full rate")]
    final_fraction: Fraction = 0.0

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the function from step to rate.

        Raises:
          ScheduleError: if the warm-up leaves no step of the run to decay in.

        Example:
          >>> rate = WarmupCosine(warmup_steps=10).build(0.1, steps=110)
          >>> [round(float(rate(step)), 4) for step in (0, 5, 10, 60, 110)]
          [0.0, 0.05, 0.1, 0.05, 0.0]
        """
        if self.warmup_steps >= steps:
            raise ScheduleError(
                f"optimizer.schedule.warmup_steps: must be less than run.steps (got {self.warmup_steps}, and "
                f"run.steps is {steps}); lower warmup_steps or raise run.steps"
            )
        final = learning_rate * self.final_fraction
        return _of_float_step(
            optax.warmup_cosine_decay_schedule(0.0, learning_rate, self.warmup_steps, steps, end_value=final)
        )


@config
class Linear:
    """A straight line from the full rate to `final_fraction` of it over the whole run."""

    name: Literal["linear"] = "linear"
    final_fraction: Fraction = 0.0

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the function from step to rate.

        Example:
          >>> rate = Linear(final_fraction=0.5).build(0.1, steps=100)
          >>> [round(float(rate(step)), 4) for step in (0, 50, 100)]
          [0.1, 0.075, 0.05]
        """
        return _of_float_step(optax.linear_schedule(learning_rate, learning_rate * self.final_fraction, steps))


@config
class StepDecay:
    """Multiplies the rate by `factor` at step `start` and then once every `every` steps.

    A run shorter than `start` keeps the full rate. With `factor = 0.5`, `every` one epoch and `start` four epochs
    it is the small recipe of the reference.

    References:
      Zaremba, Sutskever & Vinyals (2014), Recurrent Neural Network Regularization.
    """

    name: Literal["step_decay"] = "step_decay"
    factor: Annotated[float, Field(gt=0, lt=1, description="what the rate is multiplied by")] = 0.5
    every: Annotated[int, Field(ge=1, description="steps from one multiplication to the next")]
    start: Annotated[int | None, Field(ge=1, description="step of the first one; without it, `every`")] = None

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the function from step to rate.

        Example:
          >>> rate = StepDecay(factor=0.5, start=40, every=10).build(1.0, steps=100)
          >>> [float(rate(step)) for step in (0, 39, 40, 49, 50)]
          [1.0, 1.0, 0.5, 0.5, 0.25]
        """
        del steps
        start = self.every if self.start is None else self.start
        decay = _of_float_step(optax.exponential_decay(learning_rate, transition_steps=1, decay_rate=self.factor))

        def rate(step: jax.typing.ArrayLike) -> jax.Array:
            # Whole numbers, where optax's own staircase divides in floating point: on an accelerator whose division
            # is not rounded exactly, that can move a jump by one step.
            multiplications = (jnp.asarray(step) - start) // self.every + 1
            scaled: jax.Array = decay(jnp.maximum(multiplications, 0))
            return scaled

        return rate


@config
class Plateau:
    """Multiplies the rate by `factor` after `patience` validations in a row without a gain."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1, description="what the rate is multiplied by")] = 0.5
    patience: Annotated[int, Field(ge=1, description="validations in a row without a gain")] = 1
    least_gain: Annotated[float, Field(ge=0, description="a gain must be more than this, in the score's unit")] = 0.0
    least: Annotated[float, Field(ge=0, le=1, description="the smallest scale of the rate")] = 0.0

    def build(self, learning_rate: float, steps: int) -> optax.Schedule:
        """Returns the rate before the scale, which is constant.

        Example:
          >>> Plateau(patience=2).build(0.1, steps=100)(7)
          0.1
        """
        del steps
        return optax.constant_schedule(learning_rate)


ScheduleConfig = Annotated[
    Constant | Cosine | WarmupCosine | Linear | StepDecay | Plateau,
    Field(discriminator="name"),
]


def _of_float_step(schedule: optax.Schedule) -> optax.Schedule:
    """Lets a schedule that mixes the step with Python floats run under strict promotion, and in full in x64."""
    return lambda step: schedule(jnp.asarray(step, dtype=float))
