"""Lexicons of sentiment: how good or bad a word is, whatever stands around it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from seqmodels.data.sources import DataError, Source, SourceFile, cache_folder, fetch, is_there
from seqmodels.data.text_files import read_text

VADER: Final = Source(
    name="lexicons",
    files=(
        SourceFile(
            name="vader_lexicon.txt",
            size=426_786,
            sha256="ec636f884f36b5de6a4d681b2f61c08c2ec90eeb440472033f3307d0d6fa8bc9",
            urls=(),
            page="the package vaderSentiment on PyPI",
        ),
    ),
    licence="MIT",
    about="VADER (Hutto & Gilbert, 2014): 7,520 words and emoticons, rated by people from -4 to 4.",
)


def read_lexicon(path: Path) -> dict[str, float]:
    r"""The valence of each word of a file: lines of a word, a tab, a number, and whatever else behind another tab.

    Args:
      path: such as `vader_lexicon.txt`, or AFINN's.

    Raises:
      DataError: if the file is missing or empty, or a line is not of this form.
    """
    found: dict[str, float] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        word, *rest = line.split("\t")
        try:
            valence = float(rest[0])
        except (IndexError, ValueError):
            valence = math.nan
        if not math.isfinite(valence):
            raise DataError(f"{path}:{number}: must be a word, a tab and a number (got {line[:40]!r})")
        found[word] = valence
    if not found:
        raise DataError(f"{path}: there are no words in it; name a lexicon with data.lexicon=FILE, or leave it out")
    return found


def vader_in(folder: Path | None) -> Path | None:
    """The lexicon VADER, if a file of its name is in a folder of data sets; None means the cache.

    Raises:
      DataError: if that file is another one.
    """
    place = cache_folder() if folder is None else folder  # named, so that nothing is downloaded
    return fetch(VADER, place)[VADER.files[0].name] if is_there(VADER, place) else None


def how_to_have_vader() -> str:
    """Where the lexicon VADER comes from, and where it is looked for."""
    (file,) = VADER.files
    return f"put {file.name} ({file.page}) into data.dir or {cache_folder()}"


def valences(lexicon: Mapping[str, float], words: Sequence[str]) -> npt.NDArray[np.float64]:
    """Those of words as they are written, else in small letters, else 0; float64 [n].

    Example:
      >>> valences({"good": 1.9, ":D": 2.3}, ["Good", ":D", "film"]).tolist()
      [1.9, 2.3, 0.0]
    """
    found = (lexicon.get(word, lexicon.get(word.lower(), 0.0)) for word in words)
    return np.fromiter(found, np.float64, len(words))
