"""Dropout on recurrent weights."""

import dataclasses
from typing import Any

import jax

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.masks import check_rate, dropout_mask
from seqmodels.cells.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class WeightDrop(Wrapper):
    """Drops single recurrent weights, the same ones for all rows and steps of a run (DropConnect).

        rₜ = hₜ₋₁ (M ⊙ W_hh)

    Args:
      cell: the inner cell.
      rate: probability of dropping a weight.
      names: the parameters it applies to, wherever they are nested.

    Example:
      >>> import seqmodels as sm
      >>> WeightDrop(sm.LSTM(hidden_size=4), rate=0.5).output_size
      4

    References:
      Wan et al. (2013), Regularization of neural networks using DropConnect; Merity, Keskar & Socher (2018),
      Regularizing and optimizing LSTM language models.
    """

    rate: float = 0.5
    names: tuple[str, ...] = ("w_hh",)

    def __post_init__(self) -> None:
        """Checks the rate; a list of names becomes a tuple."""
        super().__post_init__()
        check_rate("the rate of WeightDrop", self.rate)
        object.__setattr__(self, "names", tuple(self.names))

    def init(self, key: Array, input_size: int) -> PyTree:
        """The inner cell's parameters, after a check of the names."""
        params = self.cell.init(key, input_size)
        found = {_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)}
        if missing := [name for name in self.names if name not in found]:
            raise ValueError(f"WeightDrop: no parameter {missing[0]!r}; there are {sorted(map(str, found))}")
        return params

    def noise(self, params: PyTree, key: Array, steps: int, batch_shape: tuple[int, ...]) -> tuple[PyTree, PyTree]:
        """Puts dropped weights in the place of the whole ones."""
        key, inner_key = jax.random.split(key)
        leaves, structure = jax.tree_util.tree_flatten_with_path(params)
        dropped = [
            leaf * dropout_mask(k, self.rate, leaf.shape, leaf.dtype) if _name(path) in self.names else leaf
            for (path, leaf), k in zip(leaves, jax.random.split(key, len(leaves)), strict=True)
        ]
        return self.cell.noise(jax.tree.unflatten(structure, dropped), inner_key, steps, batch_shape)


def _name(path: tuple[Any, ...]) -> Any:
    return getattr(path[-1], "name", None) if path else None
