"""Drawing text from a language model."""

import dataclasses
import functools
import math
from collections.abc import Iterator

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

    Example:
      >>> draw = Sampling(top_k=1).draw
      >>> int(draw(jax.random.key(0), jnp.array([0.0, 2.0, 1.0])))
      1

    References:
      Fan, Lewis & Dauphin (2018), Hierarchical neural story generation (top-k); Holtzman et al. (2020), The curious
      case of neural text degeneration (top-p).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be a number of at least 0 (got {self.temperature})")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1 (got {self.top_k})")
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must be above 0 and at most 1 (got {self.top_p})")

    def draw(self, key: Array, logits: Array) -> Array:
        """One symbol a row from scores [..., V]: integers [...]."""
        if self.temperature == 0.0:
            return jnp.argmax(logits, axis=-1)
        logits = logits - logits.max(axis=-1, keepdims=True)  # keeps a tiny temperature from making infinities equal
        logits = self.restrict(logits / self.temperature)
        return jax.random.categorical(key, logits, axis=-1)

    def restrict(self, logits: Array) -> Array:
        """Sets the scores of all symbols that may not be drawn to minus infinity; at least one remains."""
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = jax.lax.top_k(logits, self.top_k)[0][..., -1:]
            logits = jnp.where(logits < least, -jnp.inf, logits)
        if self.top_p is not None:
            falling = jnp.flip(jnp.sort(logits, axis=-1), axis=-1)
            p = jax.nn.softmax(falling, axis=-1)
            before = jnp.cumsum(p, axis=-1) - p
            least = jnp.min(jnp.where(before < max(self.top_p, _SMALLEST), falling, jnp.inf), axis=-1, keepdims=True)
            logits = jnp.where(logits < least, -jnp.inf, logits)
        return logits


@functools.partial(jax.jit, static_argnames=("model", "sampling", "steps"))
def _draw_chunk(
    model: LanguageModel,
    params: LanguageModelParams,
    state: PyTree,
    logits: Array,
    key: Array,
    start: Array,
    *,
    sampling: Sampling,
    steps: int,
) -> tuple[PyTree, Array, Array]:
    """Draws `steps` symbols a row; the number of the symbol decides its randomness, not the chunk."""

    def body(carry: tuple[PyTree, Array], position: Array) -> tuple[tuple[PyTree, Array], Array]:
        state, logits = carry
        token = sampling.draw(jax.random.fold_in(key, position), logits)
        return model.step(params, state, token), token

    (state, logits), tokens = jax.lax.scan(body, (state, logits), start + jnp.arange(steps))
    return state, logits, tokens.T


@functools.partial(jax.jit, static_argnames=("model",))
def _read(model: LanguageModel, params: LanguageModelParams, prompt: Array) -> tuple[PyTree, Array]:
    """The state and scores after a prompt [rows, time]."""
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
    chunk: int = 32,
) -> Iterator[np.ndarray]:
    """Goes on from a prompt, in compiled loops of `chunk` symbols, so that text can be shown as it is written.

    Args:
      model: the language model.
      params: its parameters.
      prompt: symbols [rows, time], at least one step; each row is continued by itself.
      key: decides all draws, whatever the chunk.
      length: number of symbols to draw for each row.
      sampling: how they are drawn.
      chunk: symbols between two looks from outside.

    Yields:
      Integers [rows, n] with n <= chunk, together [rows, length].
    """
    state, logits = _read(model, params, jnp.asarray(prompt))
    for start in range(0, length, chunk):
        state, logits, tokens = _draw_chunk(
            model, params, state, logits, key, jnp.asarray(start), sampling=sampling, steps=chunk
        )
        yield np.asarray(tokens)[:, : length - start]
