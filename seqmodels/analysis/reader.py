"""A language model reading a text: what its states and gates do on the way."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqmodels.analysis.fitting import fit
from seqmodels.analysis.gate_activity import gate_activity
from seqmodels.cells import LSTM
from seqmodels.cells.base import Array, PyTree
from seqmodels.data.bpe import BytePairs
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.engines import trajectory
from seqmodels.models import LanguageModel
from seqmodels.tasks.text_model import read_symbols
from seqmodels.training.reading import Reading

WINDOW, BATCH_SIZE, LEARNING_RATE = 64, 32, 5e-3
"""Symbols of a training window, windows in a batch, and Adam's rate."""

UNCOUNTED = 8
"""The first symbols of a window, which are guessed without a context, are not counted."""


class Reader(NamedTuple):
    """A language model, its parameters and its vocabulary."""

    model: LanguageModel
    params: PyTree
    vocabulary: Vocabulary | BytePairs

    def reading(self, text: str) -> Reading:
        """The text as the model reads it, and what its last symbol costs."""
        return read_symbols(self.model, self.params, self.vocabulary, self.vocabulary.encode(text))

    def symbols(self, text: str) -> list[str]:
        """The text, symbol by symbol, as the model reads it."""
        return list(self.reading(text).names or ())

    def activity(self, text: str) -> Any:
        """The activations of all gates over a text, leaves [time, H], nested as the layers are."""
        return gate_activity(*self.reading(text)[:3])

    def states(self, text: str) -> PyTree:
        """The states after each symbol, leaves [time, H]."""
        return trajectory(*self.reading(text)[:3])


def learn(text: str, key: Array, *, steps: int, hidden_size: int = 64) -> tuple[Reader, Array]:
    """Trains a small LSTM on the characters of a text.

    Args:
      text: to learn from, of more characters than a window has.
      key: decides parameters and batches.
      steps: how many.
      hidden_size: units of the LSTM.

    Returns:
      `(reader, losses)`: losses in nats per character, [steps].
    """
    vocabulary = Vocabulary.build(text, "char")
    model = LanguageModel(len(vocabulary), embedding_size=24, cell=LSTM(hidden_size))
    ids = jnp.asarray(vocabulary.encode(text))
    key_init, key_data = jax.random.split(key)

    def loss(params: PyTree, key: Array) -> Array:
        starts = jax.random.randint(key, (BATCH_SIZE, 1), 0, ids.size - WINDOW)
        windows = jnp.take(ids, starts + jnp.arange(WINDOW + 1, dtype=starts.dtype), axis=0)
        logits = model.apply(params, windows[:, :-1])[1]
        costs = optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:])
        return jnp.mean(costs[:, UNCOUNTED:])

    fitted = fit(loss, model.init(key_init), key_data, steps=steps, learning_rate=LEARNING_RATE)
    return Reader(model, fitted.after, vocabulary), fitted.losses
