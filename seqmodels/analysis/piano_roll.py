"""The picture of a piece of music: the keys that sound, above those that were expected."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqmodels.analysis.png import write_png
from seqmodels.analysis.style import GRID
from seqmodels.tasks.played_piece import PlayedPiece

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARGIN = 3  # keys above and below those that sound
_LIKELY = 0.1  # keys above this probability are within the picture


def draw(piece: PlayedPiece, path: Path, *, title: str) -> None:
    """Writes a piece as a PNG; a file of that name is replaced whole.

    Args:
      piece: what sounds, and with which probability.
      path: the picture.
      title: the headline.

    Raises:
      OSError: if the picture cannot be written.
    """
    write_png(figure(piece, title=title), path)


def figure(piece: PlayedPiece, *, title: str) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    picture = Figure(figsize=(12, 8), dpi=100)
    picture.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    picture.suptitle(title, fontsize=15, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    panels = picture.subplots(2, 1, sharex=True)
    low, high = keys_shown(piece)
    edges = (-0.5, len(piece.played) - 0.5, piece.lowest + low - 0.5, piece.lowest + high - 0.5)
    halves: dict[str, Any] = {
        "what was played": piece.played,
        "the probability of each key, given all frames before": piece.expected,
    }
    for axes, (heading, values) in zip(panels, halves.items(), strict=True):
        rows = np.asarray(values).T[low:high]
        image = axes.imshow(
            rows, origin="lower", aspect="auto", extent=edges, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="none"
        )
        axes.set_title(heading, fontsize=11, loc="left")
        axes.set_ylabel("key")
        octaves = [note for note in range(piece.lowest + low, piece.lowest + high) if note % 12 == 0]
        axes.set_yticks(octaves, [f"C{note // 12 - 1}" for note in octaves])
        for note in octaves:
            axes.axhline(note - 0.5, color=GRID, linewidth=0.8)  # between two keys
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].set_xlabel("frame")
    panels[1].xaxis.set_major_locator(MaxNLocator(12, integer=True))
    picture.colorbar(image, ax=panels, label="probability", pad=0.01, fraction=0.02)
    return picture


def keys_shown(piece: PlayedPiece) -> tuple[int, int]:
    """The keys within the picture, from the first one to before the last: all that sound or are likely, and some more.

    Example:
      >>> played = np.zeros((2, 88), np.uint8)
      >>> played[1, 40:43] = 1
      >>> keys_shown(PlayedPiece(played, np.full((2, 88), 0.01), lowest=21))
      (37, 46)
    """
    (seen,) = np.nonzero((piece.played > 0).any(axis=0) | (piece.expected > _LIKELY).any(axis=0))
    keys = piece.played.shape[1]
    if not len(seen):
        return 0, keys
    return max(int(seen[0]) - _MARGIN, 0), min(int(seen[-1]) + _MARGIN + 1, keys)
