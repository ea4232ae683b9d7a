"""What `seqmodels predict` asks of a task."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from seqmodels.cells.base import PyTree
from seqmodels.data.inputs import Input
from seqmodels.training.task import Trainable


@runtime_checkable
class Predictor(Trainable, Protocol):
    """A model that can be asked about new data; what `Task.restore` gives where the task can."""

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """What the model says of new data.

        Args:
          params: of the model.
          given: the data; which kinds a task reads is said in its own docstring.
          rows: how many are read before the first is answered; 1: each at once.

        Yields:
          For each text, sentence, sequence or step, in their order, what may be written as JSON.

        Raises:
          DataError: if the data cannot be read: file, line, and what to do.
        """


@runtime_checkable
class Drawer(Predictor, Protocol):
    """A model that can draw what may come, of which its prediction is a summary."""

    def draw(self, params: PyTree, given: Input, *, rows: int, paths: int) -> Iterator[dict[str, Any]]:
        """What may come, drawn.

        Args:
          params: of the model.
          given: as for `predict`.
          rows: as for `predict`.
          paths: how many are drawn for each series.

        Yields:
          For each path and step what may be written as JSON.

        Raises:
          UserError: if this model draws none, or the data cannot be read.
        """


@runtime_checkable
class Tabular(Predictor, Protocol):
    """A predictor that data may give nothing to predict from, and that knows what its rows would hold."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of every row, those of an object within behind its own: "probabilities.good"."""
