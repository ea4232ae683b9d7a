"""The smallest task with a long-term dependency: to remember the first symbol."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqmodels.analysis.fitting import Fitted, fit
from seqmodels.analysis.gradient_flow import GradientNorms, gradient_norms
from seqmodels.cells.base import Array, Cell, PyTree
from seqmodels.engines import unroll
from seqmodels.layers import Linear, LinearParams

BATCH_SIZE, LEARNING_RATE = 64, 3e-3


class RecallParams(NamedTuple):
    """The cell's parameters, and `output`, from its last output to a score for each symbol."""

    cell: PyTree
    output: LinearParams


@dataclasses.dataclass(frozen=True)
class Recall:
    """A sequence of symbols, of which the first one is asked for after the last one.

    All symbols are drawn alike, so that nothing but the memory of the first step helps; without it the loss is the
    logarithm of the number of symbols.

    Args:
      cell: reads the symbols, one unit each.
      lag: the number of steps, from the first symbol to the question.
      symbols: how many there are.

    Example:
      >>> import seqmodels as sm
      >>> task = Recall(sm.LSTM(hidden_size=8), lag=20)
      >>> xs, targets = task.batch(jax.random.key(0), 5)
      >>> xs.shape, targets.shape, 0.0 <= float(task.accuracy(task.init(jax.random.key(1)), xs, targets)) <= 1.0
      ((5, 20, 4), (5,), True)

    References:
      Hochreiter & Schmidhuber (1997), Long short-term memory (its experiments with long time lags).
    """

    cell: Cell
    lag: int
    symbols: int = 4

    def init(self, key: Array) -> RecallParams:
        """Draws the parameters."""
        key_cell, key_output = jax.random.split(key)
        output = Linear(self.symbols).init(key_output, self.cell.output_size)
        return RecallParams(self.cell.init(key_cell, self.symbols), output)

    def batch(self, key: Array, size: int) -> tuple[Array, Array]:
        """Inputs [size, lag, symbols], one-hot, and targets, integers [size]."""
        ids = jax.random.randint(key, (size, self.lag), 0, self.symbols)
        return jax.nn.one_hot(ids, self.symbols), ids[:, 0]

    def loss(self, params: RecallParams, xs: Array, targets: Array) -> Array:
        """The mean cost of the right symbol, in nats."""
        scores = self._scores(params, unroll(self.cell, params.cell, xs)[1])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, targets))

    def accuracy(self, params: RecallParams, xs: Array, targets: Array) -> Array:
        """The share of sequences whose first symbol has the highest score."""
        scores = self._scores(params, unroll(self.cell, params.cell, xs)[1])
        return jnp.mean(jnp.argmax(scores, axis=-1) == targets, dtype=scores.dtype)

    def flow(self, params: RecallParams, xs: Array, targets: Array) -> GradientNorms:
        """The norms of the gradients of the right symbol's score, for the states of all steps; [size, lag].

        Of the score and not of the loss, whose gradient is small at the end already once the task is learnt.
        """

        def score(ys: Array) -> Array:
            return jnp.sum(jnp.take_along_axis(self._scores(params, ys), targets[:, None], axis=1))

        return gradient_norms(self.cell, params.cell, xs, score)

    def _scores(self, params: RecallParams, ys: Array) -> Array:
        return Linear(self.symbols).apply(params.output, ys[:, -1])

    def train(self, key: Array, *, steps: int) -> Fitted:
        """Trains on a new batch at every step."""
        key_init, key_data = jax.random.split(key)

        def loss(params: RecallParams, key: Array) -> Array:
            return self.loss(params, *self.batch(key, BATCH_SIZE))

        return fit(loss, self.init(key_init), key_data, steps=steps, learning_rate=LEARNING_RATE)
