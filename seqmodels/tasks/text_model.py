"""A language model with its vocabulary: it learns, writes, finds the likeliest text, and tells how likely one is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqmodels.cells.base import Array, PyTree
from seqmodels.data.bpe import BytePairs, vocabulary_from_json
from seqmodels.data.inputs import Input, texts_of
from seqmodels.data.streams import Batch, EvaluationBatch
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.models import LanguageModel, Sampling, beam_search, generate, log_probabilities
from seqmodels.tasks.language_tables import Config
from seqmodels.training.groups import batched
from seqmodels.training.reading import Reading
from seqmodels.training.task import Sums

_CUT = "\N{REPLACEMENT CHARACTER}"
_OBJECTIVES = {"char": "bits_per_char", "byte": "bits_per_byte", "word": "perplexity", "bpe": "bits_per_byte"}


class Scored(NamedTuple):
    """How likely a model finds a text.

    Attributes:
      symbols: what the text was read as; unknown characters and words as the unknown symbol.
      log_p: the log-probability of each, given those before it, in nats.
      total: their sum, the log-probability of the text.
    """

    symbols: tuple[str, ...]
    log_p: tuple[float, ...]
    total: float


class Found(NamedTuple):
    """A text that goes on from a prompt, which is left out, and its log-probability in nats."""

    text: str
    log_p: float


class TextModel:
    """A language model with its vocabulary: all of the task that needs no corpus.

    Args:
      config: the run's.
      vocabulary: the symbols that the model was trained on.
    """

    weight_unit = "tokens"

    def __init__(self, config: Config, vocabulary: Vocabulary | BytePairs) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.model = config.model.build(len(vocabulary), config.training.compute_dtype)
        self.objective = _OBJECTIVES[vocabulary.unit]

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "TextModel":
        """From what `extra` put into a checkpoint."""
        return TextModel(config, vocabulary_from_json(extra["vocabulary"]))

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """The loss a symbol; of pieces of words their bytes too, so that the loss of other units can be compared."""
        pieces = isinstance(self.vocabulary, BytePairs)
        return {"loss_nats": (), "bytes_per_token": ()} if pieces else {"loss_nats": ()}

    def write(
        self,
        params: PyTree,
        prompt: str,
        key: Array,
        *,
        length: int,
        sampling: Sampling,
        rows: int = 1,
        end: int | None = None,
    ) -> Iterator[list[str]]:
        """Goes on from a prompt.

        Args:
          params: of the model.
          prompt: text of known symbols; empty: a line end.
          key: decides all draws; or keys [rows], one for each text.
          length: the most symbols to write; without `end`, their number.
          sampling: how they are drawn.
          rows: texts written side by side.
          end: the symbol at which a text ends, such as `line_end`; None: there is none.

        Yields:
          What comes next in each text, a few symbols at a time, the prompt and the end left out.

        Raises:
          DataError: if the prompt has characters that the training text had not.
        """
        start = self.prompt_ids(prompt)
        ids = np.tile(start, (rows, 1))
        shown = [len(self.vocabulary.decode(start))] * rows
        for tokens in generate(self.model, params, ids, key, length=length, sampling=sampling, end=end):
            ids = np.concatenate([ids, tokens], axis=1)
            texts = [self._so_far(row, start.size, length, end) for row in ids]
            yield [text[begin:] for text, begin in zip(texts, shown, strict=True)]
            shown = [max(len(text), begin) for text, begin in zip(texts, shown, strict=True)]

    def _so_far(self, ids: np.ndarray, begin: int, length: int, end: int | None) -> str:
        """The text of a prompt of `begin` symbols and what was drawn after it, up to its end."""
        ends = np.flatnonzero(ids[begin:] == (-1 if end is None else end))
        text = self.vocabulary.decode(ids[: begin + ends[0]] if ends.size else ids)
        finished = ends.size or ids.size == begin + length
        return text if finished else text.rstrip(_CUT)  # bytes of a character that is still to be finished

    @property
    def line_end(self) -> int | None:
        """The symbol that ends a line; None where the training text had one line alone."""
        return int(self.vocabulary.encode("\n")[0]) if self._first == "\n" else None

    def search(self, params: PyTree, prompt: str, *, length: int, width: int) -> list[Found]:
        """The likeliest ways to go on from a prompt to the end of its line.

        Args:
          params: of the model.
          prompt: text of known symbols; empty: a line end.
          length: the most symbols.
          width: beams, and the most texts that are found; see `beam_search`.

        Returns:
          What comes next, the line end included where it is reached, best first.

        Raises:
          DataError: if the prompt has characters that the training text had not.
        """
        start = self.prompt_ids(prompt)
        begin = len(self.vocabulary.decode(start))
        beams = beam_search(self.model, params, start, length=length, width=width, end=self.line_end)
        texts = (self.vocabulary.decode(np.concatenate([start, beam.tokens])) for beam in beams)
        return [Found(text[begin:], beam.log_p) for text, beam in zip(texts, beams, strict=True)]

    def score(self, params: PyTree, texts: Sequence[str]) -> list[Scored]:
        """How likely each text is, read from the initial state on, as what follows a line end.

        As many texts are read side by side, and as many symbols at a time, as in validation.

        Args:
          params: of the model.
          texts: any; an empty one has no symbols, and its log-probability is 0.
        """
        data = self.config.data
        ids = [self.vocabulary.encode(text) for text in texts]
        found = log_probabilities(
            self.model,
            params,
            ids,
            start=self.vocabulary.encode(self._first),
            rows=data.eval_batch_size,
            window=data.eval_window,
        )
        symbols = self.vocabulary.symbols
        return [
            Scored(tuple(symbols[i] for i in read), tuple(log_p.tolist()), float(log_p.sum(dtype=np.float64)))
            for read, log_p in zip(ids, found, strict=True)
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """The text and its log-probability, its symbols and theirs."""
        return "text", "log_p", "symbols", "log_p_of_symbols"

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """How likely each text is; see `seqmodels.tasks.predictor.Predictor`.

        Texts are lines of a .txt file, or stand in the column "text" of a .csv, .tsv or .jsonl file. "log_p" is in
        nats, that of the text and those of its symbols.
        """
        for group in batched(texts_of(given, "text"), rows):
            for text, scored in zip(group, self.score(params, group), strict=True):
                yield {
                    "text": text,
                    "log_p": scored.total,
                    "symbols": list(scored.symbols),
                    "log_p_of_symbols": list(scored.log_p),
                }

    def reading_of(self, params: PyTree, text: str, most: int) -> Reading:
        """The beginning of a text, `most` symbols of it, and the cost of the last one.

        Raises:
          DataError: if there are characters that the training text had not.
        """
        self.vocabulary.check(text)
        return read_symbols(self.model, params, self.vocabulary, self.vocabulary.encode(text)[:most])

    def prompt_ids(self, prompt: str) -> np.ndarray:
        """The symbols of a prompt, at least one."""
        self.vocabulary.check(prompt)
        ids = self.vocabulary.encode(prompt)
        return ids if ids.size else self.vocabulary.encode(self._first)

    @property
    def _first(self) -> str:
        """What a text without a prompt goes on from: a line end, in a text without one a blank."""
        return " " if self.vocabulary.unit == "char" and "\n" not in self.vocabulary.symbols else "\n"

    def shown(self, prompt: str) -> str:
        """The prompt as it stands before what `write` gives; words bring their own blanks."""
        return prompt.rstrip(" ") if self.vocabulary.unit == "word" else prompt

    def init(self, key: Array) -> PyTree:
        """The model's parameters."""
        return self.model.init(key)

    def initial_carry(self, params: PyTree) -> PyTree:
        """The state before the first window."""
        return self.model.initial_state(params, (self.config.data.batch_size,))

    def loss(
        self, params: PyTree, carry: PyTree, batch: Batch | EvaluationBatch, key: Array | None
    ) -> tuple[Array, tuple[PyTree, Sums]]:
        """Cross-entropy of the next symbols, in nats; in training, with a key, the penalties come to it."""
        rows = batch.inputs.shape[0]
        initial = self.model.initial_state(params, (rows,))
        carry = jax.tree.map(lambda new, old: jnp.where(batch.fresh, new, old), initial, carry)
        carry, ys = self.model.features(params, jnp.asarray(batch.inputs), carry, key=key)
        dropped = self.model.drop(ys, key=key)
        targets = jnp.asarray(batch.targets)
        nats = optax.softmax_cross_entropy_with_integer_labels(self.model.scores(params, dropped), targets)
        mask = batch.mask if isinstance(batch, EvaluationBatch) else jnp.ones(nats.shape, bool)
        total, weight = jnp.where(mask, nats, 0.0).sum(), mask.sum().astype(jnp.float32)
        sums = {"loss_nats": (total, weight)}
        if isinstance(self.vocabulary, BytePairs):
            sums["bytes_per_token"] = (jnp.where(mask, jnp.asarray(self.vocabulary.sizes)[targets], 0.0).sum(), weight)
        divisor = weight if self.config.task.loss == "mean" else rows
        loss = total / divisor
        if key is not None and (penalty := self._penalty(ys, dropped)) is not None:
            loss = loss + penalty * weight / divisor
        return loss, (carry, sums)

    def pace(self, batch: Batch) -> float:
        """Where windows differ in length, a short one makes a small step, so that every symbol weighs the same.

        A sum over time makes it small by itself. Merity, Keskar & Socher (2018).
        """
        data = self.config.data
        if not data.variable_window or self.config.task.loss == "sum_over_time":
            return 1.0
        return float(batch.inputs.shape[1] / data.window)

    def _penalty(self, ys: Array, dropped: Array) -> Array | None:
        """AR and TAR of a window's outputs before and after their dropout [batch, time, F]; None without either.

            α mean(dropped²) + β mean((yₜ - yₜ₋₁)²)

        Merity, Keskar & Socher (2018), Regularizing and optimizing LSTM language models.
        """
        table = self.config.task
        if not table.activation_penalty and not table.temporal_penalty:
            return None
        changes = jnp.diff(ys.astype(jnp.float32), axis=1)
        # A window of one step has no changes, and the mean of nothing is not a number.
        change = jnp.square(changes).sum() / max(changes.size, 1)
        activation = jnp.square(dropped.astype(jnp.float32)).mean()
        return table.activation_penalty * activation + table.temporal_penalty * change

    def metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """The loss, and it as bits per character or byte, or perplexity."""
        nats = means["loss_nats"]
        if isinstance(self.vocabulary, BytePairs):
            bits = nats / math.log(2.0) / (means["bytes_per_token"] or 1.0)
            return {"loss_nats": nats, "bits_per_byte": bits, "perplexity": _perplexity(nats)}
        objective = _perplexity(nats) if self.objective == "perplexity" else nats / math.log(2.0)
        return {"loss_nats": nats, self.objective: objective}


def read_symbols(model: LanguageModel, params: PyTree, vocabulary: Vocabulary | BytePairs, ids: np.ndarray) -> Reading:
    """A text as a language model reads it, and what its last symbol costs after all others, in nats.

    Args:
      model: the language model.
      params: as made by its `init`.
      vocabulary: names the symbols.
      ids: int32 [time], two at least.
    """

    def cost(last: PyTree, ys: Array) -> Array:
        del last
        return -jax.nn.log_softmax(model.scores(params, ys[-2]))[ids[-1]]

    return Reading(
        cell=model.cell,
        params=params.cell,
        xs=jnp.take(params.embedding, jnp.asarray(ids), axis=0),
        cost=cost,
        asked="the last symbol",
        unit="symbol",
        names=[vocabulary.symbols[number] for number in ids],
    )


def _perplexity(nats: float) -> float:
    return math.exp(min(nats, 700.0))
