"""What the training loop asks of a task."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from seqmodels.cells.base import Array, PyTree

Sums = Mapping[str, tuple[Array, Array]]
"""Measures as (total, weight), so that sums over batches and devices stay exact; the measure is total / weight."""


class Trainable(Protocol):
    """What a training step needs: parameters, carry and loss; no data."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The names in the sums that `loss` returns, each with its unit, such as "loss_nats"."""

    def init(self, key: Array) -> PyTree:
        """Draws the parameters."""

    def initial_carry(self, params: PyTree) -> PyTree:
        """What one training step hands to the next before the first one: a recurrent state, or None."""

    def loss(self, params: PyTree, carry: PyTree, batch: Any, key: Array | None) -> tuple[Array, tuple[PyTree, Sums]]:
        """The scalar to lower on one batch, with the next carry and the sums. Without a key there is no noise."""


class Task(Trainable, Protocol):
    """One application: data, model, loss, metrics, and what to show."""

    @property
    def weight_unit(self) -> str:
        """What the weight of the first measure counts, such as "tokens"."""

    @property
    def objective(self) -> str:
        """The metric that validation compares, lower is better, such as "bits_per_char"."""

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""

    def batches(self, start: int) -> Iterator[Any]:
        """The training batches `start`, `start + 1`, ...: a function of seed and number alone."""

    def evaluation(self, params: PyTree, split: str) -> tuple[PyTree, Iterable[Any]]:
        """The carry to begin with and the batches of a split ("valid" or "test"), each example exactly once."""

    def metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """What is reported, from the measures."""

    def sample(self, params: PyTree) -> str | None:
        """A text that shows what the model has learnt, the same for the same parameters; None: nothing to show."""

    def baselines(self) -> dict[str, dict[str, float]]:
        """What simple methods reach: for each split and metric ("valid/bits_per_char"), a number by name."""

    def extra(self) -> dict[str, Any]:
        """JSON to keep in checkpoints, all that is needed to use the model without its data."""
