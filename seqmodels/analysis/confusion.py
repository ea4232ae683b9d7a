"""The picture of a confusion matrix: which classes a model takes for which."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqmodels.analysis.png import write_png
from seqmodels.tasks.confusion import Confusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL_INCHES = 0.95
_MOST_WITH_COUNTS = 20  # classes; with more the numbers could not be read
_DARK = 0.55


def draw(confusion: Confusion, path: Path, *, title: str) -> None:
    """Writes a confusion matrix as a PNG; a file of that name is replaced whole.

    Args:
      confusion: the counts; rows are the true classes.
      path: the picture.
      title: the headline.

    Raises:
      OSError: if the picture cannot be written.
    """
    write_png(figure(confusion, title=title), path)


def figure(confusion: Confusion, *, title: str) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`.

    A cell's colour is its share of the row, so that rare classes can be read as well as frequent ones.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap

    number = len(confusion.classes)
    size = min(max(_CELL_INCHES * number, 2.6), 12.0)
    picture = Figure(figsize=(size + 2.6, size + 1.9), dpi=100)
    picture.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    axes = picture.subplots()
    picture.suptitle(title, fontsize=15, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    axes.set_title(f"accuracy {confusion.accuracy:.4g}   macro-F1 {confusion.macro_f1:.4g}", loc="left", fontsize=11)
    shares = row_shares(confusion)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(number), confusion.classes, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(number), confusion.classes, parse_math=False)
    axes.set_xlabel("found")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if number <= _MOST_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(confusion.counts):
            colour = "white" if shares[row, column] > _DARK else "black"
            text = f"{count:,.0f}\n{shares[row, column]:.1%}"
            axes.text(column, row, text, color=colour, ha="center", va="center", fontsize=10)
    picture.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return picture


def row_shares(confusion: Confusion) -> np.ndarray:
    """How the examples of each true class are shared among the found ones, [K, K]; 0 where there is no example.

    Example:
      >>> row_shares(Confusion(np.array([[3.0, 1.0], [0.0, 0.0]]), ("bad", "good"))).tolist()
      [[0.75, 0.25], [0.0, 0.0]]
    """
    totals = confusion.counts.sum(axis=1, keepdims=True)
    return confusion.counts / np.where(totals > 0, totals, 1.0)
