"""The likeliest text of a language model, sought by beams."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from seqmodels.cells.base import Array, PyTree
from seqmodels.models.language_model import LanguageModel, LanguageModelParams
from seqmodels.models.sampling import check_end, read_prompt


class Beam(NamedTuple):
    """A text that was found.

    Attributes:
      tokens: int32 [n], without the prompt, with the end if it came to one.
      log_p: the log-probability of all of them together, given the prompt, in nats.
      score: what beams are compared by.
    """

    tokens: npt.NDArray[np.int32]
    log_p: float
    score: float


class _Beams(NamedTuple):
    """Texts of one length, or with an end: `tokens` [W, length], `sizes` [W], `log_p` [W] and `scores` [W]."""

    tokens: Array
    sizes: Array
    log_p: Array
    scores: Array


class _Search(NamedTuple):
    """Where a search stands after `time` symbols: beams that go on, with what they go on from; those with an end."""

    time: Array
    state: PyTree
    logits: Array
    living: _Beams
    ended: _Beams


def beam_search(
    model: LanguageModel,
    params: LanguageModelParams,
    prompt: npt.NDArray[np.int32],
    *,
    length: int,
    width: int,
    end: int | None = None,
    length_penalty: float = 0.6,
) -> list[Beam]:
    """The likeliest continuations that a search through `width` beams finds; with enough of them, of all there are.

        score(x₁ … xₙ) = Σₜ log p(xₜ | x₁ … xₜ₋₁) / ((5 + n) / 6)^α

    At each step every beam is tried with every symbol, and the best `width` of those texts live on; they take the
    states of the beams they come from. A text that comes to `end` is set aside among the best `width` of its kind, and
    cannot be lost to one that only begins better. All is one compiled loop, which ends as soon as nothing that lives
    can be better than what is set aside.

    Args:
      model: the language model.
      params: its parameters.
      prompt: symbols [time], at least one.
      length: the most symbols of a continuation; without `end`, their number.
      width: number of beams, W.
      end: the symbol after which nothing follows; None: there is none.
      length_penalty: α ≥ 0; 0: the log-probability itself, which favours short texts.

    Returns:
      At most `width` different beams, best first; fewer where there are not as many texts.

    Raises:
      ValueError: for a length, width, penalty or end out of range, or an empty prompt.

    Example:
      >>> import seqmodels as sm
      >>> model = LanguageModel(vocabulary_size=4, embedding_size=2, cell=sm.RNN(hidden_size=3))
      >>> beams = beam_search(model, model.init(jax.random.key(0)), np.array([1]), length=3, width=2)
      >>> [beam.tokens.shape for beam in beams], beams[0].log_p >= beams[1].log_p
      ([(3,), (3,)], True)

    References:
      Graves (2012), Sequence transduction with recurrent neural networks; Wu et al. (2016), Google's neural machine
      translation system (the length penalty).
    """
    if length < 0 or width < 1 or not 0.0 <= length_penalty < np.inf:
        raise ValueError(
            f"length must be at least 0, width at least 1 and length_penalty at least 0 "
            f"(got {length}, {width} and {length_penalty})"
        )
    check_end(model, end)
    if length == 0:
        return [Beam(np.zeros(0, np.int32), 0.0, 0.0)]
    state, logits = read_prompt(model, params, jnp.asarray(prompt)[None])
    found = _search(model, params, state, logits, length=length, width=width, end=end, length_penalty=length_penalty)
    beams = zip(*map(np.asarray, found), strict=True)
    return [
        Beam(tokens[:size], float(log_p), float(score)) for tokens, size, log_p, score in beams if np.isfinite(score)
    ]


@functools.partial(jax.jit, static_argnames=("model", "length", "width", "end", "length_penalty"))
def _search(
    model: LanguageModel,
    params: LanguageModelParams,
    state: PyTree,
    logits: Array,
    *,
    length: int,
    width: int,
    end: int | None,
    length_penalty: float,
) -> _Beams:
    """The best beams after the prompt whose state and scores [1, V] are given."""

    def scored(log_p: Array, size: Array) -> Array:
        return log_p / ((5.0 + size.astype(jnp.float32)) / 6.0) ** length_penalty

    def worth_it(search: _Search) -> Array:
        # No log-probability rises, so this is the most that a living beam can still come to.
        most = scored(search.living.log_p, jnp.asarray(length)).max()
        return (search.time < length) & (most > search.ended.scores.min())

    def extend(search: _Search) -> _Search:
        time, living, ended = search.time, search.living, search.ended
        log_p = living.log_p[:, None] + jax.nn.log_softmax(search.logits)  # [W, V]
        sizes = jnp.full(width, time + 1)
        if end is not None:
            tokens = living.tokens.at[:, time].set(end)
            ended = _best(ended, _Beams(tokens, sizes, log_p[:, end], scored(log_p[:, end], sizes)))
            log_p = log_p.at[:, end].set(-jnp.inf)
        log_p, places = jax.lax.top_k(log_p.ravel(), width)
        parents, token = jnp.divmod(places, model.vocabulary_size)
        living = _Beams(living.tokens[parents].at[:, time].set(token), sizes, log_p, scored(log_p, sizes))
        state, logits = model.step(params, jax.tree.map(lambda leaf: leaf[parents], search.state), token)
        return _Search(time + 1, state, logits, living, ended)

    state, logits = jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), (state, logits))
    none = jnp.full(width, -jnp.inf)
    nothing = _Beams(jnp.zeros((width, length), jnp.int32), jnp.zeros(width, jnp.int32), none, none)
    living = nothing._replace(log_p=none.at[0].set(0.0), scores=none.at[0].set(0.0))  # one text: all begin alike
    start = _Search(jnp.zeros((), jnp.int32), state, logits, living, nothing)
    done = jax.lax.while_loop(worth_it, extend, start)
    return _best(done.ended, done.living)


def _best(one: _Beams, other: _Beams) -> _Beams:
    """The best half of two sets of beams, best first."""
    both: _Beams = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one, other)
    _, places = jax.lax.top_k(both.scores, one.scores.size)
    best: _Beams = jax.tree.map(lambda leaf: leaf[places], both)
    return best
