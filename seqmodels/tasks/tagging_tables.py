"""The config of tagging, and the data it asks for."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqmodels.config import config, make_whole
from seqmodels.data.lexicon import read_lexicon, vader_in
from seqmodels.data.sources import DataError
from seqmodels.data.tagged_files import from_path
from seqmodels.data.tagged_sets import TAGGED_SETS, tagged_set
from seqmodels.data.tagged_text import TaggedText
from seqmodels.models import Speller, Tagger
from seqmodels.models.encoder_table import EncoderTable
from seqmodels.models.tables import Rate
from seqmodels.training.optimizers import OptimizerConfig
from seqmodels.training.tables import Devices, Run, Training


@config
class TaskTable:
    """The table `[task]`."""

    name: Literal["tagging"]
    objective: Annotated[
        Literal["error_percent", "f1_error_percent"],
        Field(description="what validation chooses by: wrong words, or 100 less macro-F1 in percent"),
    ] = "error_percent"


@config
class DataTable:
    """The table `[data]`."""

    name: Annotated[Literal[tuple(TAGGED_SETS)], Field(description="a known data set")] = "opinion_grammar"  # type: ignore[valid-type]  # mypy wants the names spelled out
    path: Annotated[
        str | None,
        Field(description="your own .conllu file, or .tsv or .txt of words, tabs and labels; wins over data.name"),
    ] = None
    dir: Annotated[str | None, Field(description="folder with the data set's files; default: download to a cache")] = (
        None
    )
    vectors: Annotated[
        str | None,
        Field(description="file of vectors in GloVe's format, to begin the embedding of the words of training with"),
    ] = None
    classes: Annotated[Literal[3, 5] | None, Field(description="of sst_words: 5 unless 3 is said")] = None
    lexicon: Annotated[
        str | None,
        Field(description="file of words, tabs and valences, a baseline; default: VADER's in data.dir or the cache"),
    ] = None
    split_seed: Annotated[int, Field(ge=0, description="decides what is held out of data.path without splits")] = 0
    lowercase: Annotated[bool, Field(description="reads words in small letters; characters stay as they are")] = False
    vocabulary: Annotated[int | None, Field(ge=3, description="at most so many words; default: all")] = None
    least_count: Annotated[int, Field(ge=1, description="words met less often in training are one unknown word")] = 2
    word_length: Annotated[int, Field(ge=2, description="characters; the middle of a longer word is left out")] = 16
    buckets: Annotated[int, Field(ge=1, le=32, description="different widths of batches; each is compiled once")] = 4
    batch_size: Annotated[int, Field(ge=1, description="sentences read side by side")] = 32
    eval_batch_size: Annotated[int, Field(ge=1, description="sentences read side by side in validation and test")] = 64

    def __post_init__(self) -> None:
        """Makes paths whole, so that the config in the run folder means the same from anywhere."""
        make_whole(self, "path", "dir", "vectors", "lexicon")


@config
class ModelTable(EncoderTable):
    """The table `[model]`."""

    unknown_rate: Annotated[Rate, Field(description="rate of reading words as unknown, so that that is learnt")] = 0.0
    characters: Annotated[bool, Field(description="reads the characters of words too, with an LSTM each way")] = False
    character_embedding: Annotated[int, Field(ge=1, description="size of a character's vector")] = 24
    character_size: Annotated[int, Field(ge=1, description="units of each LSTM that reads characters")] = 32
    character_dropout: Annotated[Rate, Field(description="rate of dropping features of embedded characters")] = 0.0

    def __post_init__(self) -> None:
        """Checks the combination by building the model once."""
        self.build(2, 2, 2, "float32")

    def build(self, vocabulary_size: int, alphabet_size: int, classes: int, compute_dtype: str) -> Tagger:
        """The model for a vocabulary of words, one of characters, and a number of classes."""
        speller = Speller(
            alphabet_size=alphabet_size,
            embedding_size=self.character_embedding,
            hidden_size=self.character_size,
            dropout=self.character_dropout,
        )
        return Tagger(
            vocabulary_size=vocabulary_size,
            classes=classes,
            speller=speller if self.characters else None,
            unknown_rate=self.unknown_rate,
            compute_dtype=compute_dtype,
            **self.encoder(),
        )


@config
class SampleTable:
    """The table `[sample]`: what is shown at each validation."""

    sentences: Annotated[int, Field(ge=0, description="of validation, with the labels that were found")] = 3


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


def load_data(data: DataTable) -> TaggedText:
    """The tagged sentences that the table asks for."""
    if data.path is None:
        return tagged_set(data.name, None if data.dir is None else Path(data.dir), classes=data.classes)
    if data.classes is not None:
        raise DataError("data.classes: the labels of data.path say how many there are; leave it out")
    return from_path(Path(data.path), seed=data.split_seed)


def load_lexicon(data: DataTable, text: TaggedText) -> dict[str, float] | None:
    """The lexicon that the table names, else VADER if it lies beside the data or in the cache.

    None: there is none, or it would say nothing of these labels.
    """
    if data.lexicon is not None:
        if not text.ordered:
            raise DataError(
                f"data.lexicon: the labels of {text.name} do not go from bad to good (there: "
                f"{', '.join(map(repr, text.classes))}); leave it out"
            )
        return read_lexicon(Path(data.lexicon))
    if not text.ordered:
        return None
    folders = (None,) if data.dir is None else (Path(data.dir), None)
    found = next(filter(None, map(vader_in, folders)), None)
    return None if found is None else read_lexicon(found)
