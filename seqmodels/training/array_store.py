"""Arrays in a file, by name. The only module that knows of safetensors."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Writes arrays into a new file.

    Args:
      path: the file; its folder exists.
      arrays: by name. A type that numpy does not have of itself, such as bfloat16, is written as integers as wide.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / "arrays.safetensors"
      >>> write_arrays(path, {"w": np.arange(3)})
      >>> read_arrays(path, ["w"])["w"].tolist()
      [0, 1, 2]
    """
    save_file({name: _known(array) for name, array in arrays.items()}, path)


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Reads back some of the arrays that `write_arrays` wrote, as they were written.

    Raises:
      Exception: what safetensors raises where the file is not one of its own, or lacks a name.
    """
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in names}


def _known(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array in a type of numpy's own, with its elements one after the other."""
    array = np.ascontiguousarray(array).reshape(array.shape)  # the former makes one axis of none
    return array if array.dtype.isbuiltin == 1 else array.view(f"u{array.dtype.itemsize}")  # 2: somebody's type
