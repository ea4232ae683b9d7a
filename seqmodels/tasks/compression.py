"""What a text costs without learning: baselines of character models."""

import bz2
import gzip
import lzma
from collections.abc import Callable

import numpy as np

_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "bz2": lambda data: bz2.compress(data, 9),
    "xz": lambda data: lzma.compress(data, preset=9),
}
_LARGEST_TEXT = 20_000_000  # bytes; xz takes minutes beyond


def compressed_bits(train: str, split: str, symbols: int) -> dict[str, float]:
    """Bits that a compressor which has seen the training text needs for each symbol of a split.

        (|C(train + split)| - |C(train)|) · 8 / symbols of the split

    gzip sees the last 32 KiB only; bz2 and xz look further back and find exact repeats anywhere.

    Args:
      train: the training text.
      split: the text to be coded.
      symbols: how many symbols it is said to have: characters or bytes.

    Returns:
      Bits per symbol by the compressor's name; empty for texts above 20 MB, where it would take minutes.

    Example:
      >>> bits = compressed_bits("abcd" * 1000, "abcd" * 100, 400)
      >>> sorted(bits), bits["gzip"] < 1
      (['bz2', 'gzip', 'xz'], True)
    """
    before = train.encode("utf-8", "surrogateescape")
    after = before + split.encode("utf-8", "surrogateescape")
    if len(after) > _LARGEST_TEXT:
        return {}
    return {
        name: (len(compress(after)) - len(compress(before))) * 8 / symbols for name, compress in _COMPRESSORS.items()
    }


def unigram_nats(train: np.ndarray, split: np.ndarray, symbols: int) -> float:
    """Mean cost of a symbol of the split, in nats, under the frequencies of the training text plus one each.

    Args:
      train: symbols of the training text, integers [n] below `symbols`.
      split: symbols of the split, integers [m].
      symbols: size of the vocabulary.

    Example:
      >>> round(unigram_nats(np.array([0, 0, 1]), np.array([0, 1]), 2), 4)  # -(ln 3/5 + ln 2/5) / 2
      0.7136
    """
    counts = np.bincount(train, minlength=symbols) + 1.0
    nats = -np.log(counts / counts.sum())
    return float(nats[split].mean())
