"""The user's own files as text."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from seqmodels.data.sources import DataError, read_bytes

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SPLITS: Final = {"train": ("train",), "valid": ("valid", "validation", "dev"), "test": ("test",)}
_MARK = b"\xef\xbb\xbf"


def check_exists(path: Path) -> None:
    """Raises DataError, with a guess at what was meant, if there is nothing at `path`."""
    try:
        exists = path.exists()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not exists:
        raise DataError(f"{path}: there is no such file{_neighbour(path)}")


def read_text(path: Path, *, any_encoding: bool = False, remedy: str = "save it as UTF-8") -> str:
    """Reads a file and makes sure that it is text.

    Args:
      path: a file in UTF-8, with or without a byte order mark.
      any_encoding: takes the bytes as they are, those that are not UTF-8 as lone surrogates, line ends too;
        otherwise these become newlines.
      remedy: what to do about a file that is not UTF-8.

    Raises:
      DataError: if the file is missing, binary or not UTF-8.
    """
    check_exists(path)
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name one text file")
    data = read_bytes(path)
    if data.startswith(_UTF_16):
        raise DataError(f"{path}: the file is in UTF-16; save it as UTF-8")
    if (zero := data.find(b"\0")) >= 0:
        raise DataError(f"{path}: a binary file (a zero at byte {zero:,}); name a text file")
    mark = len(_MARK) if data.startswith(_MARK) else 0
    if any_encoding:
        return data[mark:].decode("utf-8", "surrogateescape")
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start + mark:,}; {remedy}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def places_of_splits(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The file or folder of each split in a folder; none if it does not have a training split.

    Args:
      folder: with `train`, `valid` (or `validation`, `dev`) and `test` in it.
      endings: what may stand behind these names, such as ".csv"; "" for a folder.

    Raises:
      DataError: if two are for the same split.
    """
    found = {}
    for split, names in _SPLITS.items():
        candidates = [folder / f"{name}{ending}" for name in names for ending in endings]
        there = [place for place in candidates if place.exists()]
        if len(there) > 1:
            raise DataError(f"{folder}: {there[0].name} and {there[1].name} are both for {split}; remove one of them")
        if there:
            found[split] = there[0]
    return found if "train" in found else {}


def _neighbour(path: Path) -> str:
    """Guesses which file was meant."""
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else ""
