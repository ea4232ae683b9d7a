"""One seed, and what it decides."""

from typing import NamedTuple

import jax

from seqmodels.cells.base import Array


class Seeds(NamedTuple):
    """Keys that have nothing in common, all from one seed.

    Attributes:
      init: draws the parameters.
      noise: step n of training uses `fold_in(noise, n)`.
      sample: draws the texts that are shown.
    """

    init: Array
    noise: Array
    sample: Array


def make_seeds(seed: int) -> Seeds:
    """The keys of a run with `run.seed = seed`."""
    init, noise, sample = jax.random.split(jax.random.key(seed), 3)
    return Seeds(init, noise, sample)
