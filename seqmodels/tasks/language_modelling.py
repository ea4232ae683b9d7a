"""Language modelling: predict the next character, byte, word or piece of a word; write text."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seqmodels.cells.base import PyTree
from seqmodels.data.bpe import BytePairs
from seqmodels.data.corpora import CORPORA, Corpus, from_file
from seqmodels.data.sources import DataError
from seqmodels.data.streams import Batch, EvaluationBatch, EvaluationStream, TokenStream, batches
from seqmodels.data.vocabulary import UNKNOWN_WORD, Vocabulary
from seqmodels.tasks.compression import compressed_bits, unigram_nats
from seqmodels.tasks.language_tables import Config, DataTable
from seqmodels.tasks.text_model import TextModel, read_symbols
from seqmodels.training.reading import Reading
from seqmodels.training.seeds import make_seeds

_SPLITS = ("train", "valid", "test")
_UNITS = {"char": "characters", "byte": "bytes", "word": "words", "bpe": "pieces of words"}


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
        self._ids = {split: self.vocabulary.encode(getattr(self.corpus, split)) for split in _SPLITS}
        self.stream = TokenStream(
            self._ids["train"], data.batch_size, data.window, shift=data.shift, variable=data.variable_window
        )
        self._check_prompt()
        for split in ("valid", "test"):
            self._evaluation_stream(split)

    def _check_prompt(self) -> None:
        """Refuses a prompt that the model could not read when it is to write a sample."""
        try:
            self.prompt_ids(self.config.sample.prompt)
        except DataError as error:
            raise DataError(f"sample.prompt: {error}") from error

    def _evaluation_stream(self, split: str) -> EvaluationStream:
        data = self.config.data
        return EvaluationStream(self._ids[split], data.eval_batch_size, data.eval_window)

    def batches(self, start: int) -> Iterator[Batch]:
        """Windows of the training text from step `start` on."""
        return batches(self.stream, seed=self.config.run.seed, start=start)

    def origin(self, number: int) -> dict[str, Any]:
        """What the stream says of a batch."""
        return self.stream.origin(number, self.config.run.seed)

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

    def reading(self, params: PyTree, most: int) -> Reading:
        """The beginning of the validation text, `most` symbols of it, and the cost of the last one."""
        return read_symbols(self.model, params, self.vocabulary, self._ids["valid"][:most])

    def baselines(self) -> dict[str, dict[str, float]]:
        """Unigram entropy, and what compressors need that have seen the training text."""
        found: dict[str, dict[str, float]] = {}
        for split in ("valid", "test"):
            ids = self._ids[split]
            size = self._size(ids)
            unigram = {
                "loss_nats": unigram_nats(self._ids["train"], ids, len(self.vocabulary)),
                "bytes_per_token": size / ids.size,
            }
            found[f"{split}/{self.objective}"] = {"unigram": self.metrics(unigram)[self.objective]}
            if self.corpus.unit != "word":
                bits = compressed_bits(self.corpus.train, getattr(self.corpus, split), round(size))
                found[f"{split}/{self.objective}"] |= bits
        return found

    def _size(self, ids: npt.NDArray[np.int32]) -> float:
        """How many of what the objective counts these symbols are."""
        if isinstance(self.vocabulary, BytePairs):
            return float(self.vocabulary.sizes[ids].sum(dtype=np.float64))
        return float(ids.size)

    def extra(self) -> dict[str, Any]:
        """The vocabulary and the fingerprint of the text, of pieces of words with how it is cut."""
        vocabulary, fingerprint = self.vocabulary.to_json(), self.corpus.fingerprint
        if self.vocabulary.unit == "bpe":  # learnt anew each time, by a package that may come to learn it otherwise
            fingerprint = hashlib.sha256(f"{fingerprint}\n{vocabulary}".encode()).hexdigest()
        return {"vocabulary": vocabulary, "data_sha256": fingerprint}

    def describe(self) -> list[str]:
        """What is trained on what, a line each."""
        sizes = ", ".join(f"{self._ids[split].size:,} {split}" for split in _SPLITS)
        windows = ", ".join(map(str, self.stream.windows))
        lines = [
            f"{self.corpus.name}: {sizes} {_UNITS[self.corpus.unit]}; {len(self.vocabulary):,} different ones",
            f"{len(self.stream):,} windows an epoch, {self.config.data.batch_size} rows x {windows}",
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


def _vocabulary(corpus: Corpus, limit: int | None) -> Vocabulary | BytePairs:
    """The symbols of the training text; of words those met twice, unless the text marks unknown ones itself.

    Raises:
      DataError: if a limit is given for characters or bytes: figures a character would no longer be comparable.

    Words met once are read as unknown, so that the unknown word, which validation and prompts may hold, is learnt.
    """
    if corpus.unit == "bpe":
        return BytePairs.build(corpus.train, limit=limit)
    if limit is not None and corpus.unit != "word":
        raise DataError(f"data.vocabulary: a limit is for words, not for data.unit={corpus.unit}; leave it out")
    rare = corpus.unit == "word" and UNKNOWN_WORD not in corpus.train
    return Vocabulary.build(corpus.train, corpus.unit, limit=limit, least=2 if rare else 1)
