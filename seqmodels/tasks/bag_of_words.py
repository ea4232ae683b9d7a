"""What can be told of a text from its words without their order: a baseline of classifiers."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from seqmodels.cells.base import Array

_ITERATIONS = 100


class Bags(NamedTuple):
    """Which words occur in which texts.

    Attributes:
      words: int32 [m], a word of a text.
      texts: int32 [m], which text, rising.
      number: of texts.
    """

    words: npt.NDArray[np.int32]
    texts: npt.NDArray[np.int32]
    number: int

    @classmethod
    def of(cls, texts: Sequence[npt.NDArray[np.int32]]) -> "Bags":
        """The bags of texts, each int32 [length].

        Example:
          >>> Bags.of([np.array([3, 1, 3], np.int32), np.array([2], np.int32)])
          Bags(words=array([1, 3, 2], dtype=int32), texts=array([0, 0, 1], dtype=int32), number=2)
        """
        bags = [np.unique(text) for text in texts]
        sizes = [len(bag) for bag in bags]
        return cls(np.concatenate(bags), np.repeat(np.arange(len(texts), dtype=np.int32), sizes), len(texts))


class LogisticRegression(NamedTuple):
    """A weight `w` [V, K] for each word and class, and a bias `b` [K]."""

    w: Array
    b: Array

    def scores(self, bags: Bags) -> Array:
        """The sums of the weights of each text's words, [n, K]."""
        return _scores(self, jnp.asarray(bags.words), jnp.asarray(bags.texts), bags.number)

    def classes(self, bags: Bags) -> npt.NDArray[np.int32]:
        """The likeliest class of each text, int32 [n]."""
        return np.asarray(jnp.argmax(self.scores(bags), axis=-1), np.int32)


def fit(bags: Bags, labels: npt.NDArray[np.int32], *, vocabulary_size: int, classes: int) -> LogisticRegression:
    """Fits a logistic regression, with the penalty that scikit-learn takes if nothing is said.

        minimise  Σ over texts of cross-entropy + ‖w‖² / 2

    Args:
      bags: of the training texts.
      labels: their classes, int32 [n].
      vocabulary_size: V.
      classes: K.

    Example:
      >>> bags = Bags.of([np.array([0, 1], np.int32), np.array([0, 2], np.int32)])
      >>> fit(bags, np.array([0, 1], np.int32), vocabulary_size=3, classes=2).classes(bags).tolist()
      [0, 1]

    References:
      Liu & Nocedal (1989), On the limited memory BFGS method for large scale optimization (which is used).
    """
    start = LogisticRegression(jnp.zeros((vocabulary_size, classes)), jnp.zeros(classes))
    found: LogisticRegression = _fit(start, *map(jnp.asarray, (bags.words, bags.texts, labels)))
    return found


def _scores(params: LogisticRegression, words: Array, texts: Array, number: int) -> Array:
    sums = jax.ops.segment_sum(params.w[words], texts, num_segments=number, indices_are_sorted=True)
    scores: Array = sums + params.b
    return scores


@jax.jit
def _fit(start: LogisticRegression, words: Array, texts: Array, labels: Array) -> LogisticRegression:
    """A hundred iterations of L-BFGS, after which nothing moves that could be seen."""

    def loss(params: LogisticRegression) -> Array:
        nats = optax.softmax_cross_entropy_with_integer_labels(_scores(params, words, texts, len(labels)), labels)
        mean: Array = nats.mean() + (params.w**2).sum() / (2 * len(labels))
        return mean

    optimizer = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(at: tuple[LogisticRegression, optax.OptState], _: None) -> tuple[tuple[LogisticRegression, object], None]:
        params, state = at
        value, grad = value_and_grad(params, state=state)
        updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=loss)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=_ITERATIONS)
    return LogisticRegression(*params)
