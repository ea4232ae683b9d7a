"""The picture of a sweep: its objective trial by trial, and against each key that was drawn."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqmodels.analysis.curves import UNITS
from seqmodels.analysis.png import write_png
from seqmodels.analysis.style import BLUE, GREY, VERMILION, canvas, tidy
from seqmodels.sweeps.ranges import Range
from seqmodels.sweeps.tables import Sweep
from seqmodels.sweeps.trials import Trial, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_SPREAD = 4.0
"""So many times as far from the best as the median is shown; what is worse lies at the edge."""


def draw(trials: Sequence[Trial], sweep: Sweep, path: Path) -> None:
    """Writes the picture of a sweep as a PNG; a file of that name is replaced whole.

    Args:
      trials: at least one of them complete.
      sweep: what was asked for.
      path: the picture.

    Raises:
      OSError: if it cannot be written.
    """
    write_png(figure(trials, sweep), path)


def figure(trials: Sequence[Trial], sweep: Sweep) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`."""
    maximize = sweep.table.direction == "maximize"
    best = ranked(trials, maximize=maximize)
    rows = math.ceil(len(sweep.space) / _COLUMNS)
    picture = canvas(12, 4.4 + 3.4 * rows)
    picture.suptitle(sweep.name, fontsize=15, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    grid = picture.add_gridspec(1 + rows, _COLUMNS, height_ratios=[4.0, *[3.4] * rows])
    shown = _shown(trials, best, maximize)
    unit = _unit(str(best[0].objective))
    history = picture.add_subplot(grid[0, :], ylabel=unit)
    _draw_history(history, trials, shown, best, maximize)
    for number, (key, range_) in enumerate(sweep.space.items()):
        row, column = divmod(number, _COLUMNS)
        axes = picture.add_subplot(grid[1 + row, column], sharey=history, ylabel="" if column else unit)
        _draw_key(axes, key, range_, shown, best[0])
    return picture


class _Point(NamedTuple):
    """A trial with a value, and the height at which it is drawn."""

    trial: Trial
    height: float
    complete: bool


def _shown(trials: Sequence[Trial], best: Sequence[Trial], maximize: bool) -> list[_Point]:
    """The trials that have a value, without heights that would squeeze the rest."""
    values = [trial.value for trial in best if trial.value is not None]
    reach = _SPREAD * abs(statistics.median(values) - values[0]) or math.inf
    low, high = (values[0] - reach, values[0]) if maximize else (values[0], values[0] + reach)
    return [
        _Point(trial, min(max(trial.value, low), high), trial.state == "complete")
        for trial in trials
        if trial.state in ("complete", "pruned") and trial.value is not None
    ]


def _draw_history(
    axes: "Axes", trials: Sequence[Trial], shown: Sequence[_Point], best: Sequence[Trial], maximize: bool
) -> None:
    """The objective by trial, with the best so far."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - importing this module must stay cheap

    tidy(axes)
    steps: list[int] = []
    so_far: list[float] = []
    for point in shown:
        if point.complete:
            steps.append(point.trial.number)
            so_far.append((max if maximize else min)([point.height, *so_far[-1:]]))
    last = max(trial.number for trial in trials)
    axes.step([*steps, last], [*so_far, so_far[-1]], where="post", color=VERMILION, linewidth=2, label="best so far")
    for complete, colour, fill, label in ((True, BLUE, "full", "complete"), (False, GREY, "none", "pruned")):
        points = [point for point in shown if point.complete is complete]
        where = [point.trial.number for point in points], [point.height for point in points]
        axes.plot(*where, "o", color=colour, fillstyle=fill, label=label, zorder=3)
    height = next(point.height for point in shown if point.trial == best[0])
    axes.plot(best[0].number, height, "o", color=VERMILION, zorder=4)
    lost = [trial.number for trial in trials if trial.state in ("diverged", "failed")]
    if lost:
        across = axes.get_xaxis_transform()
        axes.plot(lost, [0.97] * len(lost), "x", color=GREY, transform=across, label="diverged or failed")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, ncols=4)
    title = f"best (in orange): {best[0].value:.4g} in trial {best[0].number}"
    axes.set_title(title, loc="left", fontsize=11, color=VERMILION)


def _draw_key(axes: "Axes", key: str, range_: Range, shown: Sequence[_Point], best: Trial) -> None:
    """The objective against one key."""
    tidy(axes)
    places = {choice: place for place, choice in enumerate(range_.choices or ())}
    for point in shown:
        value = point.trial.params[key]
        colour = VERMILION if point.trial == best else BLUE if point.complete else GREY
        fill: Any = "full" if point.complete else "none"
        axes.plot(places[value] if places else value, point.height, "o", color=colour, fillstyle=fill)
    if places:
        axes.set_xticks(range(len(places)), [str(choice)[:20] for choice in places], parse_math=False)
        axes.set_xlim(-0.5, len(places) - 0.5)
    else:
        _scale(axes, range_)
    axes.set_xlabel(key)


def _scale(axes: "Axes", range_: Range) -> None:
    """The horizontal scale of numbers."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415 - as above

    if range_.log:
        low, high = range_.ends
        axes.set_xscale("log")
        axes.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if high / low < 1e3 else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=range_.whole))


def _unit(objective: str) -> str:
    name = objective.removeprefix("valid/")
    return UNITS.get(name, name.replace("_", " "))
