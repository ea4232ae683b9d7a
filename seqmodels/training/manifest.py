"""The manifest of a checkpoint: what was written, so that any change to it can be found."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

FORMAT: Final = 2
MANIFEST: Final = "manifest.json"

Manifest = dict[str, Any]


class DamagedError(Exception):
    """A checkpoint is not what was written; the message says in what."""


def array_sha256(array: np.ndarray[Any, Any]) -> str:
    """Hashes the elements of an array of any shape and dtype, in C order, as they lie in memory."""
    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def write_manifest(folder: Path, head: Manifest, leaves: Mapping[str, Manifest]) -> None:
    """Describes a checkpoint whose other files are all in place.

    Args:
      folder: of the checkpoint.
      head: JSON; holds `step` and whatever is to be kept beside the arrays.
      leaves: what there is to say of each array, by name.

    Example:
      >>> import tempfile
      >>> folder = Path(tempfile.mkdtemp())
      >>> write_manifest(folder, {"step": 3}, {"w": {"shape": [2, 4]}})
      >>> read_manifest(folder, step=3)["leaves"]["w"]["shape"]
      [2, 4]
    """
    payload = {
        "format": FORMAT,
        **head,
        "leaves": leaves,
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _file_sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    (folder / MANIFEST).write_bytes(_render(payload))


def read_manifest(folder: Path, step: int) -> Manifest:
    """Reads the manifest of the checkpoint of `step`; raises DamagedError if it is not as it was written."""
    try:
        raw = (folder / MANIFEST).read_bytes()
        document = json.loads(raw)
    except OSError as error:
        raise DamagedError(f"{MANIFEST} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{MANIFEST} is not whole") from error
    if not isinstance(document, dict) or not isinstance(document.get("payload"), dict):
        raise DamagedError(f"{MANIFEST} is not a manifest")
    manifest: Manifest = document["payload"]
    if _render(manifest) != raw:
        raise DamagedError(f"{MANIFEST} was changed (its sha256 differs)")
    if manifest["format"] != FORMAT:
        raise DamagedError(f"it has format {manifest['format']}, this version of seqmodels reads {FORMAT}")
    if manifest["step"] != step:
        raise DamagedError(f"its {MANIFEST} is that of step {manifest['step']}")
    return manifest


def check_files(folder: Path, manifest: Manifest, *, share: slice = slice(None)) -> None:
    """Compares files of a checkpoint with its manifest; raises DamagedError at the first that differs.

    Args:
      folder: of the checkpoint.
      manifest: its own.
      share: which of its files, counted in their order, such as every other one.
    """
    for name, expected in list(manifest["files"].items())[share]:
        path = folder / name
        try:
            size = path.stat().st_size
            if size != expected["bytes"]:
                raise DamagedError(f"{name} has {size} bytes instead of {expected['bytes']}")
            if _file_sha256(path) != expected["sha256"]:
                raise DamagedError(f"{name} was changed (its sha256 differs)")
        except OSError as error:
            raise DamagedError(f"{name} cannot be read ({error.strerror})") from error


def to_disk(*paths: Path) -> None:
    """Forces files, and the lists of names in folders, to the disk.

    Windows refuses that for folders; there a rename may be lost when the power fails, never when a process is killed.
    """
    for path in paths:
        if os.name == "nt" and path.is_dir():
            continue
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _render(payload: Manifest) -> bytes:
    """Writes the same payload as the same bytes always, so that a change of any byte can be found."""
    digest = hashlib.sha256(json.dumps(payload).encode()).hexdigest()
    return json.dumps({"sha256": digest, "payload": payload}, indent=1).encode()


def _file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
