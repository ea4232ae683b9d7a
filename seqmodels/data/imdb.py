"""The Large Movie Review Dataset, read out of its archive.

Maas et al. (2011), Learning word vectors for sentiment analysis.
"""

import lzma
import re
import tarfile
import zlib
from pathlib import Path
from typing import Final

from seqmodels.data.labelled_text import Example, LabelledText, hold_out
from seqmodels.data.sources import DataError, Source, SourceFile, at_hand, fetch

IMDB_LABELLED = Source(
    name="imdb",
    files=(
        SourceFile(
            name="aclImdb_labelled.tar.xz",
            size=19_612_836,
            sha256="cc0b87cf1a576595c1a5302341d7fbe091317be6722dfca27c472acbf9148e99",
            urls=(),
            page="the labelled reviews of aclImdb_v1.tar.gz, packed again",
        ),
    ),
    licence="for research; cite Maas et al. (2011)",
    about="The labelled reviews of the Large Movie Review Dataset alone.",
)

IMDB = Source(
    name="imdb",
    files=(
        SourceFile(
            name="aclImdb_v1.tar.gz",
            size=84_125_825,
            sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
            urls=("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
        ),
    ),
    licence=IMDB_LABELLED.licence,
    about="Large Movie Review Dataset (Maas et al., 2011): 50,000 reviews, half of them good, half of them bad.",
    other=IMDB_LABELLED,
)

_REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
_OTHER = re.compile(r"aclImdb(/README|/imdb(Er\.txt|\.vocab)|/(train|test)(/[\w.]+|/unsup/\d+_0\.txt)?)?")
_CLASSES: Final = {"neg": "negative", "pos": "positive"}
_VALID_SHARE = 0.1
_SEED = 0


def imdb(folder: Path | None = None) -> LabelledText:
    """Film reviews, negative or positive in equal numbers: 22,500 / 2,500 / 25,000.

    The validation reviews are a tenth of the original training reviews, always the same ones.

    Args:
      folder: where `aclImdb_v1.tar.gz` lies, or `aclImdb_labelled.tar.xz`, the labelled reviews alone (`data.dir`);
        None means the cache, filled by download.

    Raises:
      DataError: if the archive is missing, wrong or cannot be downloaded.
    """
    (path,) = fetch(at_hand(IMDB, folder), folder).values()
    splits = read_reviews(path)
    train, valid = hold_out(splits["train"], _VALID_SHARE, seed=_SEED, name="imdb")
    return LabelledText("imdb", tuple(_CLASSES.values()), train, valid, tuple(splits["test"]))


def read_reviews(path: Path) -> dict[str, list[Example]]:
    """Reads the reviews of an archive without unpacking it to the disk.

    Args:
      path: a tar archive, compressed in any way that Python knows, of `aclImdb/{train,test}/{neg,pos}/ID_RATING.txt`.

    Returns:
      The examples of "train" and "test", in the order of class and ID, whatever that in the archive.

    Raises:
      DataError: if it cannot be read, or a file in it is not as it must be.
    """
    found: dict[str, list[tuple[tuple[str, int], Example]]] = {"train": [], "test": []}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                name = member.name
                if match := _REVIEW.fullmatch(name):
                    file = archive.extractfile(member) if member.isfile() else None
                    if file is None:
                        raise DataError(f"{path}: {name} is not a plain file; restore the original archive")
                    split, label, number, _ = match.groups()
                    example = Example(_text(path, name, file.read()), _CLASSES[label], f"{path}:{name}")
                    found[split].append(((label, int(number)), example))
                elif not _OTHER.fullmatch(name):
                    raise DataError(f"{path}: {name!r} does not belong there; restore the original archive")
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, TypeError) as error:
        # TypeError: what tarfile raises where the head of a compressed stream is cut short.
        raise DataError(f"{path}: cannot be read ({error})") from error
    return {split: [example for _, example in sorted(examples)] for split, examples in found.items()}


def _text(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8").replace("<br />", " ")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {name} is not UTF-8 at byte {error.start:,}; restore the original archive") from error
