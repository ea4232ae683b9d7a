"""Arrays in a folder, by name. The only module that knows of orbax."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Writes arrays into a folder that does not exist yet.

    Args:
      folder: absolute; its parent exists. Without an array it is not created.
      arrays: by name; none is without elements, which orbax refuses.

    Raises:
      Exception: whatever orbax and tensorstore raise.

    Example:
      >>> import tempfile
      >>> folder = Path(tempfile.mkdtemp()) / "arrays"
      >>> write_arrays(folder, {"w": np.arange(3)})
      >>> read_arrays(folder, ["w"])["w"].tolist()
      [0, 1, 2]
    """
    if arrays:
        with _orbax() as (_, checkpointer):
            checkpointer.save(folder, dict(arrays))


def read_arrays(folder: Path, names: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Reads back the arrays that `write_arrays` wrote.

    Args:
      folder: absolute.
      names: of all the arrays in it.

    Returns:
      The arrays by name, on the host.

    Raises:
      Exception: whatever orbax and tensorstore raise. Changed bytes are mostly not noticed.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    if names := list(names):
        with _orbax() as (orbax, checkpointer):
            as_numpy = {name: orbax.RestoreArgs(restore_type=np.ndarray) for name in names}
            arrays |= checkpointer.restore(folder, restore_args=as_numpy)
    return arrays


@contextlib.contextmanager
def _orbax() -> Iterator[tuple[Any, Any]]:
    """Gives orbax and a checkpointer of its own, mute; imported late, since that takes as long as importing jax."""
    # orbax logs through absl, which sets up the root logger at its first message unless it finds a handler there.
    silence = logging.NullHandler()
    logging.getLogger().addHandler(silence)
    try:
        import orbax.checkpoint as orbax  # noqa: PLC0415 (slow to import)

        with _level("absl", logging.CRITICAL), orbax.PyTreeCheckpointer() as checkpointer:
            yield orbax, checkpointer
    finally:
        logging.getLogger().removeHandler(silence)


@contextlib.contextmanager
def _level(name: str, level: int) -> Iterator[None]:
    logger = logging.getLogger(name)
    former = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(former)
