"""The known data sets for text classification, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from seqmodels.data.imdb import imdb
from seqmodels.data.labelled_text import LabelledText
from seqmodels.data.sentiment_grammar import sentiment_grammar
from seqmodels.data.sources import DataError
from seqmodels.data.sst import sst2, sst5

LABELLED_SETS: Final[dict[str, Callable[[Path | None], LabelledText]]] = {
    "sentiment_grammar": sentiment_grammar,
    "sst2": sst2,
    "sst5": sst5,
    "imdb": imdb,
}

WITH_PHRASES: Final = {"sst2": sst2, "sst5": sst5}


def labelled_set(name: str, folder: Path | None, *, phrases: bool) -> LabelledText:
    """The data set of a name.

    Args:
      name: one of `LABELLED_SETS`.
      folder: where its files lie (`data.dir`); None means the cache, filled by download where that can be.
      phrases: trains on the labelled parts of sentences too, where the data set has them.

    Raises:
      DataError: if the data are missing or wrong, or have no phrases.
    """
    if not phrases:
        return LABELLED_SETS[name](folder)
    if name not in WITH_PHRASES:
        raise DataError(f"data.phrases: {name} has none; leave it out, or take one of {', '.join(WITH_PHRASES)}")
    return WITH_PHRASES[name](folder, phrases=True)
