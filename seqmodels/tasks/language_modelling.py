"""Language modelling: predict the next character, byte or word; write text."""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field

from seqmodels.cells.base import Array, PyTree
from seqmodels.config import config
from seqmodels.data.corpora import CORPORA, Corpus, from_file
from seqmodels.data.sources import DataError
from seqmodels.data.streams import Batch, EvaluationBatch, EvaluationStream, TokenStream, batches
from seqmodels.data.vocabulary import UNKNOWN_WORD, Vocabulary
from seqmodels.engines import ENGINES
from seqmodels.models import LanguageModel, Sampling, generate
from seqmodels.models.tables import CellTable, Rate
from seqmodels.tasks.compression import compressed_bits, unigram_nats
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.seeds import make_seeds
from seqmodels.training.tables import Devices, Run, Training
from seqmodels.training.task import Sums

_CUT = "\N{REPLACEMENT CHARACTER}"


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["language_modelling"]
    loss: Annotated[
        Literal["mean", "sum_over_time"],
        Field(description="over the predictions of a window, or summed over time and averaged over the rows"),
    ] = "mean"


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(CORPORA)], Field(description="a known corpus")] = "python_docs"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[str | None, Field(description="a text file of your own; wins over data.name")] = None
    dir: Annotated[str | None, Field(description="folder with the corpus's files; default: download to a cache")] = None
    unit: Annotated[
        Literal["char", "byte", "word"] | None,
        Field(description="what is predicted; default: the corpus's own, char for data.path"),
    ] = None
    vocabulary: Annotated[int | None, Field(ge=3, description="with words: at most so many; default: all")] = None
    batch_size: Annotated[int, Field(ge=1, description="rows of text read side by side")] = 32
    window: Annotated[int, Field(ge=1, description="symbols between two updates: the gradient's reach")] = 64
    shift: Annotated[bool, Field(description="moves the borders of the windows from epoch to epoch")] = True
    eval_batch_size: Annotated[int, Field(ge=1, description="rows in validation and test; 1: one unbroken text")] = 16
    eval_window: Annotated[int, Field(ge=1, description="symbols read at a time in validation and test")] = 256

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere."""
        for key in ("path", "dir"):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, str(Path(value).expanduser().absolute()))


@config
class ModelTable:
    """The table `[model]`."""

    cell: CellTable
    embedding_size: Annotated[int, Field(ge=1)] = 64
    tied: Annotated[bool, Field(description="output weights are the embedding")] = False
    embedding_dropout: Annotated[Rate, Field(description="rate of dropping whole symbols")] = 0.0
    input_dropout: Annotated[Rate, Field(description="rate of dropping features of the embedded inputs")] = 0.0
    output_dropout: Annotated[Rate, Field(description="rate of dropping features of the cell's outputs")] = 0.0
    variational: Annotated[bool, Field(description="one mask for all steps in those two")] = False
    init_range: Annotated[float | None, Field(gt=0, description="draws all parameters from ± this")] = None
    method: Annotated[Literal[("auto", *ENGINES)], Field(description="the engine that runs the cell")] = "auto"  # type: ignore[valid-type]  # mypy wants the names spelled out

    def __post_init__(self) -> None:
        """Checks the combination by building the model once."""
        self.build(2, "float32")

    def build(self, vocabulary_size: int, compute_dtype: str) -> LanguageModel:
        """The model for a vocabulary."""
        return LanguageModel(
            vocabulary_size=vocabulary_size,
            embedding_size=self.embedding_size,
            cell=self.cell.build(),
            tied=self.tied,
            embedding_dropout=self.embedding_dropout,
            input_dropout=self.input_dropout,
            output_dropout=self.output_dropout,
            variational=self.variational,
            init_range=self.init_range,
            method=self.method,
            compute_dtype=compute_dtype,
        )


@config
class SampleTable:
    """The table `[sample]`: the text written at each validation."""

    prompt: Annotated[str, Field(description="what the text goes on from; empty: a line end")] = ""
    length: Annotated[int, Field(ge=0, description="symbols; 0: none is written")] = 300
    temperature: Annotated[float, Field(ge=0)] = 0.8
    top_k: Annotated[int | None, Field(ge=1)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None

    @property
    def sampling(self) -> Sampling:
        """How symbols are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p)


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: DataTable = DataTable()
    model: ModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    sample: SampleTable = SampleTable()
    devices: Devices = Devices()


class TextModel:
    """A language model with its vocabulary: all of the task that needs no corpus.

    Args:
      config: the run's.
      vocabulary: the symbols that the model was trained on.
    """

    measures: ClassVar[Mapping[str, tuple[int, ...]]] = {"loss_nats": ()}
    weight_unit = "tokens"

    def __init__(self, config: Config, vocabulary: Vocabulary) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.model = config.model.build(len(vocabulary), config.training.compute_dtype)
        self.objective = {"char": "bits_per_char", "byte": "bits_per_byte", "word": "perplexity"}[vocabulary.unit]

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "TextModel":
        """From what `extra` put into a checkpoint."""
        return TextModel(config, Vocabulary.from_json(extra["vocabulary"]))

    def write(
        self, params: PyTree, prompt: str, key: Array, *, length: int, sampling: Sampling, rows: int = 1
    ) -> Iterator[list[str]]:
        """Goes on from a prompt.

        Args:
          params: of the model.
          prompt: text of known symbols; empty: a line end.
          key: decides all draws.
          length: symbols to write.
          sampling: how they are drawn.
          rows: texts written side by side.

        Yields:
          What comes next in each text, a few symbols at a time, the prompt left out.

        Raises:
          DataError: if the prompt has characters that the training text had not.
        """
        start = self.prompt_ids(prompt)
        ids = np.tile(start, (rows, 1))
        shown = [len(self.vocabulary.decode(start))] * rows
        for tokens in generate(self.model, params, ids, key, length=length, sampling=sampling):
            ids = np.concatenate([ids, tokens], axis=1)
            texts = [self.vocabulary.decode(row) for row in ids]
            if ids.shape[1] < start.size + length:
                texts = [text.rstrip(_CUT) for text in texts]  # bytes of a character that is still to be finished
            yield [text[begin:] for text, begin in zip(texts, shown, strict=True)]
            shown = [max(len(text), begin) for text, begin in zip(texts, shown, strict=True)]

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
        """Cross-entropy of the next symbols, in nats."""
        rows = batch.inputs.shape[0]
        initial = self.model.initial_state(params, (rows,))
        carry = jax.tree.map(lambda new, old: jnp.where(batch.fresh, new, old), initial, carry)
        carry, logits = self.model.apply(params, jnp.asarray(batch.inputs), carry, key=key)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)
        mask = batch.mask if isinstance(batch, EvaluationBatch) else jnp.ones(nats.shape, bool)
        total, weight = jnp.where(mask, nats, 0.0).sum(), mask.sum().astype(jnp.float32)
        loss = total / (weight if self.config.task.loss == "mean" else rows)
        return loss, (carry, {"loss_nats": (total, weight)})

    def metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """The loss, and it as bits per symbol or perplexity."""
        return {"loss_nats": means["loss_nats"], self.objective: self._from_nats(means["loss_nats"])}

    def _from_nats(self, nats: float) -> float:
        return math.exp(min(nats, 700.0)) if self.objective == "perplexity" else nats / math.log(2.0)


class LanguageModelling(TextModel):
    """The task: a corpus, a recurrent language model, its loss.

    Windows of text follow each other and the recurrent state is carried from one to the next; gradients stop at the
    border (truncated back-propagation through time). At the start of the text the state starts anew.

    Args:
      config: a valid one.

    Raises:
      DataError: if the text cannot be had or used.
    """

    name: ClassVar[str] = "language_modelling"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        data = config.data
        self.corpus = load_corpus(data)
        self.data_name = f"the text of {self.corpus.name}"
        super().__init__(config, _vocabulary(self.corpus, data.vocabulary))
        self._ids = {split: self.vocabulary.encode(getattr(self.corpus, split)) for split in ("train", "valid", "test")}
        self.stream = TokenStream(self._ids["train"], data.batch_size, data.window, shift=data.shift)
        self.prompt_ids(config.sample.prompt)
        for split in ("valid", "test"):
            self._evaluation_stream(split)

    def _evaluation_stream(self, split: str) -> EvaluationStream:
        data = self.config.data
        return EvaluationStream(self._ids[split], data.eval_batch_size, data.eval_window)

    def batches(self, start: int) -> Iterator[Batch]:
        """Windows of the training text from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def evaluation(self, params: PyTree, split: str) -> tuple[PyTree, Iterable[EvaluationBatch]]:
        """Every prediction of a split once."""
        return self.model.initial_state(params, (self.config.data.eval_batch_size,)), self._evaluation_stream(split)

    def sample(self, params: PyTree) -> str | None:
        """A passage, drawn with the run's seed."""
        table = self.config.sample
        if table.length == 0:
            return None
        key = make_seeds(self.config.run.seed).sample
        pieces = self.write(params, table.prompt, key, length=table.length, sampling=table.sampling)
        return self.shown(table.prompt) + "".join(piece for (piece,) in pieces)

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """None."""
        del sums
        return {}

    def baselines(self) -> dict[str, dict[str, float]]:
        """Unigram entropy, and what compressors need that have seen the training text."""
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            nats = unigram_nats(self._ids["train"], self._ids[split], len(self.vocabulary))
            found[f"{split}/{self.objective}"] = {"unigram": self._from_nats(nats)}
            if self.corpus.unit != "word":
                bits = compressed_bits(self.corpus.train, getattr(self.corpus, split), self._ids[split].size)
                found[f"{split}/{self.objective}"] |= bits
        return found

    def extra(self) -> dict[str, Any]:
        """The vocabulary and the fingerprint of the text."""
        return {"vocabulary": self.vocabulary.to_json(), "data_sha256": self.corpus.fingerprint}

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        sizes = ", ".join(f"{self._ids[split].size:,} {split}" for split in ("train", "valid", "test"))
        unit = {"char": "characters", "byte": "bytes", "word": "words"}[self.corpus.unit]
        lines = [
            f"{self.corpus.name}: {sizes} {unit}; {len(self.vocabulary):,} different ones",
            f"{len(self.stream):,} windows an epoch, {self.config.data.batch_size} rows x {self.config.data.window}",
        ]
        if self.corpus.unit == "char" and (unseen := self.vocabulary.unseen(self.corpus.valid + self.corpus.test)):
            lines.append(f"characters of validation and test that training has not are one unknown: {unseen!r}")
        return lines


def load_corpus(data: DataTable) -> Corpus:
    """The text that the table asks for."""
    if data.path is not None:
        return from_file(Path(data.path), data.unit or "char")
    corpus = CORPORA[data.name](None if data.dir is None else Path(data.dir))
    if data.unit is None or data.unit == corpus.unit:
        return corpus
    return Corpus(corpus.name, corpus.train, corpus.valid, corpus.test, data.unit)


def _vocabulary(corpus: Corpus, limit: int | None) -> Vocabulary:
    """The symbols of the training text; of words those met twice, unless the text marks unknown ones itself.

    Raises:
      DataError: if a limit is given for what is not words: figures a character would no longer be comparable.

    Words met once are read as unknown, so that the unknown word, which validation and prompts may hold, is learnt.
    """
    if limit is not None and corpus.unit != "word":
        raise DataError(f"data.vocabulary: a limit is for words, not for data.unit={corpus.unit}; leave it out")
    rare = corpus.unit == "word" and UNKNOWN_WORD not in corpus.train
    return Vocabulary.build(corpus.train, corpus.unit, limit=limit, least=2 if rare else 1)
