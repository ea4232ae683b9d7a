"""Files with a word a line and a blank line between sentences: `.conllu`, or two columns."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from seqmodels.data.inputs import Input
from seqmodels.data.sources import DataError
from seqmodels.data.tagged_text import TaggedSentence
from seqmodels.data.words import tokens

_COLUMNS: Final = 10
_FORM, _UPOS = 1, 3
_TAB: Final = "put a tab between the columns, and a blank line between sentences"

ReadLine = Callable[[str, str], tuple[str, str] | None]
"""Word and label of a line, None where it has none to be tagged; it raises DataError with the place that is given."""


def read_conllu(text: str, file: str) -> tuple[TaggedSentence, ...]:
    r"""Words with their universal part of speech (UPOS, the fourth column of ten).

    Words are the syntactic ones: lines of ranges, such as "3-4" for "don't", and of empty nodes, such as "8.1", are
    left out, and so are comments.

    Args:
      text: what stands in the file.
      file: its name, for errors.

    Raises:
      DataError: if a line does not have ten columns, or no word or label.

    Example:
      >>> rest = "\t_" * 6
      >>> text = f"# a comment\n1-2\tdon't\t_\t_{rest}\n1\tdo\tdo\tAUX{rest}\n2\tn't\tnot\tPART{rest}\n"
      >>> read_conllu(text, "a.conllu")
      (TaggedSentence(words=('do', "n't"), labels=('AUX', 'PART'), file='a.conllu', lines=(3, 4)),)

    References:
      Nivre et al. (2020), Universal Dependencies v2: an evergrowing multilingual treebank collection.
    """
    return tuple(_sentences(text.split("\n"), file, _conllu_line))


def read_columns(text: str, file: str) -> tuple[TaggedSentence, ...]:
    r"""Lines of a word, a tab, and its label.

    Args:
      text: what stands in the file.
      file: its name, for errors.

    Raises:
      DataError: if a line does not have two columns, or no word or label.

    Example:
      >>> [sentence.words for sentence in read_columns("a\tX\nb\tY\n\n\nc\tX\n", "a.tsv")]
      [('a', 'b'), ('c',)]
    """
    return tuple(_sentences(text.split("\n"), file, _column_line))


READERS: Final[dict[str, Callable[[str, str], tuple[TaggedSentence, ...]]]] = {
    ".conllu": read_conllu,
    ".tsv": read_columns,
    ".txt": read_columns,
}
"""How a file is read, by the end of its name."""


def read_words(text: str, path: Path) -> tuple[TaggedSentence, ...]:
    """The sentences of a file, read as the end of its name says.

    Args:
      text: what stands in it.
      path: the file.

    Raises:
      DataError: if its name has another end, a line cannot be read, or there is no word in it.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        raise DataError(f"{path}: its name must end in {', '.join(READERS)}")
    sentences = reader(text, str(path))
    if not sentences:
        raise DataError(f"{path}: there are no words in it; each line must be a word, a tab and its label, or CoNLL-U")
    return sentences


def sentences_of(given: Input) -> Iterator[tuple[str, ...]]:
    """The words of new sentences, each as soon as it has been read.

    Args:
      given: of kind ".txt", a sentence a line in plain text, an empty one for a blank line; or ".conllu" or ".tsv", a
        word a line, whose labels are not looked at and may be missing.

    Raises:
      DataError: if a line cannot be read.
    """
    given.refuse((".txt", ".conllu", ".tsv"))
    if given.kind == ".txt":
        for number, line in enumerate(given.lines, start=1):
            yield _plain(line, f"{given.place}:{number}")
        return
    read_line = _conllu_line if given.kind == ".conllu" else _new_line
    for sentence in _sentences(given.lines, given.place, read_line, labelled=False):
        yield sentence.words


def _plain(line: str, place: str) -> tuple[str, ...]:
    """The words of a sentence; a tab would stand between a word and its label, and the label be read as a word."""
    if "\t" in line.lstrip():
        raise DataError(
            f"{place}: a tab behind a word; if it parts a word from its label, say so with --kind tsv; if this is a "
            "sentence, put a blank there"
        )
    return tuple(tokens(line))


def _sentences(
    lines: Iterable[str], file: str, read_line: ReadLine, *, labelled: bool = True
) -> Iterator[TaggedSentence]:
    """The words between blank lines; what has none is no sentence."""
    found: list[tuple[str, str, int]] = []
    for number, line in enumerate(itertools.chain(lines, [""]), start=1):
        if line.strip():
            place = f"{file}:{number}"
            pair = read_line(line, place)
            if pair is not None:
                found.append((*_checked(*pair, place, labelled=labelled), number))
        elif found:
            words, labels, numbers = zip(*found, strict=True)
            yield TaggedSentence(words, labels, file, numbers)
            found = []


def _conllu_line(line: str, place: str) -> tuple[str, str] | None:
    if line.startswith("#"):
        return None
    fields = line.split("\t")
    if len(fields) != _COLUMNS:
        raise DataError(f"{place}: {len(fields)} columns, but a line of CoNLL-U has {_COLUMNS}; {_TAB}")
    if not fields[0].isdecimal():
        if fields[0].replace("-", "").replace(".", "").isdecimal():
            return None
        raise DataError(f"{place}: the first column must be the number of the word (got {fields[0]!r})")
    word, label = fields[_FORM], fields[_UPOS]
    return word, "" if label == "_" else label


def _column_line(line: str, place: str) -> tuple[str, str]:
    fields = line.split("\t")
    if len(fields) != 2:
        columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
        raise DataError(f"{place}: {columns}, but there must be two, the word and its label; {_TAB}")
    word, label = fields
    return word, label


def _new_line(line: str, place: str) -> tuple[str, str]:
    """Word and label of a line that may be a word alone."""
    return _column_line(line, place) if "\t" in line else (line, "")


def _checked(word: str, label: str, place: str, *, labelled: bool) -> tuple[str, str]:
    """Both without blanks around them, neither empty; only `labelled` words need a label."""
    for name, part in (("word", word), ("label", label)):
        if not part.strip() and (labelled or name == "word"):
            raise DataError(f"{place}: there is no {name}; fill it in, or remove the line")
    return word.strip(), label.strip()
