"""The picture of forecasts: a few windows, what came after them, and the intervals in which it was expected."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqmodels.analysis.curves import BASELINE, TRAIN, VALIDATION
from seqmodels.analysis.png import write_png
from seqmodels.tasks.forecasts import Forecasts, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_INCHES = 2.5
_PAST_SHOWN = 3  # times the horizon; of a longer past only the end is drawn


def draw(forecasts: Forecasts, path: Path, *, title: str) -> None:
    """Writes forecasts as a PNG; a file of that name is replaced whole.

    Args:
      forecasts: one panel for each window.
      path: the picture.
      title: the headline.

    Raises:
      OSError: if the picture cannot be written.
    """
    write_png(figure(forecasts, title=title), path)


def figure(forecasts: Forecasts, *, title: str) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap

    number = len(forecasts.windows)
    picture = Figure(figsize=(12, _PANEL_INCHES * number + 1.2), dpi=100)
    picture.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    picture.suptitle(title, fontsize=15, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    panels = picture.subplots(number, 1, squeeze=False)[:, 0]
    for axes, window in zip(panels, forecasts.windows, strict=True):
        _draw_window(axes, window, bands(forecasts.levels))
    panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False, ncols=5, borderpad=0.0)
    panels[-1].set_xlabel("steps from the time of the forecast")
    return picture


def bands(levels: tuple[float, ...]) -> list[tuple[int, int, float]]:
    """The pairs of levels that enclose an interval around the median, the widest first, and what share it holds.

    Example:
      >>> [(low, high, round(share, 9)) for low, high, share in bands((0.1, 0.25, 0.5, 0.75, 0.9))]
      [(0, 4, 0.8), (1, 3, 0.5)]
    """
    pairs = [(place, len(levels) - 1 - place) for place in range(len(levels) // 2)]
    return [(low, high, levels[high] - levels[low]) for low, high in pairs]


def _draw_window(axes: "Axes", window: Shown, intervals: list[tuple[int, int, float]]) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    horizon = len(window.future)
    past = window.past[-_PAST_SHOWN * horizon :]
    before, after = np.arange(1 - len(past), 1), np.arange(1, horizon + 1)
    for number, (low, high, share) in enumerate(intervals):
        label = f"{share:.0%} interval" if number == 0 else None
        edges = window.quantiles[:, low], window.quantiles[:, high]
        axes.fill_between(after, *edges, color=VALIDATION, alpha=0.12, linewidth=0, label=label)
    axes.plot(before, past, color=BASELINE, linewidth=1.2, label="past")
    axes.plot(after, window.future, color=TRAIN, linewidth=1.6, label="what came")
    axes.plot(after, window.point, color=VALIDATION, linewidth=1.8, label="forecast")
    axes.axvline(0.5, color=BASELINE, linewidth=0.8, linestyle=(0, (5, 4)))
    axes.set_title(window.name, loc="left", fontsize=11, parse_math=False)
    axes.set_xlim(before[0], after[-1])
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
