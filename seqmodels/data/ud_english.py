"""Universal Dependencies, English Web Treebank: words with their part of speech.

Silveira et al. (2014), A gold standard dependency corpus for English.
"""

from pathlib import Path
from typing import Final

from seqmodels.data.sources import Source, SourceFile, fetch, read_bytes
from seqmodels.data.tagged_text import TaggedText, labels_of
from seqmodels.data.word_lines import read_conllu

_URL: Final = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/"
)
_FILES: Final = {split: f"en_ewt-ud-{split}.conllu" for split in ("train", "dev", "test")}

UD_ENGLISH_EWT: Final = Source(
    name="ud_english_ewt",
    files=(
        SourceFile(
            name=_FILES["train"],
            size=14_203_025,
            sha256="3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
            urls=(_URL + _FILES["train"],),
        ),
        SourceFile(
            name=_FILES["dev"],
            size=1_805_545,
            sha256="531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
            urls=(_URL + _FILES["dev"],),
        ),
        SourceFile(
            name=_FILES["test"],
            size=1_804_515,
            sha256="e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
            urls=(_URL + _FILES["test"],),
        ),
    ),
    licence="CC BY-SA 4.0",
    about="English Web Treebank (Universal Dependencies, 2025-05-10): weblogs, mails, reviews, answers; 17 tags.",
)


def ud_english_ewt(folder: Path | None = None) -> TaggedText:
    """Words with their universal part of speech: 204,577 / 25,147 / 25,094 of them, 17 tags.

    Args:
      folder: where the three `.conllu` files lie (`data.dir`); None means the cache.

    Raises:
      DataError: if the files are missing or wrong.
    """
    paths = fetch(UD_ENGLISH_EWT, folder)
    train, valid, test = (read_conllu(read_bytes(paths[file]).decode("utf-8"), file) for file in _FILES.values())
    return TaggedText("ud_english_ewt", labels_of(train), train, valid, test)
