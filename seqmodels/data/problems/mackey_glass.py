"""The Mackey-Glass series."""

from typing import Annotated, Final, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated
from seqmodels.data.problems.problem import Examples

_SUBSTEPS: Final = 10
_WARMUP: Final = 300


@config
class MackeyGlass(Generated):
    """A chaotic series, to be told some steps ahead at every step.

        dx/dt = β x(t-τ) / (1 + x(t-τ)ⁿ) - γ x(t)        β = 0.2, γ = 0.1, n = 10

    Integrated by Euler's method, ten steps to a unit of time; the inputs are one unit apart. The past of each sequence
    is a constant that chance decides, and what follows it is forgotten for 300 units.

    Args:
      length: T.
      delay: τ; from about 17 on the series is chaotic.
      horizon: how many units lie between an input and its target.

    Example:
      >>> examples = MackeyGlass(length=20, horizon=2).example(jax.random.key(0))
      >>> bool((examples.inputs[2:, 0] == examples.targets[:-2]).all())
      True

    References:
      Mackey & Glass (1977), Oscillation and chaos in physiological control systems.
    """

    name: Literal["mackey_glass"] = "mackey_glass"
    length: Annotated[int, Field(ge=1, description="steps of a sequence, T")] = 100
    delay: Annotated[int, Field(ge=1, description="units of time, τ")] = 17
    horizon: Annotated[int, Field(ge=1, description="units of time between an input and its target")] = 6

    @property
    def input_size(self) -> int:
        """The value."""
        return 1

    def example(self, key: Array) -> Examples:
        """One sequence."""
        series = self.series(jax.random.uniform(key, (), minval=0.5, maxval=1.3))
        targets = series[self.horizon :]
        return Examples(series[: self.length, None], targets, jnp.ones(targets.shape, bool))

    def series(self, past: Array) -> Array:
        """The values at whole units after the warm-up, [T + horizon], from a constant past.

        What lies a delay back is known for a whole delay ahead, and within it the equation is linear: the method of
        steps. So a delay is one composition of the maps x ↦ a x + u.
        """
        units = _WARMUP + self.length + self.horizon
        kept = 1.0 - 0.1 / _SUBSTEPS

        def compose(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
            return first[0] * then[0], then[0] * first[1] + then[1]

        def next_delay(before: Array, _: None) -> tuple[Array, Array]:
            driven = 0.2 / _SUBSTEPS * before / (1.0 + before**10)
            factors, sums = jax.lax.associative_scan(compose, (jnp.full_like(before, kept), driven))
            after = factors * before[-1] + sums
            return after, after

        start = jnp.full(self.delay * _SUBSTEPS, past)
        _, found = jax.lax.scan(next_delay, start, length=-(-units // self.delay))
        return found.reshape(-1)[_SUBSTEPS - 1 :: _SUBSTEPS][_WARMUP:units]

    def simple(self, examples: Examples) -> dict[str, Array]:
        """The value as it is now, and the mean of the targets."""
        mean = jnp.full_like(examples.inputs, examples.targets.mean())
        return {"persistence": examples.inputs, "constant": mean}
