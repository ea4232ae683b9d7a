"""The known data sets for tagging, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from seqmodels.data.opinion_grammar import opinion_grammar
from seqmodels.data.sources import DataError
from seqmodels.data.sst_words import sst_words
from seqmodels.data.tagged_text import TaggedText
from seqmodels.data.ud_english import ud_english_ewt

TAGGED_SETS: Final[dict[str, Callable[[Path | None], TaggedText]]] = {
    "opinion_grammar": opinion_grammar,
    "sst_words": sst_words,
    "ud_english_ewt": ud_english_ewt,
}


def tagged_set(name: str, folder: Path | None, *, classes: int | None) -> TaggedText:
    """The data set of a name.

    Args:
      name: one of `TAGGED_SETS`.
      folder: where its files lie (`data.dir`); None means the cache, filled by download where that can be.
      classes: how many, where the data set leaves a choice; None: its own.

    Raises:
      DataError: if the data are missing or wrong, or leave no choice.
    """
    if classes is None:
        return TAGGED_SETS[name](folder)
    if name != "sst_words":
        raise DataError(f"data.classes: {name} leaves no choice; leave it out, or take sst_words")
    return sst_words(folder, classes=classes)
