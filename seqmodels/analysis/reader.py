"""A language model reading a text: what its states and gates do on the way."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqmodels.analysis.fitting import fit
from seqmodels.analysis.gate_activity import gate_activity
from seqmodels.analysis.gradient_flow import norm, state_gradients
from seqmodels.analysis.jacobians import lyapunov_exponents
from seqmodels.cells import LSTM
from seqmodels.cells.base import Array, PyTree
from seqmodels.data.bpe import BytePairs
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.engines import trajectory
from seqmodels.models import LanguageModel

WINDOW, BATCH_SIZE, LEARNING_RATE = 64, 32, 5e-3
"""Symbols of a training window, windows in a batch, and Adam's rate."""

UNCOUNTED = 8
"""The first symbols of a window, which are guessed without a context, are not counted."""


class Reader(NamedTuple):
    """A language model, its parameters and its vocabulary."""

    model: LanguageModel
    params: PyTree
    vocabulary: Vocabulary | BytePairs

    def symbols(self, text: str) -> list[str]:
        """The text, symbol by symbol, as the model reads it."""
        return [self.vocabulary.symbols[number] for number in self._ids(text)]

    def activity(self, text: str) -> Any:
        """The activations of all gates over a text, leaves [time, H], nested as the layers are."""
        return gate_activity(self.model.cell, self.params.cell, self._embedded(text))

    def states(self, text: str) -> PyTree:
        """The states after each symbol, leaves [time, H]."""
        return trajectory(self.model.cell, self.params.cell, self._embedded(text))

    def lyapunov(self, text: str) -> float:
        """The largest Lyapunov exponent along a text, in nats per symbol."""
        exponents = lyapunov_exponents(self.model.cell, self.params.cell, self._embedded(text), count=1)
        return float(exponents[0])

    def flow(self, text: str) -> Array:
        """How much the cost of the last symbol depends on the state before each other one: norms [time - 1]."""
        ids = jnp.asarray(self._ids(text))

        def cost(logits: Array) -> Array:
            return -jax.nn.log_softmax(logits[-1])[ids[-1]]

        state = self.model.initial_state(self.params)
        gradients = state_gradients(functools.partial(self.model.step, self.params), state, ids[:-1], cost)
        return norm(jnp.stack([norm(leaf, 1) for leaf in jax.tree.leaves(gradients)], axis=1), 1)

    def _ids(self, text: str) -> Any:
        return self.vocabulary.encode(text)

    def _embedded(self, text: str) -> Array:
        return jnp.take(self.params.embedding, jnp.asarray(self._ids(text)), axis=0)


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
