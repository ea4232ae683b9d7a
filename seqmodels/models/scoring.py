"""How likely a language model finds texts that are given."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from seqmodels.cells.base import Array, PyTree
from seqmodels.models.language_model import LanguageModel, LanguageModelParams

Ids = npt.NDArray[np.int32]
_NARROWEST = 8


@functools.partial(jax.jit, static_argnames=("model",))
def _window(
    model: LanguageModel, params: LanguageModelParams, state: PyTree, inputs: Array, targets: Array
) -> tuple[PyTree, Array]:
    """The state after a window [rows, time], and the log-probability of each target."""
    state, logits = model.apply(params, inputs, state)
    log_p = jax.nn.log_softmax(logits)
    return state, jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]


def log_probabilities(
    model: LanguageModel, params: LanguageModelParams, texts: Sequence[Ids], *, start: Ids, rows: int, window: int
) -> list[npt.NDArray[np.float32]]:
    """The log-probability of each symbol of each text, given those before it.

        log p(xₜ | start, x₁ … xₜ₋₁)

    Texts of about the same length are read side by side, a window at a time with the state carried on. A window is as
    wide as the least power of two that holds what is left, so few shapes are compiled; what is padded is left out.

    Args:
      model: the language model.
      params: its parameters.
      texts: symbols, integers [length] each; a text may be empty.
      start: symbols [at least one] that every text goes on from.
      rows: texts read side by side.
      window: symbols read at a time, at most.

    Returns:
      For each text its log-probabilities in nats, [length].

    Example:
      >>> import seqmodels as sm
      >>> model = LanguageModel(vocabulary_size=4, embedding_size=2, cell=sm.RNN(hidden_size=3))
      >>> params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
      >>> (found,) = log_probabilities(
      ...     model, params, [np.array([1, 2])], start=np.array([0]), rows=2, window=8
      ... )
      >>> np.exp(found).round(2).tolist()
      [0.25, 0.25]
    """
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
    for first in range(0, len(order), rows):
        numbers = order[first : first + rows]
        read = _side_by_side(model, params, [np.concatenate([start, texts[n]]) for n in numbers], rows, window)
        for number, log_p in zip(numbers, read, strict=False):
            # [i] is for symbol i + 1 of what was read.
            found[number] = log_p[start.size - 1 : start.size - 1 + len(texts[number])]
    return found


def _side_by_side(
    model: LanguageModel, params: LanguageModelParams, texts: Sequence[Ids], rows: int, window: int
) -> npt.NDArray[np.float32]:
    """The log-probability of each symbol but the first, [rows, time]; what is beyond a text means nothing."""
    longest = max(map(len, texts)) - 1
    tokens = np.zeros((rows, longest + window + 1), np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    state, found = model.initial_state(params, (rows,)), []
    for place in range(0, longest, window):
        width = min(window, max(_NARROWEST, 1 << (longest - place - 1).bit_length()))
        inputs, targets = tokens[:, place : place + width], tokens[:, place + 1 : place + width + 1]
        state, log_p = _window(model, params, state, jnp.asarray(inputs), jnp.asarray(targets))
        found.append(np.asarray(log_p))
    return np.concatenate(found, axis=1) if found else np.zeros((rows, 0), np.float32)
