"""A held-out piece of music, and what a model expected of it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class PlayedPiece(NamedTuple):
    """One piece, frame by frame.

    Attributes:
      played: uint8 [T, K], the keys that sound.
      expected: [T, K], their probabilities given all frames before.
      lowest: the MIDI number of the first key.
    """

    played: npt.NDArray[np.uint8]
    expected: npt.NDArray[np.float64]
    lowest: int
