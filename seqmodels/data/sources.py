"""Where data sets come from: a folder of the user's, or a cache that downloads fill. Nothing is used unchecked."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
      other: the same in other files, which are taken where they are there.
    """

    name: str
    files: tuple[SourceFile, ...]
    licence: str
    about: str
    other: "Source | None" = None


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


class Found(NamedTuple):
    """What is there of a file.

    Attributes:
      path: of the right copy; None: there is none.
      faults: what is wrong with other copies, a line each.
    """

    path: Path | None
    faults: list[str]


def inspect(source: Source, folder: Path | None = None) -> dict[str, Found]:
    """Looks for every file of a data set and checks what it finds; the arguments are those of `fetch`.

    Raises:
      DataError: if the folder cannot be searched.
    """
    place = cache_folder() if folder is None else folder.expanduser()
    try:
        return {file.name: Found(*_good(source, file, place)) for file in source.files}
    except OSError as error:
        raise DataError(f"{place}: cannot be searched ({error})") from error


def is_there(source: Source, folder: Path | None = None) -> bool:
    """Whether there are files with the right names, whatever is in them."""
    place = cache_folder() if folder is None else folder.expanduser()
    return all(any(path.is_file() for path in _places(source, file, place)) for file in source.files)


def at_hand(source: Source, folder: Path | None = None) -> Source:
    """The files of a data set to take: the other ones where they are there, else its own; arguments as for `fetch`."""
    return source.other if source.other is not None and is_there(source.other, folder) else source


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
    for path in _places(source, file, folder):
        if path.is_file():
            fault = _fault(path, file)
            if fault is None:
                return path, faults
            faults.append(fault)
    return None, faults


def _places(source: Source, file: SourceFile, folder: Path) -> list[Path]:
    """Where a file is looked for."""
    return [place / f"{file.name}{end}" for place in (folder, folder / source.name) for end in ("", ".gz")]


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
