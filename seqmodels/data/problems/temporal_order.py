"""The temporal order problem."""

import math
from typing import Annotated, Final, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated, below
from seqmodels.data.problems.problem import Examples, at_the_end

_PLACES: Final = {2: (10, 50), 3: (10, 33, 66), 4: (10, 30, 50, 70)}
"""Where the relevant symbols may begin to stand, in hundredths of the length."""

_NOISE, _BEGIN, _END, _RELEVANT = 4, 4, 5, 6
"""Inputs: the noise symbols 0 … 3, begin, end, and the two relevant symbols 6 and 7."""


@config
class TemporalOrder(Generated):
    """The order of two or more relevant symbols that stand far apart in noise.

    A sequence is a begin symbol, symbols of noise (one of four), and an end symbol. At n places stands X or Y in place
    of noise, and the class is which of them in which order, one of 2ⁿ: the places read as the digits of a number in
    base two. Of a hundred steps or a tenth more, the first place is one of the steps 10 … 20; for n = 2 (experiment 6a)
    the second one of 50 … 60, for n = 3 (6b) the others of 33 … 43 and 66 … 76. Four places are ours: 10, 30, 50, 70.

    Args:
      symbols: n.
      length: the least length; all is in proportion to it.

    Example:
      >>> examples = TemporalOrder(symbols=3).example(jax.random.key(0))
      >>> symbols = examples.inputs.argmax(axis=-1)
      >>> symbols[symbols > 5].tolist(), int(examples.targets[-1])
      ([6, 6, 7], 1)

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory (experiments 6a and 6b).
    """

    name: Literal["temporal_order"] = "temporal_order"
    symbols: Annotated[Literal[2, 3, 4], Field(description="relevant symbols, n; 2 to the power of n classes")] = 2
    length: Annotated[int, Field(ge=20, description="least steps of a sequence; a tenth more at most")] = 100

    @property
    def input_size(self) -> int:
        """Eight symbols, one input each."""
        return _RELEVANT + 2

    @property
    def classes(self) -> int:
        """2ⁿ."""
        return int(2**self.symbols)

    @property
    def chance(self) -> float:
        """All orders are equally likely."""
        return math.log(self.classes)

    def example(self, key: Array) -> Examples:
        """One sequence."""
        spread = self.length // 10
        steps = jnp.arange(self.length + spread)
        bits = jax.random.bits(key, (len(steps) + 2 * self.symbols + 1,))
        noise, for_places, for_relevant, for_length = jnp.split(bits, len(steps) + np.cumsum([0, *[self.symbols] * 2]))
        length = self.length + below(spread + 1, for_length[0])
        first = jnp.array([place * self.length // 100 for place in _PLACES[self.symbols]])
        places, relevant = first + below(spread + 1, for_places), below(2, for_relevant)
        symbols = below(_NOISE, noise).at[places].set(_RELEVANT + relevant)
        symbols = symbols.at[0].set(_BEGIN).at[length - 1].set(_END)
        inputs = jnp.where((steps < length)[:, None], jax.nn.one_hot(symbols, self.input_size), 0.0)
        return at_the_end(inputs, relevant @ 2 ** jnp.arange(self.symbols)[::-1], length)

    def simple(self, examples: Examples) -> dict[str, Array]:
        """Any class."""
        return {"constant": jnp.zeros((*examples.targets.shape, self.classes))}
