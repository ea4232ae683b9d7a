"""Paths in a config."""

from pathlib import Path
from typing import Any


def make_whole(table: Any, *keys: str) -> None:
    """Makes the paths of a table whole, so that the config in the run folder means the same from anywhere.

    Args:
      table: an instance of a class made with `config`, in its `__post_init__`.
      keys: whose values are paths, or None, which is left alone.

    Example:
      >>> from seqmodels.config import config
      >>> @config
      ... class Data:
      ...     path: str | None = None
      ...     dir: str | None = None
      ...     def __post_init__(self):
      ...         make_whole(self, "path", "dir")
      >>> data = Data(path="my.txt")
      >>> Path(data.path) == Path("my.txt").absolute(), data.dir
      (True, None)
    """
    for key in keys:
        value = getattr(table, key)
        if value is not None:
            object.__setattr__(table, key, str(Path(value).expanduser().absolute()))
