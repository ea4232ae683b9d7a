"""Optimizers: the table `[optimizer]`, one frozen class an optimizer.

Every class is its hyperparameters and one line: optax's own update rule for it, and where weight decay enters it.
The rest is the same for all, in this order:

    gradient -> cap by value -> cap by norm -> update rule, with weight decay -> times the rate at this step

The rate comes last, so a scale on it (a plateau's) may as well be applied to the finished update. Weight decay is
added to the capped gradient (L2) or, where the class says *decoupled*, to the direction after the adaptive scaling.
It acts on arrays of two or more axes only, embeddings included: biases, norm scales and other vectors are left alone.

A new optimizer is one more class here and its name in `OptimizerConfig`.
"""

from abc import abstractmethod
from typing import Annotated, Any, Literal

import jax
import numpy as np
import optax
from pydantic import Field

from seqmodels.config import config
from seqmodels.training.schedules import Constant, ScheduleConfig

Rate = Annotated[float, Field(gt=0, description="learning rate, before the schedule")]
Share = Annotated[float, Field(ge=0, lt=1, description="what is kept of a running average at each step")]
Small = Annotated[float, Field(gt=0, description="added to a denominator")]
Decay = Annotated[float, Field(ge=0, description="weight decay, on matrices only")]
Rule = tuple[optax.GradientTransformation, ...]


@config
class Optimizer:
    """What all optimizers have in common.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = Sgd(learning_rate=0.5, clip_norm=None).build(steps=100)
      >>> params = {"w": jnp.ones(2)}
      >>> updates, _ = optimizer.update({"w": jnp.full(2, 4.0)}, optimizer.init(params), params)
      >>> updates["w"].tolist()
      [-2.0, -2.0]
    """

    name: str
    learning_rate: Rate
    schedule: ScheduleConfig = Constant()
    clip_norm: Annotated[float | None, Field(gt=0, description="largest global norm of the gradient")] = 1.0
    clip_value: Annotated[float | None, Field(gt=0, description="largest size of one number in it")] = None
    weight_decay: Decay = 0.0

    @abstractmethod
    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        """Returns the parts that turn a capped gradient into a direction, `decay` at its place among them."""

    def build(self, steps: int) -> optax.GradientTransformation:
        """Returns the whole optimizer.

        Args:
          steps: length of the run in optimizer steps, for the schedule.

        Returns:
          `init(params)` and `update(gradient, state, params)`; `params` are needed where there is weight decay. The
          updates have the dtypes of the gradient. It runs under strict dtype promotion.

        Raises:
          ScheduleError: if the schedule does not fit the run.
        """
        return _with_standard_promotion(
            optax.chain(
                optax.identity() if self.clip_value is None else optax.clip(self.clip_value),
                optax.identity() if self.clip_norm is None else optax.clip_by_global_norm(self.clip_norm),
                *self._rule(_decay_matrices(self.weight_decay)),
                optax.scale_by_learning_rate(learning_rate(self, steps)),
            )
        )


@config
class _Moments(Optimizer):
    """What the relatives of Adam have in common."""

    learning_rate: Rate = 1e-3
    b1: Share = 0.9
    b2: Share = 0.999
    eps: Small = 1e-8


@config
class Sgd(Optimizer):
    """Plain gradient descent. Weight decay is L2."""

    name: Literal["sgd"] = "sgd"
    learning_rate: Rate = 0.1

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return (decay,)


@config
class Momentum(Optimizer):
    """Gradient descent with Polyak's or Nesterov's momentum. Weight decay is L2.

    References:
      Sutskever, Martens, Dahl & Hinton (2013), On the importance of initialization and momentum in deep learning.
    """

    name: Literal["momentum"] = "momentum"
    learning_rate: Rate = 0.01
    momentum: Share = 0.9
    nesterov: bool = False

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.trace(decay=self.momentum, nesterov=self.nesterov)


@config
class Adam(_Moments):
    """Adaptive moments. Weight decay is L2; `adamw` decouples it.

    References:
      Kingma & Ba (2015), Adam: A Method for Stochastic Optimization.
    """

    name: Literal["adam"] = "adam"

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps)


@config
class AdamW(_Moments):
    """Adam with decoupled weight decay.

    References:
      Loshchilov & Hutter (2019), Decoupled Weight Decay Regularization.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: Decay = 1e-4

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps), decay


@config
class NAdam(_Moments):
    """Adam with Nesterov's momentum. Weight decay is L2.

    References:
      Dozat (2016), Incorporating Nesterov Momentum into Adam.
    """

    name: Literal["nadam"] = "nadam"

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps, nesterov=True)


@config
class RAdam(_Moments):
    """Adam whose adaptive scaling waits until its variance is known well enough. Weight decay is L2.

    References:
      Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond.
    """

    name: Literal["radam"] = "radam"

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.scale_by_radam(b1=self.b1, b2=self.b2, eps=self.eps)


@config
class RmsProp(Optimizer):
    """Divides by a running root mean square, or by a standard deviation (`centered`). Weight decay is L2.

    Momentum is over the scaled gradients, before the rate.

    References:
      Hinton (2012), Neural Networks for Machine Learning, lecture 6. Centered, with momentum: Graves (2013),
      Generating Sequences With Recurrent Neural Networks.
    """

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: Rate = 1e-3
    decay: Share = 0.9
    eps: Small = 1e-8
    centered: bool = False
    momentum: Share = 0.0

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        scale = optax.scale_by_stddev if self.centered else optax.scale_by_rms
        momentum = optax.trace(decay=self.momentum) if self.momentum else optax.identity()
        return decay, scale(decay=self.decay, eps=self.eps), momentum


@config
class Adagrad(Optimizer):
    """Divides by the root of the sum of all squared gradients so far. Weight decay is L2.

    References:
      Duchi, Hazan & Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.
    """

    name: Literal["adagrad"] = "adagrad"
    learning_rate: Rate = 0.01
    initial_accumulator_value: Annotated[float, Field(ge=0, description="where the sum starts")] = 0.1
    eps: Small = 1e-7

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.scale_by_rss(initial_accumulator_value=self.initial_accumulator_value, eps=self.eps)


@config
class Adadelta(Optimizer):
    """Divides by running gradients and multiplies by running updates. Weight decay is L2.

    References:
      Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method.
    """

    name: Literal["adadelta"] = "adadelta"
    learning_rate: Rate = 1.0
    rho: Share = 0.9
    eps: Small = 1e-6

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return decay, optax.scale_by_adadelta(rho=self.rho, eps=self.eps)


@config
class Lion(Optimizer):
    """The sign of an interpolated momentum, with decoupled weight decay.

    References:
      Chen et al. (2023), Symbolic Discovery of Optimization Algorithms.
    """

    name: Literal["lion"] = "lion"
    learning_rate: Rate = 1e-4
    b1: Share = 0.9
    b2: Share = 0.99
    weight_decay: Decay = 1e-3

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return optax.scale_by_lion(b1=self.b1, b2=self.b2), decay


@config
class Lamb(_Moments):
    """Adam, each array's update scaled to the array's norm, with decoupled weight decay inside that scale.

    References:
      You et al. (2020), Large Batch Optimization for Deep Learning: Training BERT in 76 minutes.
    """

    name: Literal["lamb"] = "lamb"
    eps: Small = 1e-6

    def _rule(self, decay: optax.GradientTransformation) -> Rule:
        return optax.scale_by_adam(b1=self.b1, b2=self.b2, eps=self.eps), decay, optax.scale_by_trust_ratio()


OptimizerConfig = Annotated[
    Sgd | Momentum | Adam | AdamW | NAdam | RAdam | RmsProp | Adagrad | Adadelta | Lion | Lamb,
    Field(discriminator="name"),
]


def learning_rate(optimizer: Optimizer, steps: int) -> optax.Schedule:
    """Returns the rate as a function of the step, for the update and for the log.

    Args:
      optimizer: the table.
      steps: length of the run in optimizer steps.

    Raises:
      ScheduleError: if the schedule does not fit the run.
    """
    return optimizer.schedule.build(optimizer.learning_rate, steps)


def steps_taken(opt_state: Any) -> int:
    """How many updates led to the state of an optimizer that `build` made; bad steps that were left out do not count.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer, params = Sgd().build(10), {"w": jnp.ones(2)}
      >>> steps_taken(optimizer.update(params, optimizer.init(params), params)[1])
      1
    """
    return min(int(np.max(count)) for _, count in optax.tree.get_all_with_path(opt_state, "count"))


def _decay_matrices(weight_decay: float) -> optax.GradientTransformation:
    return optax.add_decayed_weights(weight_decay, _are_matrices) if weight_decay else optax.identity()


def _are_matrices(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)


def _with_standard_promotion(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Shields optax, which raises Python floats to integer counts, from a strict promotion setting around it."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        with jax.numpy_dtype_promotion("standard"):
            direction, state = optimizer.update(updates, state, params)
        return direction, state

    return optax.GradientTransformation(optimizer.init, update)
