"""What `seqmodels generate` asks of a task."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.models import Sampling
from seqmodels.tasks.text_model import Found
from seqmodels.training.task import Trainable


@runtime_checkable
class Writer(Trainable, Protocol):
    """A model that goes on from a prompt; what `Task.restore` gives where the task can write."""

    def prompt_ids(self, prompt: str) -> np.ndarray:
        """The symbols of a prompt; raises UserError if there are some that the model does not know."""

    def shown(self, prompt: str) -> str:
        """The prompt as it stands before what `write` gives."""

    @property
    def line_end(self) -> int | None:
        """The symbol that ends a line, if the model knows one."""

    def write(
        self,
        params: PyTree,
        prompt: str,
        key: Array,
        *,
        length: int,
        sampling: Sampling,
        rows: int = 1,
        end: int | None = None,
    ) -> Iterator[list[str]]:
        """What comes next in each of `rows` texts, a few symbols at a time, up to `end`; see `TextModel.write`."""

    def search(self, params: PyTree, prompt: str, *, length: int, width: int) -> list[Found]:
        """The likeliest ways to go on to the end of the line, best first, of those that `width` beams find."""
