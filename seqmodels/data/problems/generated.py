"""Problems whose examples are made up on the device, within the compiled step: a batch is no more than numbers."""

import itertools
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.typing import ArrayLike
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config
from seqmodels.data.problems.problem import Examples, Problem

# Beyond the numbers by which training derives its own keys from the same seed.
_STREAMS: Final = {"train": 16, "valid": 17, "test": 18}


class Rows(struct.PyTreeNode):  # type: ignore[no-untyped-call]  # flax leaves it untyped
    """Which examples are meant.

    Attributes:
      seed: uint32 scalar.
      stream: uint32 scalar; that of training has nothing in common with those of validation and test.
      numbers: uint32 [B], of the examples in the stream.
      mask: bool [B]; the rows that are examples. The others fill the batch.
      evaluated: whether the examples are those of validation or test, which may have another shape.
    """

    seed: ArrayLike
    stream: ArrayLike
    numbers: ArrayLike
    mask: ArrayLike
    evaluated: bool = struct.field(pytree_node=False)  # type: ignore[no-untyped-call]  # flax leaves it untyped

    @classmethod
    def of(cls, split: str, seed: int, first: int, size: int, *, end: int | None = None) -> "Rows":
        """The examples from number `first` on, before `end`, as a batch of `size` rows.

        Example:
          >>> rows = Rows.of("test", 0, 4, 3, end=6)
          >>> rows.numbers.tolist(), rows.mask.tolist()
          ([4, 5, 6], [True, True, False])
        """
        numbers = np.arange(first, first + size, dtype=np.uint32)
        mask = np.ones(size, bool) if end is None else numbers < end
        return cls(np.uint32(seed), np.uint32(_STREAMS[split]), numbers, mask, split != "train")

    def keys(self) -> Array:
        """A key for each row, a function of seed, stream and number."""
        stream = jax.random.fold_in(jax.random.key(self.seed), self.stream)
        keys: Array = jax.vmap(jax.random.fold_in, (None, 0))(stream, jnp.asarray(self.numbers))
        return keys


def below(end: int, bits: Array) -> Array:
    """Numbers 0 … end - 1, int32, from random bits, uint32: equally likely but for end / 2³² or less.

    All draws of an example come from one call of `jax.random.bits`, which compiles a good deal faster than several
    calls of `jax.random.randint`.

    Example:
      >>> below(3, jnp.array([0, 4, 8], jnp.uint32)).tolist()
      [0, 1, 2]
    """
    numbers: Array = (bits % jnp.uint32(end)).astype(jnp.int32)
    return numbers


@config
class Generated(Problem):
    """A problem that is given by how one example is drawn.

    Hochreiter & Schmidhuber (1997) train until 2,000 sequences in a row are solved, and test with 2,560.
    """

    valid_examples: Annotated[int, Field(ge=1, description="sequences of the validation")] = 2000
    test_examples: Annotated[int, Field(ge=1, description="sequences of the test")] = 2560

    @abstractmethod
    def example(self, key: Array) -> Examples:
        """One example, [T, ...], a pure function of a key."""

    def batch(self, keys: Array) -> Examples:
        """Examples side by side, [B, T, ...], a pure function of keys [B]: each row is that of its key alone."""
        examples: Examples = jax.vmap(self.example)(keys)
        return examples

    def of_trial(self, batch: Rows, trial: Array) -> Rows:
        """In training the examples of the seed that lies as far on; validation and test are the same for all."""
        return batch if batch.evaluated else batch.replace(seed=jnp.asarray(batch.seed) + trial)

    def examples(self, batch: Rows) -> Examples:
        """The examples that the batch names."""
        problem = self.evaluated() if batch.evaluated else self
        return problem.batch(batch.keys())

    def open(self) -> "Drawn":
        """There is nothing to be made ready."""
        return Drawn(self)


class Drawn:
    """Numbers of examples: in training, ever new ones.

    Validation and test have the same examples for every seed, so that runs with several seeds can be compared.

    Args:
      problem: whose examples they are.
    """

    def __init__(self, problem: Generated) -> None:
        self.problem = problem
        self.fingerprint = problem.digest()

    def batches(self, seed: int, start: int) -> Iterator[Rows]:
        """Batch n has the examples n·B … n·B + B - 1."""
        size = self.problem.batch_size
        return (Rows.of("train", seed, step * size, size) for step in itertools.count(start))

    def origin(self, number: int, seed: int) -> dict[str, Any]:
        """The seed of the first trial, and the numbers of the first and the last example in its stream."""
        size = self.problem.batch_size
        return {"seed": seed, "first_example": number * size, "last_example": (number + 1) * size - 1}

    def evaluation(self, split: str) -> Iterator[Rows]:
        """All examples of a split in their order."""
        number = self.problem.valid_examples if split == "valid" else self.problem.test_examples
        size = min(self.problem.eval_batch_size, number)
        return (Rows.of(split, 0, first, size, end=number) for first in range(0, number, size))

    def describe(self) -> str:
        """The problem and its keys."""
        return f"made up while training: {self.problem.key_text()}"
