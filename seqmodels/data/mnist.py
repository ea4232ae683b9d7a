"""MNIST: handwritten digits, and the files in which they come.

LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition.
"""

import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.permutations import permutation
from seqmodels.data.sources import DataError, Source, SourceFile, fetch, read_bytes

_MNIST_MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

MNIST = Source(
    name="mnist",
    files=tuple(
        SourceFile(name, size, sha256, urls=tuple(mirror + name for mirror in _MNIST_MIRRORS))
        for name, size, sha256 in (
            (
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        )
    ),
    licence="CC BY-SA 3.0 as usually stated",
    about="MNIST (LeCun et al., 1998): 70,000 handwritten digits of 28 by 28 pixels.",
)

VALID: Final = 5000
"""How many of the 60,000 training images are held out for validation, always the same ones."""

_SEED: Final = 0
_SIDE: Final = 28
_DIGITS: Final = 10
_BYTES: Final = 8  # the third byte of the magic number: what follows are unsigned bytes


class Images(NamedTuple):
    """The examples of a split.

    Attributes:
      pixels: uint8 [n, 28, 28], 0 for white.
      labels: int32 [n].
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[np.int64]) -> "Images":
        """The images `rows` alone."""
        return Images(self.pixels[rows], self.labels[rows])


def mnist(folder: Path | None = None) -> dict[str, Images]:
    """The digits 0 to 9 as images of 28 by 28 pixels: 55,000 "train", 5,000 "valid", 10,000 "test".

    Args:
      folder: where the four files lie (`data.dir`); None means the cache, filled by download.

    Raises:
      DataError: if a file is missing or wrong, or cannot be downloaded.
    """
    paths = fetch(MNIST, folder)
    names = [file.name for file in MNIST.files]  # images and labels in turns
    train, test = (read_images(paths[images], paths[labels]) for images, labels in (names[:2], names[2:]))
    order = permutation(len(train.labels), _SEED)
    return {"train": train.take(np.sort(order[VALID:])), "valid": train.take(np.sort(order[:VALID])), "test": test}


def read_images(images: Path, labels: Path) -> Images:
    """Reads a file of images and the file of their labels, both in the format idx, plain or with `.gz`.

    Raises:
      DataError: if they cannot be read, are of another kind, or do not belong together.
    """
    pixels, numbers = read_idx(images), read_idx(labels)
    if pixels.shape[1:] != (_SIDE, _SIDE):
        raise DataError(f"{images}: not images of {_SIDE} by {_SIDE} pixels (shape {pixels.shape})")
    if numbers.shape != pixels.shape[:1]:
        raise DataError(f"{labels}: shape {numbers.shape}, but {images} has {len(pixels):,} images")
    if numbers.size and numbers.max() >= _DIGITS:
        raise DataError(f"{labels}: there is a label {numbers.max()}, and digits end with {_DIGITS - 1}")
    return Images(pixels, numbers.astype(np.int32))


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Reads an array of bytes in the format idx.

        0, 0, 8, axes        the magic number: two zeros, the type (8: bytes), how many axes there are
        one size an axis     four bytes each, the highest first
        the array            byte by byte, the last axis fastest

    Raises:
      DataError: if it cannot be read or is no such file.
    """
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _BYTES:
        raise DataError(f"{path}: does not begin with the magic number of an idx file of bytes (0, 0, 8, axes)")
    axes = data[3]
    start = 4 + 4 * axes
    shape = np.frombuffer(data[4:start], ">u4").tolist() if len(data) >= start else []
    # Without elements, other sizes may be beyond all that an array can have.
    if not shape or 0 in shape or len(data) - start != math.prod(shape):
        raise DataError(
            f"{path}: {max(len(data) - start, 0):,} bytes of data, but its head says {shape}; restore the original file"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
