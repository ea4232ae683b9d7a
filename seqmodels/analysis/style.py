"""What the pictures of the analysis have in common: colours, axes, labels, and how they are written."""

import io
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqmodels.analysis.curves import Label, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From Okabe and Ito's palette, whose colours stay apart for colour-blind readers.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, GREY = "#0072B2", "#D55E00", "#00795A", "#9C4F80", "#B8860B", "#595959"
PINK = "#F7B6D2"  # on dark ground
GRID = "#E4E4E4"
_LETTERS_PER_INCH = 9.3  # of a headline


def canvas(width: float, height: float, title: str = "") -> "Figure":
    """An empty picture of so many inches, 100 pixels each, with a headline of as many lines as it needs."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap

    picture = Figure(figsize=(width, height), dpi=100)
    picture.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
    if title:
        lines = textwrap.fill(title, int(_LETTERS_PER_INCH * width))
        picture.suptitle(lines, fontsize=13, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    return picture


def save(picture: "Figure", path: Path) -> None:
    """Writes a PNG of 256 colours, which is a third of the bytes; a file of that name is replaced whole.

    Raises:
      OSError: if the picture cannot be written.
    """
    from PIL import Image  # noqa: PLC0415 - as above

    full = io.BytesIO()
    picture.savefig(full, format="png")
    partial = path.with_name(path.name + ".partial")
    few = Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(partial, format="PNG", optimize=True)
    os.replace(partial, path)


def tidy(axes: "Axes") -> None:
    """A light grid, no box."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_ends(axes: "Axes", labels: Sequence[Label], gap: float = 0.06) -> None:
    """Names curves at the right edge, at the heights of their ends but apart from each other.

    Args:
      axes: with its final limits; any scale.
      labels: values on the vertical axis, with name and colour.
      gap: least distance, as a share of the height.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    left = axes.get_xlim()[0]
    heights = [min(max(float(to_axes.transform((left, label.value))[1]), 0.0), 1.0) for label in labels]
    for label, height, place in zip(labels, heights, spread(heights, gap), strict=True):
        axes.plot(
            [1.0, 1.02], [height, place], color=label.colour, linewidth=1, clip_on=False, transform=axes.transAxes
        )
        axes.text(
            1.025,
            place,
            label.text,
            color=label.colour,
            fontweight="bold",
            fontsize=9,
            verticalalignment="center",
            transform=axes.transAxes,
        )
