"""The parity problem."""

import dataclasses
import math
from typing import Annotated, Literal, Self

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated, below
from seqmodels.data.problems.problem import Examples, at_the_end

Length = Annotated[int, Field(ge=1)]


@config
class Parity(Generated):
    """Whether the number of ones among random bits is odd, on longer sequences than those of training.

        y_n = x₁ + … + x_n mod 2

    One state of two values solves it for every length, but the state must be turned round by what is read: a cell
    that is linear in its state, with factors between 0 and 1, cannot do that.

    Args:
      min_length: the least n in training.
      max_length: the greatest.
      test_min_length: the least n in validation and test.
      test_max_length: the greatest.
      every_step: asks after every bit for the parity so far, not only at the end.

    Example:
      >>> examples = Parity(max_length=6, every_step=True).example(jax.random.key(2))
      >>> examples.inputs[:, 1].astype(int).tolist(), examples.targets.tolist(), int(examples.counted.sum())
      ([0, 1, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1], 4)

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory (on parity by guessing).
      Grazzi et al. (2025), Unlocking state-tracking in linear RNNs through negative eigenvalues.
    """

    name: Literal["parity"] = "parity"
    min_length: Annotated[Length, Field(description="least bits in training")] = 3
    max_length: Annotated[Length, Field(description="most bits in training")] = 40
    test_min_length: Annotated[Length, Field(description="least bits in validation and test")] = 40
    test_max_length: Annotated[Length, Field(description="most bits in validation and test")] = 256
    every_step: Annotated[bool, Field(description="asks after every bit, not only at the end")] = False

    def __post_init__(self) -> None:
        """Checks the lengths."""
        for least, most in (("min_length", "max_length"), ("test_min_length", "test_max_length")):
            if getattr(self, least) > getattr(self, most):
                raise ValueError(f"{least} must be {most} at most (got {getattr(self, least)})")

    @property
    def input_size(self) -> int:
        """The two bits, one input each."""
        return 2

    @property
    def classes(self) -> int:
        """Even and odd."""
        return 2

    @property
    def chance(self) -> float:
        """Half of all sequences are odd."""
        return math.log(2)

    def evaluated(self) -> Self:
        """With the lengths of validation and test."""
        return dataclasses.replace(self, min_length=self.test_min_length, max_length=self.test_max_length)

    def example(self, key: Array) -> Examples:
        """One sequence."""
        steps = jnp.arange(self.max_length)
        drawn = jax.random.bits(key, (self.max_length + 1,))
        length = self.min_length + below(self.max_length + 1 - self.min_length, drawn[0])
        bits = jnp.where(steps < length, below(2, drawn[1:]), 0)
        inputs = jnp.where((steps < length)[:, None], jax.nn.one_hot(bits, 2), 0.0)
        parities = jnp.cumsum(bits) % 2
        if self.every_step:
            return Examples(inputs, parities, steps < length)
        return at_the_end(inputs, parities[-1], length)

    def simple(self, examples: Examples) -> dict[str, Array]:
        """Either."""
        return {"constant": jnp.zeros((*examples.targets.shape, 2))}
