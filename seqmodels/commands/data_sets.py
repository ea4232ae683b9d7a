"""Shows, checks and fetches the data sets that the project knows."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from seqmodels.commands.shown import say
from seqmodels.data.catalogue import SOURCES
from seqmodels.data.sources import Source, at_hand, cache_folder, fetch, inspect, is_there
from seqmodels.errors import UserError


def data(options: argparse.Namespace) -> int:
    """Shows, checks or fetches data sets; see `seqmodels data --help`."""
    actions = {"list": _list, "check": _check, "download": _download}
    actions[options.what](options)
    return 0


def _list(options: argparse.Namespace) -> None:
    """Every data set: whether it is there, what it is, and its licence."""
    folder = _folder(options)
    place = folder or cache_folder()
    say(f"in {place}:" if place.is_dir() else f"in {place}, which is not there yet:")
    for name, source in SOURCES.items():
        say(f"{name:<18} {_state(source, folder):<14} {source.about}")
        say(f"{'':<18} {'':<14} {source.licence}")


def _state(source: Source, folder: Path | None) -> str:
    """Whether files of these names are there; what is in them is not looked at."""
    if is_there(at_hand(source, folder), folder):
        return "there"
    size = sum(file.size for file in source.files)
    return f"{size / 1e6:,.1f} MB" if all(file.urls for file in source.files) else "by hand"


def _check(options: argparse.Namespace) -> None:
    """Compares every file with its sha256; what is not named and not there is no fault."""
    folder, faults = _folder(options), []
    for name in _named(options.names) or SOURCES:
        source = at_hand(SOURCES[name], folder)
        found = inspect(source, folder)
        for file in source.files:
            path, wrong = found[file.name]
            faults += wrong
            if path is not None:
                say(f"{name:<18} good           {path}")
            elif not wrong:
                say(f"{name:<18} not there      {file.name}")
                faults += [f"{name}: not there: {file.describe()}"] * (name in options.names)
    if faults:
        raise UserError(*faults)


def _download(options: argparse.Namespace) -> None:
    """Fetches what is not in the cache yet."""
    for name in _named(options.names):
        for path in fetch(at_hand(SOURCES[name])).values():
            say(f"{name:<18} good           {path}")


def _folder(options: argparse.Namespace) -> Path | None:
    """The folder that is named; None: the cache."""
    if options.dir is None:
        return None
    folder = Path(options.dir).expanduser()
    if not folder.is_dir():
        kind = "this is a file, not a folder" if folder.exists() else "there is no such folder"
        raise UserError(f"--dir {folder}: {kind}; name the one with the files, or leave it out to mean the cache")
    return folder


def _named(names: Iterable[str]) -> list[str]:
    """The names, each of which must be known."""
    names = list(names)
    for name in names:
        if name not in SOURCES:
            raise UserError(f"there is no data set {name!r}; there are {', '.join(SOURCES)}")
    return names
