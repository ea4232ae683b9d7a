"""Vectors of words that others have learnt, from a file of text in the format of GloVe."""

import gzip
import itertools
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.cells.base import Array
from seqmodels.data.sources import DataError
from seqmodels.data.text_files import check_exists

_LARGEST: Final = float(np.finfo(np.float32).max)


class WordVectors(NamedTuple):
    """The vectors of those words of a vocabulary that have one.

    Attributes:
      rows: the numbers of these words, int32 [n].
      values: their vectors, float32 [n, E].
    """

    rows: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def into(self, table: Array) -> Array:
        """An embedding [V, E] with these vectors in it; the other rows stay as they were drawn.

        Example:
          >>> import jax.numpy as jnp
          >>> vectors = WordVectors(np.array([1], np.int32), np.array([[7.0, 8.0]], np.float32))
          >>> vectors.into(jnp.zeros((2, 2))).tolist()
          [[0.0, 0.0], [7.0, 8.0]]
        """
        return table.at[self.rows].set(self.values.astype(table.dtype))


def read_vectors(file: str | None, words: Sequence[str], size: int) -> WordVectors:
    """Reads the vectors of words: as they are written, else those of the same words in small letters.

    The embedding is trained on from these vectors. So words that training has not are unknown words in new texts, also
    those that the file has: their vectors would not fit to the others any more.

    A line holds a word and E numbers with blanks between them, as in the files of GloVe, and of fastText, whose first
    line, two whole numbers, is left out. Of a word that is there twice the first vector counts.

    Args:
      file: its path; UTF-8, plain or with `.gz`. None: no word has a vector.
      words: of the vocabulary, by their numbers.
      size: E, which is `model.embedding_size`.

    Raises:
      DataError: if the file is missing, of another form or of another size, or has none of the words.

    References:
      Pennington, Socher & Manning (2014), GloVe: global vectors for word representation.
    """
    if file is None:
        return WordVectors(np.zeros(0, np.int32), np.zeros((0, size), np.float32))
    wanted = {form for word in words for form in _forms(word)}
    found: dict[bytes, list[float]] = {}
    for place, line in _lines(Path(file), size):
        form, *rest = line.split(maxsplit=1)
        if form in wanted and form not in found:
            parts = b"".join(rest).split()
            if len(parts) <= size:  # more of them: another word, with blanks in it, that begins alike
                found[form] = _vector(parts, size, place)
    chosen: dict[int, list[float]] = {}
    for row, word in enumerate(words):
        for form in _forms(word):
            if form in found:
                chosen.setdefault(row, found[form])
    if not chosen:
        raise DataError(
            f"{file}: it has none of the {len(words):,} words of the training text; name vectors of this language with "
            "data.vectors=FILE, or leave it out"
        )
    return WordVectors(np.array(list(chosen), np.int32), np.array(list(chosen.values()), np.float32))


def _forms(word: str) -> tuple[bytes, bytes]:
    """The forms in which a word is looked for, the better one first."""
    return word.encode("utf-8", "surrogatepass"), word.lower().encode("utf-8", "surrogatepass")


def _lines(path: Path, size: int) -> Iterator[tuple[str, bytes]]:
    """The lines of vectors, each with its place; the first one must be of `size` numbers."""
    lines = _read(path)
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path}: there are no vectors in it; each line must be a word and {size} numbers")
    place, line = first
    parts = line.split()[1:]
    there = len(_numbers(parts))
    if there not in (0, size):
        raise DataError(
            f"{place}: a vector of {there} numbers, but model.embedding_size is {size}; set model.embedding_size="
            f"{there}, or name another file with data.vectors=FILE"
        )
    _vector(parts, size, place)
    yield from itertools.chain([first], lines)


def _read(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file, each with its place, but for blank ones and two whole numbers at its head."""
    check_exists(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                head = number == 1 and [part.isdigit() for part in line.split()] == [True, True]
                if line.strip() and not head:
                    yield f"{path}:{number}", line
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _vector(parts: Sequence[bytes], size: int, place: str) -> list[float]:
    """The numbers of a line."""
    numbers = _numbers(parts)
    if len(numbers) != size:
        raise DataError(
            f"{place}: must be a word and {size} numbers with blanks between them; data.vectors must name a whole file "
            "of text, such as GloVe's"
        )
    return numbers


def _numbers(parts: Sequence[bytes]) -> list[float]:
    """The numbers that all parts are, within float32; none if one is something else."""
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return []
    return numbers if all(abs(number) <= _LARGEST for number in numbers) else []
