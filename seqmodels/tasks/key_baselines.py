"""What is known of the next frame of music from each key alone."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.piano_rolls import Roll


class KeyTable(NamedTuple):
    """How likely each key sounds, by whether it sounded in the frame before.

    Attributes:
      shares: float64 [2, 88]: after a frame without it, and with it.

    Example:
      >>> table = KeyTable.fit([np.array([[0], [1], [1], [1]], np.uint8)])
      >>> table.shares[:, 0].tolist()
      [0.5, 0.75]
    """

    shares: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, pieces: Iterable[Roll], *, remembers: bool = True) -> "KeyTable":
        """Counts frames, and one more with the key and one without it, so that no share is 0 or 1.

        Args:
          pieces: of training.
          remembers: whether the frame before makes a difference.
        """
        now, before = _pairs(pieces)
        if not remembers:
            return cls(np.stack([(now.sum(axis=0) + 1) / (len(now) + 2)] * 2))
        known = [before == 0, before == 1]
        return cls(np.stack([((now * at).sum(axis=0) + 1) / (at.sum(axis=0) + 2) for at in known]))

    def measure(self, pieces: Iterable[Roll]) -> dict[str, float]:
        """What the shares cost on pieces, in nats a frame, and the accuracy of the keys that are likelier than not."""
        now, before = _pairs(pieces)
        shares = np.where(before == 1, self.shares[1], self.shares[0])
        nats = -np.log(np.where(now == 1, shares, 1.0 - shares)).sum(axis=1)
        taken, sounds = shares > 0.5, now == 1
        return {
            "frame_nats": float(nats.mean()),
            "accuracy": float((taken & sounds).sum() / max((taken | sounds).sum(), 1)),
        }


def _pairs(pieces: Iterable[Roll]) -> tuple[Roll, Roll]:
    """All frames, and what came before each: silence before the first of a piece."""
    pieces = list(pieces)
    return np.concatenate(pieces), np.concatenate([np.concatenate([np.zeros_like(p[:1]), p[:-1]]) for p in pieces])
