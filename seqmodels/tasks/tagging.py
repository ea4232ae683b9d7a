"""Tagging: a label for each word, such as its part of speech, or the sentiment of what it names."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqmodels.cells.base import Array, PyTree
from seqmodels.data.buckets import BucketStream, EvaluationBuckets, bucket_widths, width_of
from seqmodels.data.inputs import Input
from seqmodels.data.lexicon import how_to_have_vader, valences
from seqmodels.data.streams import batches
from seqmodels.data.tagged_batches import Ids, Spelling, TaggedBatch, TaggedNumbers
from seqmodels.data.vectors import read_vectors
from seqmodels.data.vocabulary import Vocabulary
from seqmodels.data.word_lines import sentences_of
from seqmodels.layers import Bidirectional
from seqmodels.tasks.confusion import Confusion
from seqmodels.tasks.tagged_view import TaggedView
from seqmodels.tasks.tagging_tables import Config, DataTable, load_data, load_lexicon
from seqmodels.tasks.word_baselines import Lookup, Valences
from seqmodels.training.groups import batched
from seqmodels.training.reading import Reading, longest
from seqmodels.training.task import Sums

_SPLITS = ("train", "valid", "test")


class WordTagger:
    """A tagger with its vocabularies and classes: all of the task that needs no data.

    Args:
      config: the run's.
      vocabulary: the words that the model was trained on.
      alphabet: their characters.
      classes: the names of the classes, in the model's order.
    """

    weight_unit = "words"

    def __init__(self, config: Config, vocabulary: Vocabulary, alphabet: Vocabulary, classes: tuple[str, ...]) -> None:
        self.config = config
        self.vocabulary = vocabulary
        self.alphabet = alphabet
        self.classes = classes
        self.objective = config.task.objective
        self.model = config.model.build(len(vocabulary), len(alphabet), len(classes), config.training.compute_dtype)
        self._logits = jax.jit(self._scores)

    @staticmethod
    def restore(config: Config, extra: Mapping[str, Any]) -> "WordTagger":
        """From what `extra` put into a checkpoint."""
        words, characters = (Vocabulary.from_json(extra[name]) for name in ("vocabulary", "alphabet"))
        return WordTagger(config, words, characters, tuple(extra["classes"]))

    @property
    def measures(self) -> dict[str, tuple[int, ...]]:
        """The loss, and counts of true classes, in rows, by found classes, in columns."""
        return {"loss_nats": (), "confusion": (len(self.classes), len(self.classes))}

    def form(self, word: str) -> str:
        """A word as the model's embedding reads it: one symbol, without blanks."""
        return _form(word, self.config.data)

    def number(self, sentences: Sequence[Sequence[str]], labels: Sequence[Sequence[int]]) -> TaggedNumbers:
        """Sentences, and the classes of their words, as numbers."""
        forms = [np.zeros(len(words), np.int32) for words in sentences]
        spelling = None
        if self.model.speller is not None:
            words = itertools.chain([""], *sentences)  # the first one is for padding: a sentence may have no words
            rows = {word: row for row, word in enumerate(dict.fromkeys(words))}
            forms = [np.array([rows[word] for word in sentence], np.int32) for sentence in sentences]
            spelling = Spelling.of([self.alphabet.encode(word) for word in rows], self.config.data.word_length)
        return TaggedNumbers(
            texts=[self.vocabulary.encode(" ".join(map(self.form, words))) for words in sentences],
            labels=[np.array(row, np.int32) for row in labels],
            forms=forms,
            spelling=spelling,
        )

    def tag(self, params: PyTree, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The label of each word.

        Args:
          params: of the model.
          sentences: words of each, one sentence at least; a sentence may be empty.
        """
        numbers = self.number(sentences, [[0] * len(words) for words in sentences])
        batch = numbers.batch(np.arange(len(sentences)), len(sentences), width_of(numbers.lengths))
        found = np.asarray(self._logits(params, batch, None)).argmax(axis=-1)
        return [
            [self.classes[place] for place in row[: len(words)]] for row, words in zip(found, sentences, strict=True)
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """Words and labels."""
        return "words", "labels"

    def predict(self, params: PyTree, given: Input, *, rows: int) -> Iterator[dict[str, Any]]:
        """The label of each word; see `seqmodels.tasks.predictor.Predictor`.

        Sentences are lines of a .txt file, which are taken apart into words, a blank one into none; or they stand in a
        .conllu file or in a .tsv file of words, whose labels are not looked at and may be missing.
        """
        for group in batched(sentences_of(given), rows):
            for words, labels in zip(group, self.tag(params, group), strict=True):
                yield {"words": list(words), "labels": labels}

    def init(self, key: Array) -> PyTree:
        """The model's parameters."""
        return self.model.init(key)

    def initial_carry(self, params: PyTree) -> None:
        """None: no sentence goes on from another one."""

    def loss(
        self, params: PyTree, carry: None, batch: TaggedBatch, key: Array | None
    ) -> tuple[Array, tuple[None, Sums]]:
        """Cross-entropy of the classes, in nats a word."""
        labels = jnp.asarray(batch.labels)
        logits = self._scores(params, batch, key)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        places = jnp.arange(labels.shape[1], dtype=jnp.int32)
        counted = (places < jnp.asarray(batch.lengths)[:, None]).astype(jnp.float32)
        total, weight = (nats * counted).sum(), counted.sum()
        confusion = jnp.zeros(self.measures["confusion"]).at[labels, jnp.argmax(logits, axis=-1)].add(counted)
        return total / weight, (carry, {"loss_nats": (total, weight), "confusion": (confusion, weight)})

    def metrics(self, means: Mapping[str, Any]) -> dict[str, float]:
        """The loss, accuracy, macro-F1, the share of errors, and what macro-F1 lacks of 100%."""
        return {"loss_nats": means["loss_nats"], **_metrics(Confusion(means["confusion"], self.classes))}

    def pictures(self, sums: Mapping[str, Any]) -> Mapping[str, Any]:
        """The confusion matrix."""
        return {"confusion": Confusion(np.asarray(sums["confusion"][0]), self.classes)}

    def _scores(self, params: PyTree, batch: TaggedBatch, key: Array | None) -> Array:
        """[B, T, K]."""
        tokens, lengths = jnp.asarray(batch.tokens), jnp.asarray(batch.lengths)
        return self.model.apply(params, tokens, characters=_characters(batch), lengths=lengths, key=key)[1]


class Tagging(WordTagger):
    """The task: sentences with a label for each word, a recurrent tagger, its loss.

    Args:
      config: a valid one.

    Raises:
      DataError: if the data cannot be had or used.
    """

    name: ClassVar[str] = "tagging"
    schema: ClassVar[type[Any]] = Config

    def __init__(self, config: Config) -> None:
        data = config.data
        self.data = load_data(data)
        self.data_name = f"the tagged text of {self.data.name}"
        words = [word for sentence in self.data.train for word in sentence.words]
        super().__init__(config, _vocabulary(words, data), Vocabulary.build("".join(words), "char"), self.data.classes)
        self._splits = {split: self._numbered(split) for split in _SPLITS}
        lengths = np.concatenate([sentences.lengths for sentences in self._splits.values()])
        self.widths = bucket_widths(lengths, data.buckets)
        self.stream = BucketStream(
            self._splits["train"], self.widths, data.batch_size, group=config.training.accumulate
        )
        self._lexicon = load_lexicon(data, self.data)
        self._vectors = read_vectors(data.vectors, self.vocabulary.symbols, config.model.embedding_size)

    def init(self, key: Array) -> PyTree:
        """The model's parameters, with the vectors of words that `data.vectors` has."""
        params = super().init(key)
        return params._replace(embedding=self._vectors.into(params.embedding))

    def batches(self, start: int) -> Iterator[TaggedBatch]:
        """Training sentences of similar lengths from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def origin(self, number: int) -> dict[str, Any]:
        """What the stream says of a batch."""
        return self.stream.origin(number, self.config.run.seed)

    def evaluation(self, params: PyTree, split: str) -> tuple[None, Iterable[TaggedBatch]]:
        """Every word of a split once."""
        del params
        return None, EvaluationBuckets(self._splits[split], self.widths, self.config.data.eval_batch_size)

    def sample(self, params: PyTree) -> str | None:
        """The first sentences of validation with their labels; where most words have one and the same, without it."""
        sentences = self.data.valid[: self.config.sample.sentences]
        if not sentences:
            return None
        found = self.tag(params, [sentence.words for sentence in sentences])
        counts = np.bincount(np.concatenate(self._splits["train"].labels))
        plain = self.classes[counts.argmax()] if 2 * counts.max() > counts.sum() else None
        return "\n".join(
            TaggedView(sentence.words, labels, sentence.labels).text(plain=plain)
            for sentence, labels in zip(sentences, found, strict=True)
        )

    def reading(self, params: PyTree, most: int) -> Reading:
        """A sentence of validation, and the cost of one word's label in nats.

        Of the words whose label is not the one that is most frequent, it is the last; in two directions the one nearest
        to the middle, which looks back and ahead.
        """
        sentences = self._splits["valid"]
        row = longest(sentences.lengths, most)
        steps = int(sentences.lengths[row])
        batch = sentences.batch(np.array([row]), 1, steps)
        both = isinstance(self.model.cell, Bidirectional)
        place = self._asked(batch.labels[0], steps // 2 if both else steps - 1)
        words = self.data.valid[row].words

        def cost(last: PyTree, ys: Array) -> Array:
            del last
            return -jax.nn.log_softmax(self.model.scores(params, ys[place]))[batch.labels[0, place]]

        vectors = self.model.vectors(params, jnp.asarray(batch.tokens), _characters(batch))
        return Reading(
            cell=self.model.cell,
            params=params.cell,
            xs=vectors[0].astype(jnp.float32),
            cost=cost,
            asked=f'the label of word {place + 1:,}, "{words[place]}", in sentence {row + 1:,} of validation',
            unit="word",
            names=words,
        )

    def baselines(self) -> dict[str, dict[str, float]]:
        """What can be told of each word alone.

        The most frequent class; the most frequent class of each word in training; and the valence of each word in a
        lexicon, with borders between the classes that are best for macro-F1 on the training words.
        """
        words, labels = self._words("train")
        lookup = Lookup.of(map(self.form, words), labels.tolist())
        methods: dict[str, Callable[[Sequence[str]], Ids]] = {
            "majority": lambda words: np.full(len(words), lookup.majority, np.int32),
            "lookup": lambda words: lookup.of_words([self.form(word) for word in words]),
        }
        if self._lexicon is not None:
            read = functools.partial(valences, self._lexicon)
            borders = Valences.fit(read(words), labels, len(self.classes))
            methods["lexicon"] = lambda words: borders.of_valences(read(words))
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            words, labels = self._words(split)
            for method, classes_of in methods.items():
                confusion = Confusion.of(labels, classes_of(words), self.classes)
                for metric, value in _metrics(confusion).items():
                    found.setdefault(f"{split}/{metric}", {})[method] = value
        return found

    def extra(self) -> dict[str, Any]:
        """The vocabularies, the classes and the fingerprint of the data."""
        return {
            "vocabulary": self.vocabulary.to_json(),
            "alphabet": self.alphabet.to_json(),
            "classes": list(self.classes),
            "data_sha256": self.data.fingerprint,
        }

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        sizes = ", ".join(f"{len(self._splits[split].texts):,} {split}" for split in _SPLITS)
        counts = ", ".join(f"{int(self._splits[split].lengths.sum()):,}" for split in _SPLITS)
        widths = ", ".join(map(str, self.widths))
        known = f"{len(self.vocabulary):,} different ones known"
        if self.model.speller is not None:
            known += f", read by {len(self.alphabet):,} characters too"
        lines = [
            f"{self.data.name}: {sizes} sentences; {counts} words; {known}",
            f"{len(self.classes)} classes: {', '.join(self.classes)}",
            f"{len(self.stream):,} batches an epoch, {self.config.data.batch_size} sentences, {widths} words wide",
        ]
        if self.config.data.vectors is not None:
            lines.append(f"vectors of {len(self._vectors.rows):,} words from {self.config.data.vectors}")
        if self._lexicon is not None:
            lines.append(f"a lexicon of {len(self._lexicon):,} words for comparison")
        elif self.data.ordered:
            lines.append(f"no lexicon for comparison; {how_to_have_vader()}, or name another with data.lexicon=FILE")
        return lines

    def _numbered(self, split: str) -> TaggedNumbers:
        number = {label: place for place, label in enumerate(self.classes)}
        sentences = self.data.split(split)
        return self.number([s.words for s in sentences], [[number[label] for label in s.labels] for s in sentences])

    def _asked(self, labels: Ids, wanted: int) -> int:
        """The place nearest to one that is wanted whose label says something."""
        frequent = np.bincount(np.concatenate(self._splits["train"].labels)).argmax()
        places = np.flatnonzero(labels != frequent)
        return int(places[np.abs(places - wanted).argmin()]) if places.size else wanted

    def _words(self, split: str) -> tuple[list[str], Ids]:
        """All words of a split, and their classes."""
        words = [word for sentence in self.data.split(split) for word in sentence.words]
        return words, np.concatenate(self._splits[split].labels)


def _characters(batch: TaggedBatch) -> tuple[Array, Array] | None:
    """The characters of each word, and how many."""
    if batch.characters is None or batch.character_lengths is None:
        return None
    return jnp.asarray(batch.characters), jnp.asarray(batch.character_lengths)


def _vocabulary(words: Iterable[str], data: DataTable) -> Vocabulary:
    """The training words; rare ones are read as unknown, so that the unknown word is learnt."""
    forms = " ".join(_form(word, data) for word in words)
    return Vocabulary.build(forms, "word", limit=data.vocabulary, least=data.least_count)


def _form(word: str, data: DataTable) -> str:
    joined = "_".join(word.split()) or "_"
    return joined.lower() if data.lowercase else joined


def _metrics(confusion: Confusion) -> dict[str, float]:
    return {**confusion.metrics(), "f1_error_percent": 100.0 * (1.0 - confusion.macro_f1)}
