"""The adding problem."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated, below
from seqmodels.data.problems.problem import Examples, at_the_end


@config
class Adding(Generated):
    """The sum of the two numbers of a sequence that are marked.

        xₜ = (vₜ, mₜ)        vₜ ~ U[0, 1), mₜ = 1 at one step of each half, else 0
        y_T = Σₜ mₜ vₜ

    Always answering 1 costs 2 Var(v) = 1/6. In the version of 1997 the numbers are v' = 2v - 1, and the answer is
    1/2 + (v'₁ + v'₂) / 4, half of the one here: an error of 0.04 there is one of 0.08 here.

    Args:
      length: T.

    Example:
      >>> examples = Adding(length=10).example(jax.random.key(0))
      >>> examples.inputs.shape, int(examples.inputs[:, 1].sum())
      ((10, 2), 2)

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory (experiment 4).
      Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of rectified linear units (this form).
    """

    name: Literal["adding"] = "adding"
    length: Annotated[int, Field(ge=2, description="steps of a sequence, T")] = 100

    @property
    def input_size(self) -> int:
        """A number and its mark."""
        return 2

    @property
    def chance(self) -> float:
        """The variance of the sum of two uniform numbers."""
        return 1 / 6

    @property
    def tolerance(self) -> float:
        """That of 1997, 0.04, on the scale that is used here."""
        return 0.08

    def example(self, key: Array) -> Examples:
        """One sequence."""
        key_values, key_marks = jax.random.split(key)
        half, steps = self.length // 2, jnp.arange(self.length)
        values = jax.random.uniform(key_values, steps.shape)
        bits = jax.random.bits(key_marks, (2,))
        first, second = below(half, bits[0]), half + below(self.length - half, bits[1])
        marks = ((steps == first) | (steps == second)).astype(values.dtype)
        return at_the_end(jnp.stack([values, marks], axis=-1), values @ marks, self.length)

    def simple(self, examples: Examples) -> dict[str, Array]:
        """The mean of the sum."""
        return {"constant": jnp.ones((*examples.targets.shape, 1))}
