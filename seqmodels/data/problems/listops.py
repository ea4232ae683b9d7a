"""Nested lists with an operation each."""

from typing import Annotated, Final, Literal, NamedTuple

import jax
import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.generated import Generated, below
from seqmodels.data.problems.problem import Examples, at_the_end

SYMBOLS: Final = (*"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
_DIGITS, _OPERATIONS, _END = 10, 4, 14
_LISTS: Final = 0.25
"""How likely an argument is a list."""


class Open(NamedTuple):
    """The lists that are begun and not ended, the outermost first; below them is one that holds the whole.

    Attributes:
      depth: how many, int32.
      operations: int32 [D + 1].
      missing: arguments that are still to come, int32 [D + 1].
      arguments: the values of those that are there, int32 [D + 1, A].
      given: how many, int32 [D + 1].
      needed: symbols without which not all can be ended, int32.
    """

    depth: Array
    operations: Array
    missing: Array
    arguments: Array
    given: Array
    needed: Array


@config
class ListOps(Generated):
    """The value of nested lists, such as [MAX 2 [SM 4 7 ] 0 [MED 8 3 5 9 ] ], which is 6.

    The smallest value, the greatest, the median, rounded down, or the sum modulo 10. An argument is a list with
    probability 1/4, if there is room for it, else a digit; a list has two arguments at least. The value is one of ten.

    Args:
      length: T, the most symbols.
      depth: D, the most lists within each other.
      arguments: A, the most in a list.

    Example:
      >>> examples = ListOps(length=12, depth=2, arguments=3).example(jax.random.key(8))
      >>> spoken = examples.inputs[examples.inputs.any(axis=-1)].argmax(axis=-1).tolist()
      >>> " ".join(SYMBOLS[symbol] for symbol in spoken), int(examples.targets[-1])
      ('[SM [MED 8 1 ] [MAX 1 1 ] 9 ]', 4)

    References:
      Nangia & Bowman (2018), ListOps: a diagnostic dataset for latent tree learning.
      Tay et al. (2021), Long range arena: a benchmark for efficient transformers (500 to 2,000 symbols).
    """

    name: Literal["listops"] = "listops"
    length: Annotated[int, Field(ge=4, description="most symbols of a sequence, T")] = 100
    depth: Annotated[int, Field(ge=1, description="most lists within each other, D")] = 5
    arguments: Annotated[int, Field(ge=2, description="most arguments of a list, A")] = 5

    def __post_init__(self) -> None:
        """Checks that one list has room."""
        if self.length < self.arguments + 2:
            raise ValueError(f"length must be arguments + 2 at least (got {self.length})")

    @property
    def input_size(self) -> int:
        """Fifteen symbols, one input each."""
        return len(SYMBOLS)

    @property
    def classes(self) -> int:
        """The digits."""
        return _DIGITS

    def example(self, key: Array) -> Examples:
        """One sequence."""
        places = jnp.zeros(self.depth + 1, jnp.int32)
        arguments = jnp.zeros((self.depth + 1, self.arguments), jnp.int32)
        start = Open(places[0], places, places.at[0].set(1), arguments, places, places[0] + 1)
        steps = jnp.arange(self.length), jax.random.bits(key, (self.length, 4))
        end, (symbols, spoken) = jax.lax.scan(self._speak, start, steps)
        inputs = jnp.where(spoken[:, None], jax.nn.one_hot(symbols, self.input_size), 0.0)
        return at_the_end(inputs, end.arguments[0, 0], spoken.sum())

    def _speak(self, now: Open, at: tuple[Array, Array]) -> tuple[Open, tuple[Array, Array]]:
        """One symbol: the lists that are open after it, and `(symbol, whether it is one)`."""
        step, bits = at
        top, number = now.depth, 2 + below(self.arguments - 1, bits[0])
        ends = (top > 0) & (now.missing[top] == 0)
        asks = now.missing[top] > 0
        fits = (top < self.depth) & (step + now.needed + number + 1 <= self.length)
        begins = asks & fits & ((step == 0) | (bits[1] < int(_LISTS * 2**32)))
        operation, digit = below(_OPERATIONS, bits[2]), below(_DIGITS, bits[3])
        symbol = jnp.where(ends, _END, jnp.where(begins, _DIGITS + operation, digit))

        level = jnp.where(ends, top - 1, top)
        gives = (ends | asks) & ~begins
        value = jnp.where(ends, _value(now.operations[top], now.arguments[top], now.given[top]), digit)
        inner = jnp.where(begins, top + 1, self.depth + 1)  # beyond the last, where nothing is kept, without a list
        after = Open(
            depth=jnp.where(begins, top + 1, level),
            operations=now.operations.at[inner].set(operation, mode="drop"),
            missing=now.missing.at[top].add(-asks.astype(jnp.int32)).at[inner].set(number, mode="drop"),
            arguments=now.arguments.at[level, jnp.where(gives, now.given[level], self.arguments)].set(
                value, mode="drop"
            ),
            given=now.given.at[level].add(gives.astype(jnp.int32)).at[inner].set(0, mode="drop"),
            needed=now.needed + jnp.where(begins, number, -(ends | asks).astype(jnp.int32)),
        )
        return after, (symbol, ends | asks)

    def simple(self, examples: Examples) -> dict[str, Array]:
        """The values as frequent as they are here, whatever the lists."""
        values = jnp.where(examples.counted[..., None], jax.nn.one_hot(examples.targets, _DIGITS), 0.0)
        scores = jnp.log(jnp.maximum(values.sum(axis=range(values.ndim - 1)), 0.5))
        return {"frequencies": jnp.broadcast_to(scores, (*examples.targets.shape, _DIGITS))}


def _value(operation: Array, arguments: Array, number: Array) -> Array:
    """The value of a list of the first `number` arguments, int32 [A]."""
    there = jnp.arange(arguments.size) < number
    ordered = jnp.sort(jnp.where(there, arguments, _DIGITS))
    median = (ordered[(number - 1) // 2] + ordered[number // 2]) // 2
    total = jnp.where(there, arguments, 0).sum() % 10
    return jnp.stack([ordered[0], ordered[number - 1], median, total])[operation]
