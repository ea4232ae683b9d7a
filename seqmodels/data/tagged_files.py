"""The user's own tagged sentences: `.conllu` files or files of two columns."""

from pathlib import Path
from typing import Final

from seqmodels.data.sources import DataError
from seqmodels.data.tagged_text import TaggedSentence, TaggedText, hold_out_sentences, labels_of
from seqmodels.data.text_files import check_exists, places_of_splits, read_text
from seqmodels.data.word_lines import READERS, read_words

_HELD_OUT: Final = 0.1
_FROM_BAD_TO_GOOD: Final = ("negative", "neutral", "positive")
"""Labels whose sorted order, or that of some of them, is this order."""


def from_path(path: Path, *, seed: int = 0) -> TaggedText:
    """The user's own data.

    `path` is a file of CoNLL-U whose name ends in `.conllu`; a file of two columns, a word, a tab and its label, whose
    name ends in `.tsv` or `.txt`; or a folder with `train`, `valid` (or `validation`, `dev`) and `test`, each of which
    is one of these. Blank lines stand between sentences. A split that is not there is held out of the training
    sentences: a tenth of them.

    Args:
      path: see above.
      seed: decides what is held out.

    Raises:
      DataError: if something is missing, empty, wrong or not UTF-8: file, line, and what to do.
    """
    check_exists(path)
    places = {"train": path}
    if path.is_dir():
        places = places_of_splits(path, tuple(READERS))
        if not places:
            wanted = " or ".join(f"train{ending}" for ending in READERS)
            raise DataError(f"{path}: there must be {wanted} in this folder, and may be valid and test; or name a file")
    splits = {split: _read(place) for split, place in places.items()}
    for split in ("test", "valid"):
        if split not in splits:
            splits["train"], splits[split] = hold_out_sentences(splits["train"], _HELD_OUT, seed=seed, name=str(path))
    classes = labels_of(splits["train"])
    ordered = set(classes) <= set(_FROM_BAD_TO_GOOD)
    return TaggedText(path.name, classes, splits["train"], splits["valid"], splits["test"], ordered=ordered)


def _read(path: Path) -> tuple[TaggedSentence, ...]:
    return read_words(read_text(path), path)
