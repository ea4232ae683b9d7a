"""What a problem of long-term dependencies is: how examples are asked for, and what each of them is."""

import dataclasses
import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Protocol, Self

import jax.numpy as jnp
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config


class Examples(NamedTuple):
    """Sequences, each with an output wanted at some of its steps.

    Attributes:
      inputs: float32 [..., T, D].
      targets: [..., T]: a class, int32, or a number, float32. Where nothing is counted it means nothing.
      counted: bool [..., T], the outputs that are asked for; what comes after the last of them is padding.
    """

    inputs: Array
    targets: Array
    counted: Array


def at_the_end(inputs: Array, target: Array, length: Array | int) -> Examples:
    """One sequence [T, D] whose only output, `target`, is asked for at the last of its `length` steps.

    Example:
      >>> at_the_end(jnp.ones((4, 1)), jnp.float32(0.5), 3).counted.tolist()
      [False, False, True, False]
    """
    steps = jnp.arange(inputs.shape[0])
    return Examples(inputs, jnp.full(steps.shape, target), steps == length - 1)


class Stream(Protocol):
    """The batches of a problem. What they are made of is the problem's business: `Problem.examples` reads them.

    Each has `mask`, bool [B]: the rows that are examples; the others fill the batch.
    """

    fingerprint: str
    """sha256, hex: other data have another one."""

    def batches(self, seed: int, start: int) -> Iterator[Any]:
        """The training batches `start`, `start + 1`, ...: a function of seed and number alone."""

    def origin(self, number: int, seed: int) -> dict[str, Any]:
        """Which examples the training batch `number` has, as JSON."""

    def evaluation(self, split: str) -> Iterable[Any]:
        """Every example of "valid" or "test" once."""

    def describe(self) -> str:
        """What there is, in a line."""


@config
class Problem:
    """A table `[data]`: one problem, with the sizes of its batches."""

    name: str
    batch_size: Annotated[int, Field(ge=1, description="sequences read side by side")] = 64
    eval_batch_size: Annotated[int, Field(ge=1, description="sequences side by side in validation and test")] = 250

    @property
    @abstractmethod
    def input_size(self) -> int:
        """D."""

    @property
    def classes(self) -> int | None:
        """How many there are; None: the targets are numbers, and the loss is the squared error."""
        return None

    @property
    def tolerance(self) -> float:
        """How far each output of a solved sequence may be from its target.

        Classes are coded as 0 and 1, one output each. Both figures are those of Hochreiter & Schmidhuber (1997).
        """
        return 0.04 if self.classes is None else 0.3

    @property
    def chance(self) -> float | None:
        """By theory: the loss of the best outputs that do not depend on the inputs, if it is known."""
        return None

    def of_trial(self, batch: Any, trial: Array) -> Any:
        """What a trial (uint32, from 0 on) reads where many are made side by side: by default, what all read."""
        del trial
        return batch

    @abstractmethod
    def examples(self, batch: Any) -> Examples:
        """The sequences of a batch, [B, ...]; runs within the compiled step."""

    @abstractmethod
    def simple(self, examples: Examples) -> dict[str, Array]:
        """What simple methods give for examples, by name: numbers [..., T, 1], or scores [..., T, K] of K classes."""

    @abstractmethod
    def open(self) -> Stream:
        """Makes the data ready.

        Raises:
          DataError: if they cannot be had or used.
        """

    def evaluated(self) -> Self:
        """The problem as validation and test pose it, if that is another one."""
        return self

    def key_text(self) -> str:
        """All that decides the examples, as text: every key but where files lie, and the sizes of batches."""
        keys = [field.name for field in dataclasses.fields(self)]
        keys = sorted({*keys} - {"batch_size", "eval_batch_size", "dir"})
        return ", ".join(f"{key}={getattr(self, key)!r}" for key in keys)

    def digest(self, *data: bytes) -> str:
        """sha256 over these keys and what is read from files."""
        found = hashlib.sha256(self.key_text().encode())
        for part in data:
            found.update(part)
        return found.hexdigest()
