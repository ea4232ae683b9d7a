"""The Stanford Sentiment Treebank: parsed sentences in which every span of words has a label.

Socher et al. (2013), Recursive deep models for semantic compositionality over a sentiment treebank.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seqmodels.data.labelled_text import Example, LabelledText
from seqmodels.data.sources import DataError, Source, SourceFile, fetch, read_bytes

_SST_PAGE = "the zip at https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip"

SST = Source(
    name="sst_trees",
    files=(
        SourceFile(
            name="train.txt",
            size=2_160_058,
            sha256="e2f3f41b0b1e6d4dddc0effe3bfc2d27ed8928079aa9a03d652311614fc5feb7",
            urls=(),
            page=_SST_PAGE,
        ),
        SourceFile(
            name="dev.txt",
            size=280_825,
            sha256="0e9336aed6e4730e19f58d00a77b3f0297efdb755f7b5e598c98a05e3f97ea40",
            urls=(),
            page=_SST_PAGE,
        ),
        SourceFile(
            name="test.txt",
            size=559_614,
            sha256="6e54806dee95cf80cd918e7dfb3f6770f6df24bf826f289a4d1f709e1c8f6761",
            urls=(),
            page=_SST_PAGE,
        ),
    ),
    licence="none stated; for research",
    about="Stanford Sentiment Treebank (Socher et al., 2013): 11,855 parsed sentences, every span labelled 0 to 4.",
)

FIVE: Final = {"0": "very negative", "1": "negative", "2": "neutral", "3": "positive", "4": "very positive"}
TWO: Final = {"0": "negative", "1": "negative", "3": "positive", "4": "positive"}
_TOKEN = re.compile(r"\((\d) |(\))|([^ ()]+)")  # a word may hold another blank, as "8 1/2" does
_ESCAPED: Final = {"-LRB-": "(", "-RRB-": ")"}


class Span(NamedTuple):
    """A part of a sentence.

    Attributes:
      label: "0", very negative, to "4", very positive.
      words: as many as the span has.
    """

    label: str
    words: tuple[str, ...]


def read_tree(line: str) -> list[Span]:
    """All spans of one tree, the whole sentence first, each before those within it.

    Raises:
      ValueError: if it is not one whole tree.

    Example:
      >>> for span in read_tree("(3 (2 not) (1 bad))"):
      ...     print(span.label, *span.words)
      3 not bad
      2 not
      1 bad
    """
    spans: list[tuple[str, int, int]] = []
    opened: list[int] = []
    words: list[str] = []
    end = 0
    for match in _TOKEN.finditer(line.strip()):
        label, closing, word = match.groups()
        if not opened and spans:
            raise ValueError("there is more behind its end")
        if label is not None:
            opened.append(len(spans))
            spans.append((label, len(words), 0))
        elif closing is not None:
            if not opened:
                raise ValueError("a bracket is closed that was not opened")
            place = opened.pop()
            spans[place] = (*spans[place][:2], len(words))
        elif not opened:
            raise ValueError("it does not begin with a label in a bracket")
        else:
            words.append(_ESCAPED.get(word, word.replace("\\/", "/")))
        end = match.end()
    if opened or not spans or end < len(line.strip()):
        raise ValueError("a bracket is open at its end" if opened else "it is not a tree")
    return [Span(label, tuple(words[first:last])) for label, first, last in spans]


def sst2(folder: Path | None = None, *, phrases: bool = False) -> LabelledText:
    """Sentences that are negative or positive, neutral ones left out: 6,920 / 872 / 1,821.

    Args:
      folder: where `train.txt`, `dev.txt` and `test.txt` lie (`data.dir`); None means the cache.
      phrases: trains on every different span that is not neutral; validation and test are sentences all the same.

    Raises:
      DataError: if the files are missing or wrong.
    """
    return from_trees("sst2", read_texts(folder), TWO, phrases=phrases)


def sst5(folder: Path | None = None, *, phrases: bool = False) -> LabelledText:
    """Sentences from very negative to very positive in five classes: 8,544 / 1,101 / 2,210.

    Args and errors are those of `sst2`.
    """
    return from_trees("sst5", read_texts(folder), FIVE, phrases=phrases)


def from_trees(name: str, texts: Mapping[str, str], labels: Mapping[str, str], *, phrases: bool) -> LabelledText:
    """Makes a data set of files of trees.

    Args:
      name: of the data set.
      texts: what stands in "train.txt", "dev.txt" and "test.txt", a tree a line.
      labels: the class of each digit; digits that are missing are left out.
      phrases: as for `sst2`.

    Raises:
      DataError: if a line is not a tree.
    """
    trees = {file: read_trees(file, text) for file, text in texts.items()}
    sentences = {file: [(place, spans[0]) for place, spans in found] for file, found in trees.items()}
    train = sentences["train.txt"]
    if phrases:
        places: dict[Span, str] = {}
        for place, spans in trees["train.txt"]:
            for span in spans:
                places.setdefault(span, place)
        train = [(place, span) for span, place in places.items()]
    return LabelledText(
        name,
        tuple(dict.fromkeys(labels.values())),
        _examples(train, labels),
        _examples(sentences["dev.txt"], labels),
        _examples(sentences["test.txt"], labels),
        whole=tuple(" ".join(span.words) for _, span in sentences["train.txt"]) if phrases else (),
    )


def read_texts(folder: Path | None) -> dict[str, str]:
    """What stands in the three files, by their names; the folder is that of `sst2`."""
    paths = fetch(SST, folder)
    return {file.name: read_bytes(paths[file.name]).decode("utf-8") for file in SST.files}


def read_trees(file: str, text: str) -> list[tuple[str, list[Span]]]:
    """The spans of every tree of a file, with the place of its line.

    Raises:
      DataError: if a line is not a tree.
    """
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((f"{file}:{number}", read_tree(line)))
        except ValueError as error:
            raise DataError(f"{file}:{number}: not a labelled tree: {error}; restore the original file") from error
    return found


def _examples(spans: Sequence[tuple[str, Span]], labels: Mapping[str, str]) -> tuple[Example, ...]:
    """Those that have a class."""
    return tuple(
        Example(" ".join(" ".join(span.words).split()), labels[span.label], place)
        for place, span in spans
        if span.label in labels
    )
