"""What is measured: sizes of a training step of one recurrent layer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels import cells
from seqmodels.cells.base import Array


class Case(NamedTuple):
    """T steps of a batch of B rows with D features, through a layer of H units."""

    T: int
    B: int
    D: int
    H: int

    @property
    def flops(self) -> int:
        """Floating-point operations of the products of an LSTM's training step: one forwards, two backwards."""
        return 3 * 2 * self.T * self.B * (self.D + self.H) * 4 * self.H

    def __str__(self) -> str:
        """T, B and D = H, as in the tables."""
        return f"{self.T}, {self.B}, {self.H}" if self.D == self.H else f"{self.T}, {self.B}, {self.D} → {self.H}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Reads "T,B,H" or "T,B,D,H".

        Raises:
          ValueError: for anything else.

        Example:
          >>> Case.parse("64,32,256")
          Case(T=64, B=32, D=256, H=256)
        """
        numbers = [int(part) for part in text.split(",")]
        if len(numbers) not in (3, 4) or min(numbers) < 1:
            raise ValueError(f"a case is T,B,H or T,B,D,H, whole numbers of at least 1 (got {text!r})")
        steps, rows, *sizes = numbers
        return cls(steps, rows, sizes[0], sizes[-1])


STANDARD = tuple(Case.parse(text) for text in ("128,16,128", "64,32,256", "35,20,650", "128,64,512", "256,1,128"))
"""Small and large, with long and short sequences, batched and not."""


class Data(NamedTuple):
    """An LSTM's parameters, inputs [B, T, D] and the weights [B, T, H] of its outputs in the loss, all float32."""

    params: cells.LSTMParams
    xs: Array
    weights: Array

    @classmethod
    def of(cls, case: Case) -> "Data":
        """The same for everyone who is measured on a case."""
        random = np.random.default_rng(0)
        cell = cells.LSTM(case.H)
        return cls(
            params=cell.init(jax.random.key(0), case.D),
            xs=jnp.asarray(random.normal(size=(case.B, case.T, case.D)), jnp.float32),
            weights=jnp.asarray(random.normal(size=(case.B, case.T, case.H)), jnp.float32),
        )
