"""Zoneout."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.cells.base import Array, PyTree
from seqmodels.cells.masks import check_rate
from seqmodels.cells.wrapper import Wrapper


class ZoneoutNoise(NamedTuple):
    """The inner cell's noise, and for each state leaf where the old value stays, booleans [T, *batch, H]."""

    cell: PyTree
    stays: PyTree


@dataclasses.dataclass(frozen=True)
class Zoneout(Wrapper):
    """At random, units of the state keep their old value.

        sₜ = m ⊙ sₜ₋₁ + (1 - m) ⊙ inner sₜ,    m ~ Bernoulli(rate), anew for each step, unit and state leaf

    Without noise m is its mean. The output reads the zoned-out state.

    Args:
      cell: the inner cell.
      rate: probability that a unit keeps its value; one number, or one for each leaf of the state in its order
        (for an LSTM: h, c; the paper's language models used 0.05, 0.5).

    Example:
      >>> import seqmodels as sm
      >>> Zoneout(sm.LSTM(hidden_size=4), rate=(0.05, 0.5)).output_size
      4

    References:
      Krueger et al. (2017), Zoneout: regularizing RNNs by randomly preserving hidden activations.
    """

    rate: float | tuple[float, ...] = 0.1

    def __post_init__(self) -> None:
        """Checks the rates; a list becomes a tuple."""
        super().__post_init__()
        if not isinstance(self.rate, float | int):
            object.__setattr__(self, "rate", tuple(self.rate))
        for rate in self.rate if isinstance(self.rate, tuple) else (self.rate,):
            check_rate("the rate of Zoneout", rate)

    def _rates(self, state: PyTree) -> PyTree:
        """One rate a leaf of the state."""
        leaves, structure = jax.tree.flatten(state)
        rates = self.rate if isinstance(self.rate, tuple) else (self.rate,) * len(leaves)
        if len(rates) != len(leaves):
            raise ValueError(f"Zoneout has {len(rates)} rates for a state of {len(leaves)} leaves")
        return jax.tree.unflatten(structure, rates)

    def noise(
        self, params: PyTree, key: Array, steps: int, batch_shape: tuple[int, ...]
    ) -> tuple[PyTree, ZoneoutNoise]:
        """The inner noise, and a mask for each step and leaf of the state."""
        key, inner_key = jax.random.split(key)
        state = self.cell.initial_state(params, batch_shape)
        leaves, structure = jax.tree.flatten(state)
        rates = jax.tree.leaves(self._rates(state))
        keys = jax.random.split(key, len(leaves))
        stays = [
            jax.random.bernoulli(k, rate, (steps, *leaf.shape))
            for k, rate, leaf in zip(keys, rates, leaves, strict=True)
        ]
        params, inner = self.cell.noise(params, inner_key, steps, batch_shape)
        return params, ZoneoutNoise(inner, jax.tree.unflatten(structure, stays))

    def gates(
        self, gate_params: PyTree, u_t: PyTree, r_t: PyTree, state: PyTree, noise_t: ZoneoutNoise | None
    ) -> PyTree:
        """The inner cell's next state, zoned out."""
        if noise_t is None:
            new = self.cell.gates(gate_params, u_t, r_t, state, None)
            return jax.tree.map(lambda p, old, new: p * old + (1.0 - p) * new, self._rates(state), state, new)
        new = self.cell.gates(gate_params, u_t, r_t, state, noise_t.cell)
        return jax.tree.map(jnp.where, noise_t.stays, state, new)
