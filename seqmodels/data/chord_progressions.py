"""Made-up music: the chords of a key, one after the other."""

from pathlib import Path
from typing import Final

import numpy as np

from seqmodels.data.piano_rolls import Music, Roll, roll_of

PIECES: Final = {"train": 240, "valid": 60, "test": 60}
CHORDS: Final = 16
FRAMES: Final = 2
"""Frames of a chord."""

_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
_NEXT: Final = {0: (3, 4, 5, 1), 1: (4, 4, 6, 4), 3: (4, 0, 1, 4), 4: (0, 0, 5, 0), 5: (3, 1, 1, 4), 6: (0, 0, 0, 5)}
"""What may follow a chord, steps of the scale from 0 on, each of four equally likely."""


def chord_progressions(folder: Path | None = None, *, seed: int = 0) -> Music:
    """Pieces of 16 chords of two frames each, in one of the twelve major keys, which nothing but the notes tells.

    A piece begins and ends with the triad on the first step of the scale; in between the chord before says which four
    may follow. Whoever has heard some chords knows the key, and so what each of these four is.

    Args:
      folder: not used; the pieces are made up.
      seed: decides them.

    Example:
      >>> from seqmodels.data.piano_rolls import chord_names
      >>> music = chord_progressions()
      >>> [chord_names(frame) for frame in music.splits["train"][0][:8:2]]
      ['A#2 A#3 D4 F4', 'C2 G3 C4 D#4', 'F2 A3 C4 F4', 'G2 G3 A#3 D4']
    """
    del folder
    numbers = iter(range(sum(PIECES.values())))
    splits = {split: tuple(piece(seed, next(numbers)) for _ in range(size)) for split, size in PIECES.items()}
    return Music("chord_progressions", splits)


def piece(seed: int, number: int) -> Roll:
    """One piece, [32, 88]."""
    draws = iter(np.random.SeedSequence((seed, number)).generate_state(CHORDS).tolist())
    key = next(draws) % 12
    step, steps = 0, []
    for _ in range(CHORDS - 1):
        steps.append(step)
        step = _NEXT[step][next(draws) % 4]
    return roll_of([_chord(key, step) for step in (*steps, 0) for _ in range(FRAMES)])


def _chord(key: int, step: int) -> list[int]:
    """The MIDI numbers of a triad: the root at the bottom, and the three notes around the middle C."""
    root, third, fifth = (key + _SCALE[(step + above) % 7] for above in (0, 2, 4))
    return [36 + root % 12, *(55 + (note - 55) % 12 for note in (root, third, fifth))]
