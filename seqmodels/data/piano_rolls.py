"""Music as piano rolls: which of the keys of a piano sound, frame by frame."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from seqmodels.data.inputs import Input, records_of
from seqmodels.data.sources import DataError
from seqmodels.data.text_files import read_text

Roll = npt.NDArray[np.uint8]

KEYS: Final = 88
LOWEST: Final = 21
"""The MIDI number of the first key."""

_SPLITS: Final = ("train", "valid", "test")
_NAMES: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclasses.dataclass(frozen=True)
class Music:
    """Pieces in three splits.

    Attributes:
      name: of the data set.
      splits: "train", "valid" and "test"; of each piece the keys that sound, uint8 [T, 88] of zeros and ones.

    Example:
      >>> piece = roll_of([[60, 64, 67], [], [60]])
      >>> piece.shape, chord_names(piece[0])
      ((3, 88), 'C4 E4 G4')
    """

    name: str
    splits: Mapping[str, tuple[Roll, ...]]

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over all pieces: equal if and only if all splits are."""
        digest = hashlib.sha256()
        for split in _SPLITS:
            digest.update(len(self.splits[split]).to_bytes(8, "little"))
            for piece in self.splits[split]:
                digest.update(len(piece).to_bytes(8, "little") + piece.tobytes())
        return digest.hexdigest()


def from_json(path: Path) -> Music:
    """Reads pieces from a JSON file: an object of "train", "valid" and "test", each a list of pieces.

    A piece is a list of frames, a frame the list of the MIDI numbers that sound, 60 for the middle C.

    Raises:
      DataError: if it cannot be read, or something in it is not of this form: which piece, which frame.
    """
    text = read_text(path)
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: no JSON (line {error.lineno}: {error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, lists within lists without end
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(split), list) for split in _SPLITS):
        raise DataError(f'{path}: must be an object with "train", "valid" and "test", each a list of pieces')
    splits = {
        split: tuple(_piece(f"{path}: {split}, piece {number}", piece) for number, piece in enumerate(found[split], 1))
        for split in _SPLITS
    }
    for split, pieces in splits.items():
        if not pieces:
            raise DataError(f"{path}: there are no pieces in {split}; each split needs one at least")
    return Music(path.name, splits)


def roll_of(frames: list[list[int]]) -> Roll:
    """The piano roll [T, 88] of the MIDI numbers of each frame."""
    roll = np.zeros((len(frames), KEYS), np.uint8)
    for row, notes in zip(roll, frames, strict=True):
        row[np.array(notes, np.int64) - LOWEST] = 1
    return roll


def chord_names(frame: npt.ArrayLike) -> str:
    """The keys [88] that sound, by name and octave, from the lowest on; "-" is silence."""
    notes = np.nonzero(np.asarray(frame))[0] + LOWEST
    return " ".join(f"{_NAMES[note % 12]}{note // 12 - 1}" for note in notes) or "-"


def pieces_of(given: Input) -> Iterator[Roll]:
    """New pieces, each under the key "frames" of a line of JSON.

    Args:
      given: of kind ".jsonl".

    Raises:
      DataError: if a piece is not of the form of those of `from_json`.
    """
    given.refuse((".jsonl",))
    for number, record in enumerate(records_of(given), start=1):
        yield _piece(f'{given.place}: record {number}, "frames"', record.get("frames"))


def _piece(place: str, piece: Any) -> Roll:
    if not isinstance(piece, list) or not piece:
        raise DataError(f"{place}: must be a list of one frame at least")
    for number, frame in enumerate(piece, 1):
        if not isinstance(frame, list) or not all(type(note) is int for note in frame):
            raise DataError(f"{place}, frame {number}: must be a list of whole numbers, those of the keys that sound")
        for note in frame:
            if not LOWEST <= note < LOWEST + KEYS:
                raise DataError(
                    f"{place}, frame {number}: {note} is no key of a piano; they are {LOWEST} to {LOWEST + KEYS - 1}"
                )
    return roll_of(piece)


class RollBatch(NamedTuple):
    """Pieces side by side; what is beyond a row's length is padding.

    Attributes:
      frames: uint8 [B, T, 88].
      lengths: int32 [B]; 0 for a row that fills the batch.
      shown: bool [B]; the piece that is to be drawn, if it is among them.
    """

    frames: Roll
    lengths: npt.NDArray[np.int32]
    shown: npt.NDArray[np.bool_]


class Rolls(NamedTuple):
    """The pieces of a split, to be made batches of; `shown` is the number of the one to be drawn, or None."""

    pieces: tuple[Roll, ...]
    shown: int | None = None

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Frames of each piece, int32 [n]."""
        return np.fromiter(map(len, self.pieces), np.int32, len(self.pieces))

    def batch(self, rows: npt.NDArray[np.int64], size: int, width: int) -> RollBatch:
        """The pieces `rows` as a batch of shape [size, width, 88].

        Example:
          >>> batch = Rolls((np.ones((3, 88), np.uint8),)).batch(np.array([0]), 2, 8)
          >>> batch.frames.shape, batch.lengths.tolist()
          ((2, 8, 88), [3, 0])
        """
        frames, lengths = np.zeros((size, width, KEYS), np.uint8), np.zeros(size, np.int32)
        for place, row in enumerate(rows):
            lengths[place] = len(self.pieces[row])
            frames[place, : lengths[place]] = self.pieces[row]
        shown = np.zeros(size, bool)
        shown[: len(rows)] = np.equal(rows, -1 if self.shown is None else self.shown)
        return RollBatch(frames, lengths, shown)
