"""Text classification: the class of a whole text, such as the sentiment of a sentence."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from pydantic import Field

from seqmodels.cells.base import Array, PyTree
from seqmodels.config import config, make_whole
from seqmodels.data.buckets import BucketStream, EvaluationBuckets, LabelledBatch, Numbered, bucket_widths, width_of
from seqmodels.data.inputs import Input, texts_of
from seqmodels.data.labelled_files import Columns, from_path
from seqmodels.data.labelled_sets import LABELLED_SETS, labelled_set
from seqmodels.data.labelled_text import LabelledText
from seqmodels.data.sources import DataError
from seqmodels.data.streams import batches
from seqmodels.data.vectors import read_vectors
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.data.words import split_words
from seqmodels.layers import POOLINGS
from seqmodels.models import Classifier
from seqmodels.models.encoder_table import EncoderTable
from seqmodels.tasks.bag_of_words import Bags, fit
from seqmodels.tasks.confusion import Confusion
from seqmodels.training.groups import batched
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.reading import Reading, longest
from seqmodels.training.tables import Devices, Run, Training
from seqmodels.training.task import Sums

_SPLITS = ("train", "valid", "test")


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["classification"]


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(LABELLED_SETS)], Field(description="a known data set")] = "sentiment_grammar"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[
        str | None,
        Field(description="your own .csv, .tsv or .jsonl file, or a folder with a folder a class; wins over data.name"),
    ] = None
    dir: Annotated[str | None, Field(description="folder with the data set's files; default: download to a cache")] = (
        None
    )
    vectors: Annotated[
        str | None,
        Field(description="file of vectors in GloVe's format, to begin the embedding of the words of training with"),
    ] = None
    text_column: Annotated[str, Field(min_length=1, description="of data.path: the column of the texts")] = "text"
    label_column: Annotated[str, Field(min_length=1, description="of data.path: the column of the labels")] = "label"
    split_seed: Annotated[int, Field(ge=0, description="decides what is held out of data.path without splits")] = 0
    phrases: Annotated[bool, Field(description="trains on the labelled parts of sentences too (sst2, sst5)")] = False
    unit: Annotated[Literal["char", "byte", "word"], Field(description="what a text is read as")] = "word"
    vocabulary: Annotated[int | None, Field(ge=3, description="at most so many symbols; default: all")] = None
    least_count: Annotated[int, Field(ge=1, description="words met less often in training are one unknown word")] = 2
    max_length: Annotated[int | None, Field(ge=1, description="symbols of a text; the rest is cut off")] = None
    cut: Annotated[Literal["end", "start"], Field(description="where a text that is too long is cut off")] = "end"
    buckets: Annotated[int, Field(ge=1, le=32, description="different widths of batches; each is compiled once")] = 4
    batch_size: Annotated[int, Field(ge=1, description="texts read side by side")] = 32
    eval_batch_size: Annotated[int, Field(ge=1, description="texts read side by side in validation and test")] = 64

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere."""
        make_whole(self, "path", "dir", "vectors")
        if self.vectors is not None and self.unit != "word":
            raise ValueError(f"vectors are of words, but unit is {self.unit}; leave vectors out, or set unit=word")


@config
class ModelTable(EncoderTable):
    """The table `[model]`."""

    pooling: Annotated[Literal[tuple(POOLINGS)], Field(description="how the outputs become one vector")] = "last"  # type: ignore[valid-type]  # mypy wants the names spelled out

    def __post_init__(self) -> None:
        """Checks the combination by building the model once."""
        self.build(2, 2, "float32")

    def build(self, vocabulary_size: int, classes: int, compute_dtype: str) -> Classifier:
        """The model for a vocabulary and a number of classes."""
        return Classifier(
            vocabulary_size=vocabulary_size,
            classes=classes,
            pooling=self.pooling,
            compute_dtype=compute_dtype,
            **self.encoder(),
        )


@config
class Config:
    """A whole config of this task."""

    task: TaskTable
    run: Run = Run()
    data: DataTable = DataTable()
    model: ModelTable
    optimizer: OptimizerConfig
    training: Training = Training()
    devices: Devices = Devices()


class TextClassifier:
    """A classifier with its vocabulary and classes: all of the task that needs no data.

    Args:
      config: the run's.
      vocabulary: the symbols that the model was trained on.
      classes: the names of the classes, in the model's order.
    """

    weight_unit = "examples"
    objective = "error_percent"

    def __init__(self, config: Config, vocabulary: Vocabulary, classes: tuple[str, ...]) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.classes = classes
        self.model = config.model.build(len(vocabulary), len(classes), config.training.compute_dtype)
        self._probabilities = jax.jit(lambda params, ids, lengths: jax.nn.softmax(self._logits(params, ids, lengths)))

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "TextClassifier":
        """From what `extra` put into a checkpoint."""
        return TextClassifier(config, Vocabulary.from_json(extra["vocabulary"]), tuple(extra["classes"]))

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """The loss, and counts of true classes, in rows, by found classes, in columns."""
        return {"loss_nats": (), "confusion": (len(self.classes), len(self.classes))}

    def encode(self, text: str) -> np.ndarray:
        """The symbols of a text, int32 [length], none of an empty one."""
        data = self.config.data
        ids = self.vocabulary.encode(_normal(text, data.unit))
        if data.max_length is None:
            return ids
        return ids[: data.max_length] if data.cut == "end" else ids[-data.max_length :]

    @property
    def columns(self) -> tuple[str, ...]:
        """The text, its class, and the probability of each."""
        return "text", "label", *(f"probabilities.{name}" for name in self.classes)

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """The class of each text, and the probabilities of all; see `seqmodels.tasks.predictor.Predictor`.

        Texts are lines of a .txt file, or stand in the column `data.text_column` of a .csv, .tsv or .jsonl file.
        """
        for group in batched(texts_of(given, self.config.data.text_column), rows):
            read = [self.encode(text) for text in group]
            numbered = Numbered(read, np.zeros(len(read), np.int32))
            batch = numbered.batch(np.arange(len(read)), rows, width_of(numbered.lengths))
            shares = np.asarray(self._probabilities(params, batch.tokens, batch.lengths))
            for text, share in zip(group, shares, strict=False):  # the batch is filled up
                probabilities = dict(zip(self.classes, map(float, share), strict=True))
                yield {"text": text, "label": self.classes[share.argmax()], "probabilities": probabilities}

    def init(self, key: Array) -> PyTree:
        """The model's parameters."""
        return self.model.init(key)

    def initial_carry(self, params: PyTree) -> None:
        """None: no text goes on from another one."""

    def loss(
        self, params: PyTree, carry: None, batch: LabelledBatch, key: Array | None
    ) -> tuple[Array, tuple[None, Sums]]:
        """Cross-entropy of the classes, in nats."""
        lengths, labels = jnp.asarray(batch.lengths), jnp.asarray(batch.labels)
        logits = self._logits(params, batch.tokens, lengths, key)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        counted = jnp.asarray(batch.mask).astype(jnp.float32)
        total, weight = (nats * counted).sum(), counted.sum()
        confusion = jnp.zeros(self.measures["confusion"]).at[labels, jnp.argmax(logits, axis=-1)].add(counted)
        return total / weight, (carry, {"loss_nats": (total, weight), "confusion": (confusion, weight)})

    def _logits(self, params: PyTree, tokens: ArrayLike, lengths: ArrayLike, key: Array | None = None) -> Array:
        """Scores [B, classes] of texts [B, T]."""
        return self.model.apply(params, jnp.asarray(tokens), lengths=jnp.asarray(lengths), key=key)[1]

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The loss, accuracy, macro-F1, and the share of errors."""
        return {"loss_nats": means["loss_nats"], **Confusion(means["confusion"], self.classes).metrics()}

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """The confusion matrix."""
        return {"confusion": Confusion(np.asarray(sums["confusion"][0]), self.classes)}


class Classification(TextClassifier):
    """The task: labelled texts, a recurrent classifier, its loss.

    Validation chooses by the share of errors: a classifier that grows too sure of itself may go on to gain there while
    its loss rises.

    Args:
      config: a valid one.

    Raises:
      DataError: if the data cannot be had or used.
    """

    name: ClassVar[str] = "classification"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        data = config.data
        self.data = load_data(data)
        self.data_name = f"the text of {self.data.name}"
        super().__init__(config, _vocabulary(self.data, data), self.data.classes)
        self._splits = {split: self._numbered(split) for split in _SPLITS}
        lengths = np.concatenate([examples.lengths for examples in self._splits.values()])
        self.widths = bucket_widths(lengths, data.buckets)
        self.stream = BucketStream(
            self._splits["train"], self.widths, data.batch_size, group=config.training.accumulate
        )
        self._vectors = read_vectors(data.vectors, self.vocabulary.symbols, config.model.embedding_size)

    def init(self, key: Array) -> PyTree:
        """The model's parameters, with the vectors of words that `data.vectors` has."""
        params = super().init(key)
        return params._replace(embedding=self._vectors.into(params.embedding))

    def _numbered(self, split: str) -> Numbered:
        return Numbered([self.encode(example.text) for example in self.data.split(split)], self.data.numbers(split))

    def batches(self, start: int) -> Iterator[LabelledBatch]:
        """Training texts of similar lengths from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def origin(self, number: int) -> dict[str, Any]:
        """What the stream says of a batch, and where the texts stand."""
        found = self.stream.origin(number, self.config.run.seed)
        return {**found, "places": [self.data.train[row].place for row in found["examples"]]}

    def evaluation(self, params: PyTree, split: str) -> tuple[None, Iterable[LabelledBatch]]:
        """Every text of a split once."""
        del params
        return None, EvaluationBuckets(self._splits[split], self.widths, self.config.data.eval_batch_size)

    def sample(self, params: PyTree) -> None:
        """None: it writes no text."""

    def reading(self, params: PyTree, most: int) -> Reading:
        """A text of validation, and the cost of its class in nats."""
        texts, labels = self._splits["valid"]
        row = longest(self._splits["valid"].lengths, most)

        def cost(last: PyTree, ys: Array) -> Array:
            del last
            return -jax.nn.log_softmax(self.model.scores(params, ys[None])[0])[labels[row]]

        return Reading(
            cell=self.model.cell,
            params=params.cell,
            xs=jnp.take(params.embedding, jnp.asarray(texts[row]), axis=0),
            cost=cost,
            asked=f"the class of text {row + 1:,} of validation",
            unit={"char": "character", "byte": "byte", "word": "word"}[self.config.data.unit],
            names=[self.vocabulary.symbols[number] for number in texts[row]],
        )

    def baselines(self) -> dict[str, dict[str, float]]:
        """The most frequent class, and a logistic regression on the words without their order."""
        train = self._splits["train"]
        majority = np.bincount(train.labels).argmax().astype(np.int32)
        bags = fit(Bags.of(train.texts), train.labels, vocabulary_size=len(self.vocabulary), classes=len(self.classes))
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            texts, labels = self._splits[split]
            methods = {"majority": np.full(len(labels), majority), "bag of words": bags.classes(Bags.of(texts))}
            for method, classes in methods.items():
                for metric, value in Confusion.of(labels, classes, self.classes).metrics().items():
                    found.setdefault(f"{split}/{metric}", {})[method] = value
        return found

    def extra(self) -> dict[str, Any]:
        """The vocabulary, the classes and the fingerprint of the data."""
        return {
            "vocabulary": self.vocabulary.to_json(),
            "classes": list(self.classes),
            "data_sha256": self.data.fingerprint,
        }

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        sizes = ", ".join(f"{len(self._splits[split].texts):,} {split}" for split in _SPLITS)
        unit = {"char": "characters", "byte": "bytes", "word": "words"}[self.config.data.unit]
        widths = ", ".join(map(str, self.widths))
        lines = [
            f"{self.data.name}: {sizes} texts; {len(self.vocabulary):,} different {unit}",
            f"{len(self.classes)} classes: {', '.join(self.classes)}",
            f"{len(self.stream):,} batches an epoch, {self.config.data.batch_size} texts, {widths} {unit} wide",
        ]
        if self.config.data.vectors is not None:
            lines.append(f"vectors of {len(self._vectors.rows):,} words from {self.config.data.vectors}")
        if empty := sum(int((examples.lengths == 0).sum()) for examples in self._splits.values()):
            lines.append(f"{empty:,} texts are empty")
        return lines


def load_data(data: DataTable) -> LabelledText:
    """The labelled texts that the table asks for."""
    if data.path is None:
        return labelled_set(data.name, None if data.dir is None else Path(data.dir), phrases=data.phrases)
    if data.phrases:
        raise DataError("data.phrases: data.path has none; leave it out")
    return from_path(Path(data.path), Columns(data.text_column, data.label_column), seed=data.split_seed)


def _vocabulary(labelled: LabelledText, data: DataTable) -> Vocabulary:
    """The symbols of the training texts; rare words are read as unknown, so that the unknown word is learnt."""
    texts = labelled.whole or [example.text for example in labelled.train]
    least = data.least_count if data.unit == "word" else 1
    return Vocabulary.build(
        " ".join(_normal(text, data.unit) for text in texts), data.unit, limit=data.vocabulary, least=least
    )


def _normal(text: str, unit: str) -> str:
    """A text as the vocabulary reads it."""
    return split_words(text) if unit == "word" else text
