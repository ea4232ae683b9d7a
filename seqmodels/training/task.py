"""What a task is: all that the training loop and the commands ask of one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from seqmodels.cells.base import Array, PyTree
from seqmodels.training.reading import Reading

Sums = Mapping[str, tuple[Array, Array]]
"""Measures as (total, weight), so that sums over batches and devices stay exact; the measure is total / weight.

A total is a number or an array, such as the counts of a confusion matrix; a weight is a number.
"""


class Trainable(Protocol):
    """What a training step needs: parameters, carry and loss; no data."""

    @property
    def measures(self) -> Mapping[str, tuple[int, ...]]:
        """The names in the sums that `loss` returns, such as "loss_nats", each with the shape of its total."""

    def init(self, key: Array) -> PyTree:
        """Draws the parameters."""

    def initial_carry(self, params: PyTree) -> PyTree:
        """What one training step hands to the next before the first one: a recurrent state, or None."""

    def loss(self, params: PyTree, carry: PyTree, batch: Any, key: Array | None) -> tuple[Array, tuple[PyTree, Sums]]:
        """The scalar to lower on one batch, with the next carry and the sums. Without a key there is no noise."""


@runtime_checkable
class Repeated(Trainable, Protocol):
    """What has a number of trials trains as many models side by side, as if each were trained alone.

    They lie along the first axis of every array of the parameters and of the carry. The loss is the sum of theirs, so
    that each has its own gradient, which is capped apart from the others'.
    """

    @property
    def trials(self) -> int:
        """How many models."""


@runtime_checkable
class Paced(Trainable, Protocol):
    """What has a pace makes steps of different lengths.

    A loss that is multiplied instead does not: it comes before the cap by norm, and Adam divides it out again.
    """

    def pace(self, batch: Any) -> float:
        """What the update is multiplied by, from the shapes of what a step reads."""


class Task(Trainable, Protocol):
    """One application: data, model, loss, metrics, and what to show.

    It is made from a config, an instance of `schema`. What is wrong with the data is told then, by a `UserError`,
    before anything is written.

    Attributes:
      name: as in the config, `task.name`.
      schema: the whole config: a class made with `seqmodels.config.config`. What all tasks have in it: the tables
        `run`, `training` and `devices` of `seqmodels.training.tables`, an `optimizer`, and `data.batch_size`, the rows
        of a training batch, which the devices share.
    """

    name: ClassVar[str]
    schema: ClassVar[type[Any]]

    def __init__(self, config: Any) -> None: ...

    @staticmethod
    def restore(config: Any, extra: Mapping[str, Any]) -> Trainable:
        """The model without the data, from the config and what `extra` gave when it was saved.

        What has, beside, the methods of `seqmodels.tasks.writer.Writer` writes text: `seqmodels generate` uses it.
        """

    @property
    def data_name(self) -> str:
        """What the data are called in a sentence, such as "the text of ptb"."""

    @property
    def weight_unit(self) -> str:
        """What the weight of the first measure counts, such as "tokens"."""

    @property
    def objective(self) -> str:
        """The metric that validation compares, lower is better, such as "bits_per_char"."""

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""

    def batches(self, start: int) -> Iterator[Any]:
        """The training batches `start`, `start + 1`, ...: a function of seed and number alone.

        They have few shapes, for each of which the step is compiled. Those of one optimizer step, from a multiple of
        `training.accumulate` on, have one.
        """

    def origin(self, number: int) -> dict[str, Any]:
        """Where the training batch `number` comes from, as JSON: which examples, or which part of the text."""

    def evaluation(self, params: PyTree, split: str) -> tuple[PyTree, Iterable[Any]]:
        """The carry to begin with and the batches of a split ("valid" or "test"), each example exactly once."""

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """What is reported, from the measures: numbers, or arrays where totals are arrays."""

    def sample(self, params: PyTree) -> str | None:
        """A text that shows what the model has learnt, the same for the same parameters; None: nothing to show."""

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is worth a picture at the end of a run, by the name of its kind: `<name>.png` in the run folder.

        Args:
          sums: the sums over the test split.

        Returns:
          Values that the functions in `seqmodels/analysis` draw, such as a `Confusion`; empty: nothing.
        """

    def reading(self, params: PyTree, most: int) -> Reading:
        """A sequence of validation as the model reads it, for `seqmodels analyze`; of several trials the first.

        Args:
          params: of the model.
          most: no more steps than that, where there is a choice.
        """

    def baselines(self) -> dict[str, dict[str, float]]:
        """What simple methods reach: for each split and metric ("valid/bits_per_char"), a number by name."""

    def extra(self) -> dict[str, Any]:
        """JSON to keep in checkpoints: all that `restore` needs, and `data_sha256`, by which other data are told."""
