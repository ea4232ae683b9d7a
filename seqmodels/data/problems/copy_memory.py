"""The copy memory problem."""

import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated, below
from seqmodels.data.problems.problem import Examples


@config
class CopyMemory(Generated):
    """Symbols to be said again after a long pause, when a signal asks for them.

        step      1 … M      M+1 … M+L-1    M+L       M+L+1 … L+2M
        input     symbols    blanks         signal    blanks
        target    blanks     blanks         blank     the symbols

    Every step counts. Without a memory the best is to say "blank" at first and any of the K symbols at the end, which
    costs M log K / (L + 2M) nats a step.

    Args:
      length: L, the steps from the last symbol to the signal.
      symbols: M, how many are to be remembered.
      alphabet: K, the different symbols, coded as 1 … K; 0 is the blank.

    Example:
      >>> examples = CopyMemory(length=3, symbols=2, alphabet=4).example(jax.random.key(1))
      >>> examples.inputs.argmax(axis=-1).tolist(), examples.targets.tolist()
      ([4, 3, 0, 0, 5, 0, 0], [0, 0, 0, 0, 0, 4, 3])

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory.
      Arjovsky, Shah & Bengio (2016), Unitary evolution recurrent neural networks (this form).
    """

    name: Literal["copy_memory"] = "copy_memory"
    length: Annotated[int, Field(ge=1, description="steps from the last symbol to the signal, L")] = 500
    symbols: Annotated[int, Field(ge=1, description="how many are to be remembered, M")] = 10
    alphabet: Annotated[int, Field(ge=2, description="different symbols, K")] = 8

    @property
    def input_size(self) -> int:
        """Blank, symbols and signal, one input each."""
        return self.alphabet + 2

    @property
    def classes(self) -> int:
        """Blank and symbols."""
        return self.alphabet + 1

    @property
    def chance(self) -> float:
        """M log K / (L + 2M)."""
        return self.symbols * math.log(self.alphabet) / (self.length + 2 * self.symbols)

    def example(self, key: Array) -> Examples:
        """One sequence."""
        symbols = 1 + below(self.alphabet, jax.random.bits(key, (self.symbols,)))
        blanks = jnp.zeros(self.length + self.symbols, symbols.dtype)
        signal = self.length - 1
        read = jnp.concatenate([symbols, blanks.at[signal].set(self.alphabet + 1)])
        targets = jnp.concatenate([blanks, symbols])
        return Examples(jax.nn.one_hot(read, self.input_size), targets, jnp.ones(targets.shape, bool))

    def simple(self, examples: Examples) -> dict[str, Array]:
        """Blanks, and any symbol at the end."""
        paused = jnp.arange(examples.targets.shape[-1]) < self.length + self.symbols
        blank = jnp.arange(self.classes) == 0
        scores = jnp.where(paused[:, None] == blank, 0.0, -1e4)
        return {"memoryless": jnp.broadcast_to(scores, (*examples.targets.shape, self.classes))}
