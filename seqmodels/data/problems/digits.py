"""Handwritten digits as sequences."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from pydantic import Field

from seqmodels.cells.base import Array
from seqmodels.config import config, make_whole
from seqmodels.data.mnist import Images, mnist
from seqmodels.data.permutations import permutation
from seqmodels.data.problems.problem import Examples, Problem
from seqmodels.data.sources import DataError
from seqmodels.data.streams import batches

_SIDE: Final = 28
_FREQUENCIES: Final = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
"""How often each digit is among the 60,000 images for training."""

_PERMUTATION_SEED: Final = 92916


class DigitBatch(NamedTuple):
    """Images side by side: `pixels` uint8 [B, 28, 28], `labels` int32 [B], and `mask` bool [B], false for filling."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    mask: npt.NDArray[np.bool_]


@config
class Mnist(Problem):
    """Which digit an image shows, read as a sequence and told at its end.

    Args:
      order: "rows": 28 steps of 28 pixels; "pixels": 784 steps of one, row by row; "permuted": the same in an order
        that is random but always the same, so that what is near in the image is far apart in time.
      dir: where the files lie.

    Example:
      >>> batch = DigitBatch(np.zeros((2, 28, 28), np.uint8), np.array([3, 1], np.int32), np.ones(2, bool))
      >>> Mnist(order="pixels").examples(batch).inputs.shape
      (2, 784, 1)

    References:
      LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition.
      Le, Jaitly & Hinton (2015), A simple way to initialize recurrent networks of rectified linear units (pixels).
    """

    name: Literal["mnist"] = "mnist"
    order: Annotated[Literal["rows", "pixels", "permuted"], Field(description="what is read at a step")] = "rows"
    dir: Annotated[str | None, Field(description="folder with the data set's files; default: download to a cache")] = (
        None
    )

    def __post_init__(self) -> None:
        """Makes the path whole, so that the config in the run folder means the same from anywhere."""
        make_whole(self, "dir")

    @property
    def input_size(self) -> int:
        """A row of pixels, or one pixel."""
        return _SIDE if self.order == "rows" else 1

    @property
    def classes(self) -> int:
        """The digits."""
        return len(_FREQUENCIES)

    def examples(self, batch: DigitBatch) -> Examples:
        """The images as sequences of numbers from 0 to 1."""
        pixels = jnp.asarray(batch.pixels).astype(jnp.float32) / 255.0
        inputs = pixels if self.order == "rows" else pixels.reshape(len(pixels), -1, 1)
        if self.order == "permuted":
            inputs = inputs[:, permutation(_SIDE**2, _PERMUTATION_SEED)]
        shape = inputs.shape[:2]
        last = jnp.arange(shape[1]) == shape[1] - 1
        return Examples(
            inputs, jnp.broadcast_to(jnp.asarray(batch.labels)[:, None], shape), jnp.broadcast_to(last, shape)
        )

    def simple(self, examples: Examples) -> dict[str, Array]:
        """The digits as frequent as in training, whatever the image; most frequent is one."""
        scores = jnp.log(jnp.array(_FREQUENCIES, jnp.float32))
        return {"majority": jnp.broadcast_to(scores, (*examples.targets.shape, len(_FREQUENCIES)))}

    def open(self) -> "DigitStream":
        """Reads the files."""
        return DigitStream(self, mnist(None if self.dir is None else Path(self.dir)))


class DigitStream:
    """Batches of images: in training, every image once an epoch but for the rest that fills no batch.

    Args:
      problem: gives the sizes of batches.
      splits: "train", "valid" and "test".

    Raises:
      DataError: if there are fewer training images than a batch needs.
    """

    def __init__(self, problem: Mnist, splits: dict[str, Images]) -> None:
        self.problem = problem
        self.splits = splits
        self.fingerprint = problem.digest(*(array.tobytes() for images in splits.values() for array in images))
        if len(self) == 0:
            number = len(splits["train"].labels)
            raise DataError(f"there are {number:,} training images; lower data.batch_size={problem.batch_size}")

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.splits["train"].labels) // self.problem.batch_size

    def at(self, step: int, seed: int) -> DigitBatch:
        """The batch of a training step, a pure function of step and seed."""
        rows = self._rows(step, seed)
        return DigitBatch(*self.splits["train"].take(rows), np.ones(len(rows), bool))

    def origin(self, step: int, seed: int) -> dict[str, Any]:
        """Epoch, and the numbers of the training images, from 0."""
        return {"epoch": step // len(self), "images": self._rows(step, seed).tolist()}

    def _rows(self, step: int, seed: int) -> npt.NDArray[np.int64]:
        epoch, index = divmod(step, len(self))
        size = self.problem.batch_size
        return permutation(len(self.splits["train"].labels), seed, epoch)[index * size : (index + 1) * size]

    def batches(self, seed: int, start: int) -> Iterator[DigitBatch]:
        """The training batches from step `start` on."""
        return batches(self, seed=seed, start=start)

    def evaluation(self, split: str) -> Iterable[DigitBatch]:
        """Every image of a split once, in their order."""
        images = self.splits[split]
        number = len(images.labels)
        size = min(self.problem.eval_batch_size, number)
        for first in range(0, number, size):
            rows = np.arange(first, first + size)
            yield DigitBatch(*images.take(np.minimum(rows, number - 1)), rows < number)

    def describe(self) -> str:
        """How many images there are, and how they are read."""
        sizes = ", ".join(f"{len(images.labels):,} {split}" for split, images in self.splits.items())
        return f"{sizes} images; {len(self):,} batches an epoch; order: {self.problem.order}"
