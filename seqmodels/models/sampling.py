"""Drawing text from a language model."""

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.cells.base import Array, PyTree
from seqmodels.models.language_model import LanguageModel, LanguageModelParams

_SMALLEST = 1e-30  # of top_p; a smaller one would be 0 in float32, and nothing would be left


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next symbol is drawn from its scores.

    Args:
      temperature: divides the scores; below 1 safer, above 1 wilder, 0 always the likeliest symbol.
      top_k: draws among the k likeliest symbols only, and any as likely as the last of them; None: among all.
      top_p: draws among the likeliest symbols that together have at least this probability; None: among all.
      repetition_penalty: divides the positive scores of symbols that are in the text already, the prompt included, and
        multiplies their negative ones; above 1 they become less likely.

    Example:
      >>> draw = Sampling(top_k=1).draw
      >>> int(draw(jax.random.key(0), jnp.array([0.0, 2.0, 1.0])))
      1

    References:
      Fan, Lewis & Dauphin (2018), Hierarchical neural story generation (top-k); Holtzman et al. (2020), The curious
      case of neural text degeneration (top-p); Keskar et al. (2019), CTRL: a conditional transformer language model for
      controllable generation (the penalty).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be a number of at least 0 (got {self.temperature})")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1 (got {self.top_k})")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must be above 0 and at most 1 (got {self.top_p})")
        if not 0.0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty must be a number above 0 (got {self.repetition_penalty})")

    def draw(self, key: Array, logits: Array, seen: Array | None = None) -> Array:
        """One symbol a row from scores [..., V]: integers [...]; `seen` as for `penalize`."""
        logits = logits if seen is None else self.penalize(logits, seen)
        if self.temperature == 0.0:
            return jnp.argmax(logits, axis=-1)
        logits = logits - logits.max(axis=-1, keepdims=True)  # keeps a tiny temperature from making infinities equal
        logits = self.restrict(logits / self.temperature)
        return jax.random.categorical(key, logits, axis=-1)

    def penalize(self, logits: Array, seen: Array) -> Array:
        """Lowers the scores of the symbols that are in the text already; `seen` has a boolean for each score."""
        lowered = jnp.where(logits > 0.0, logits / self.repetition_penalty, logits * self.repetition_penalty)
        return jnp.where(seen, lowered, logits)

    def restrict(self, logits: Array) -> Array:
        """Sets the scores of all symbols that may not be drawn to minus infinity; at least one remains."""
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = jax.lax.top_k(logits, self.top_k)[0][..., -1:]
            logits = jnp.where(logits < least, -jnp.inf, logits)
        if self.top_p is not None and self.top_p < 1.0:  # rounded sums of many p come to 1 before the last
            falling = jnp.flip(jnp.sort(logits, axis=-1), axis=-1)
            p = jax.nn.softmax(falling, axis=-1)
            before = jnp.cumsum(p, axis=-1) - p
            least = jnp.min(jnp.where(before < max(self.top_p, _SMALLEST), falling, jnp.inf), axis=-1, keepdims=True)
            logits = jnp.where(logits < least, -jnp.inf, logits)
        return logits


class _Text(NamedTuple):
    """What each step reads: the state, the scores of the next symbol [rows, V], and what is there already.

    `seen` [rows, V], the symbols that are in the text, and `ended` [rows], whether it has come to its end, are None
    where nothing depends on them.
    """

    state: PyTree
    logits: Array
    seen: Array | None
    ended: Array | None


@functools.partial(jax.jit, static_argnames=("model", "sampling", "steps", "end"), donate_argnames="text")
def _draw_chunk(
    model: LanguageModel,
    params: LanguageModelParams,
    text: _Text,
    key: Array,
    start: Array,
    *,
    sampling: Sampling,
    steps: int,
    end: int | None,
) -> tuple[_Text, Array]:
    """Draws `steps` symbols a row; the number of the symbol decides its randomness, not the chunk."""

    def draw(key: Array, position: Array, logits: Array, seen: Array | None) -> Array:
        return sampling.draw(jax.random.fold_in(key, position), logits, seen)

    if key.ndim and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        draw = jax.vmap(draw, in_axes=(0, None, 0, 0))

    def body(text: _Text, position: Array) -> tuple[_Text, Array]:
        token, ended = draw(key, position, text.logits, text.seen), text.ended
        if ended is not None and end is not None:
            token = jnp.where(ended, end, token)
            ended = jnp.equal(token, end)
        state, logits = model.step(params, text.state, token)
        seen = None if text.seen is None else text.seen.at[jnp.arange(token.size), token].set(True)
        return _Text(state, logits, seen, ended), token

    text, tokens = jax.lax.scan(body, text, start + jnp.arange(steps))
    return text, tokens.T


@functools.partial(jax.jit, static_argnames=("model",))
def read_prompt(model: LanguageModel, params: LanguageModelParams, prompt: Array) -> tuple[PyTree, Array]:
    """The state and scores after a prompt [rows, time].

    Raises:
      ValueError: if it has another number of axes, or no symbol to go on from.
    """
    if prompt.ndim != 2 or prompt.shape[1] == 0:
        raise ValueError(f"the prompt must be [rows, time] with at least one symbol (got {list(prompt.shape)})")
    state, logits = model.apply(params, prompt)
    return state, logits[:, -1]


def generate(
    model: LanguageModel,
    params: LanguageModelParams,
    prompt: np.ndarray,
    key: Array,
    *,
    length: int,
    sampling: Sampling,
    end: int | None = None,
    chunk: int = 32,
) -> Iterator[np.ndarray]:
    """Goes on from a prompt, in compiled loops of `chunk` symbols, so that text can be shown as it is written.

    Rows are written side by side; it is over when all of them have come to their end.

    Args:
      model: the language model.
      params: its parameters.
      prompt: symbols [rows, time], at least one step; each row is continued by itself.
      key: decides all draws, whatever the chunk; or keys [rows], each of which decides those of its row alone.
      length: the most symbols of a row; without `end`, their number.
      sampling: how they are drawn.
      end: the symbol after which nothing follows in a row but itself; None: there is none.
      chunk: symbols between two looks from outside.

    Yields:
      Integers [rows, n] with n <= chunk, together [rows, length], or as far as the longest row goes.

    Raises:
      ValueError: for a prompt of another form or an end that is no symbol, when the first symbols are asked for.
    """
    check_end(model, end)
    state, logits = read_prompt(model, params, jnp.asarray(prompt))
    seen = None if sampling.repetition_penalty == 1.0 else _seen(prompt, model.vocabulary_size)
    text = _Text(state, logits, seen, None if end is None else jnp.zeros(len(prompt), bool))
    for start in range(0, length, chunk):
        text, drawn = _draw_chunk(model, params, text, key, jnp.asarray(start), sampling=sampling, steps=chunk, end=end)
        tokens = np.asarray(drawn)[:, : length - start]
        over = np.flatnonzero(np.all(tokens == (-1 if end is None else end), axis=0))
        if over.size:
            yield tokens[:, : over[0] + 1]
            return
        yield tokens


def check_end(model: LanguageModel, end: int | None) -> None:
    """Raises ValueError unless `end` is one of the model's symbols, or None."""
    if end is not None and not 0 <= end < model.vocabulary_size:
        raise ValueError(f"end must be a symbol, from 0 to {model.vocabulary_size - 1} (got {end})")


def _seen(prompt: np.ndarray, vocabulary_size: int) -> Array:
    """Which symbols are in each row of a prompt: booleans [rows, V]."""
    seen = np.zeros((len(prompt), vocabulary_size), bool)
    np.put_along_axis(seen, prompt, True, axis=1)
    return jnp.asarray(seen)
