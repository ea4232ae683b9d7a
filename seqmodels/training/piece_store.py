"""The pieces of arrays in the folder of a checkpoint: a file of each process, and what each piece must be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp

from seqmodels.errors import first_line
from seqmodels.training.array_store import read_arrays, write_arrays
from seqmodels.training.manifest import DamagedError, array_sha256
from seqmodels.training.pieces import Piece, Region

Description = dict[str, Any]
"""Of a piece: the `start` and `stop` of its region, its `file`, and the `sha256` of its elements."""

_DESCRIPTIONS: Final = "pieces-*.json"


def write_pieces(folder: Path, pieces: Mapping[str, Sequence[Piece]]) -> None:
    """Writes what this process has of all arrays, and beside it for `take_descriptions` what that is.

    Args:
      folder: of the checkpoint.
      pieces: by the name of the array.
    """
    process = f"{jax.process_index():05d}"
    file = folder / f"arrays-{process}.safetensors"
    write_arrays(file, {f"{name}{part.region}": part.elements for name, parts in pieces.items() for part in parts})
    described: dict[str, list[Description]] = {
        name: [{**part.region._asdict(), "file": file.name, "sha256": array_sha256(part.elements)} for part in parts]
        for name, parts in pieces.items()
    }
    (folder / _DESCRIPTIONS.replace("*", process)).write_text(json.dumps(described), encoding="utf-8")


def take_descriptions(folder: Path) -> dict[str, list[Description]]:
    """All pieces of every array, whichever process wrote them; the files that say so are taken away."""
    found: dict[str, list[Description]] = {}
    for path in sorted(folder.glob(_DESCRIPTIONS)):
        for name, parts in json.loads(path.read_text(encoding="utf-8")).items():
            found.setdefault(name, []).extend(parts)
        path.unlink()
    return found


def read_pieces(
    folder: Path, leaves: Mapping[str, Any], wanted: Mapping[str, Sequence[Region]]
) -> dict[str, list[Piece]]:
    """Reads the pieces that are wanted and compares each with what was in memory when it was saved.

    Args:
      folder: of the checkpoint.
      leaves: what its manifest says of the arrays.
      wanted: the parts of each array that are wanted.

    Raises:
      DamagedError: if a piece cannot be read, or is not what was saved.
    """
    found: dict[str, list[Piece]] = {name: [] for name in wanted}
    for name, part, region in _needed(leaves, wanted):
        try:
            (elements,) = read_arrays(folder / part["file"], [f"{name}{region}"]).values()
            elements = elements.view(jnp.dtype(leaves[name]["dtype"]))
        except Exception as error:
            raise DamagedError(f"its arrays cannot be read ({first_line(error)})") from error
        if array_sha256(elements) != part["sha256"]:
            raise DamagedError(f"{name} is not the array that was saved (its sha256 differs)")
        found[name].append(Piece(region, elements))
    return found


def _needed(
    leaves: Mapping[str, Any], wanted: Mapping[str, Sequence[Region]]
) -> Iterator[tuple[str, Description, Region]]:
    """The pieces with elements that are wanted; of an array without elements the only one."""
    for name, regions in wanted.items():
        for part in leaves[name]["pieces"]:
            region = Region(tuple(part["start"]), tuple(part["stop"]))
            if 0 in region.shape or any(region.common(other) for other in regions):
                yield name, part, region
