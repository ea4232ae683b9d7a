"""A pytree as a table of arrays with readable names: what a checkpoint stores and compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def named_leaves(tree: Any) -> dict[str, Any]:
    """Flattens a pytree into its leaves by name, in the order of flattening.

    Args:
      tree: any pytree; None and empty containers have no leaves.

    Returns:
      The leaves; a name is the leaf's path as one would write it in Python.

    Raises:
      ValueError: if two leaves have the same path.

    Example:
      >>> named_leaves({"params": [1.5, None, 2.5]})
      {"state['params'][0]": 1.5, "state['params'][2]": 2.5}
    """
    pairs = [(f"state{jax.tree_util.keystr(path)}", leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    leaves = dict(pairs)
    if len(leaves) != len(pairs):
        raise ValueError("two leaves of the pytree have the same path")
    return leaves


def differences(found: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> list[str]:
    """Compares names, shapes and dtypes.

    Args:
      found: for each name the `shape`, a list, and the `dtype`, a name.
      wanted: for each name something with a shape and a dtype.

    Returns:
      A line for each leaf that differs.

    Example:
      >>> differences({"w": {"shape": [2], "dtype": "float32"}}, {"w": np.ones(3, np.float32)})
      ['w: expected float32[3], found float32[2]']
    """
    lines = []
    for name in (*wanted, *(name for name in found if name not in wanted)):
        expected = f"{np.dtype(wanted[name].dtype).name}{list(wanted[name].shape)}" if name in wanted else "nothing"
        stored = f"{found[name]['dtype']}{found[name]['shape']}" if name in found else "nothing"
        if expected != stored:
            lines.append(f"{name}: expected {expected}, found {stored}")
    return lines
