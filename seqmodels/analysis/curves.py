"""One picture of a run: its objective, gradient norm and learning rate over the steps."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seqmodels.analysis.png import write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From Okabe and Ito's palette, whose colours stay apart for colour-blind readers.
TRAIN, VALIDATION, CAP, RATE, BASELINE = "#0072B2", "#D55E00", "#9C4F80", "#00795A", "#595959"
UNITS = {
    "bits_per_char": "bits per character",
    "bits_per_byte": "bits per byte",
    "loss_nats": "loss (nats)",
    "frame_nats": "nats per frame",
    "mse": "mean squared error",
    "error_percent": "errors (%)",
}
SMOOTHED_FROM = 60
"""Number of points from which on a running mean is drawn over the raw ones."""


class Series(NamedTuple):
    """One curve.

    Attributes:
      steps: the steps at which there is a finite value, in the order of the rows.
      values: the values there.
    """

    steps: list[float]
    values: list[float]


class Label(NamedTuple):
    """A name at the right edge of the axes, at the height of what it names."""

    value: float
    text: str
    colour: str


def draw(
    rows: Sequence[Mapping[str, float | None]],
    path: Path,
    *,
    objective: str,
    baselines: Mapping[str, float],
    title: str,
    clip_norm: float | None = None,
) -> None:
    """Writes the curves of a run as a PNG of 1200 x 800 pixels; a file of that name is replaced whole.

    Args:
      rows: rows of `metrics.jsonl`, each with `step` and any of `train/<objective>`, `valid/<objective>`,
        `grad_norm` and `learning_rate`; values that are missing, None or not finite are left out.
      path: the picture.
      objective: the quantity on the upper axes, such as `bits_per_char`; lower is better.
      baselines: what simple methods reach, by name, in the objective's unit.
      title: the headline.
      clip_norm: the gradient cap by global norm, if there is one.

    Raises:
      OSError: if the picture cannot be written.
    """
    write_png(figure(rows, objective=objective, baselines=baselines, title=title, clip_norm=clip_norm), path)


def figure(
    rows: Sequence[Mapping[str, float | None]],
    *,
    objective: str,
    baselines: Mapping[str, float],
    title: str,
    clip_norm: float | None = None,
) -> "Figure":
    """Returns the picture that `draw` writes, to change or to show; the arguments are those of `draw`."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - importing this module must stay cheap

    picture = Figure(figsize=(12, 8), dpi=100)
    picture.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    panels = picture.subplot_mosaic([["objective", "objective"], ["norm", "rate"]], height_ratios=[1.9, 1])
    picture.suptitle(title, fontsize=15, fontweight="bold", x=0.012, horizontalalignment="left", parse_math=False)
    for axes in panels.values():
        _tidy(axes, rows, ticks=10 if axes is panels["objective"] else 5)
    _draw_objective(panels["objective"], rows, objective, baselines)
    _draw_norm(panels["norm"], series(rows, "grad_norm"), clip_norm)
    _draw_rate(panels["rate"], series(rows, "learning_rate"))
    return picture


def series(rows: Sequence[Mapping[str, float | None]], key: str) -> Series:
    """Returns the finite values of one key.

    Example:
      >>> series([{"step": 1, "a": 2.0}, {"step": 2, "a": None}, {"step": 3}], "a")
      Series(steps=[1.0], values=[2.0])
    """
    points = [(row["step"], row.get(key)) for row in rows]
    found = [(float(step), float(value)) for step, value in points if step is not None and value is not None]
    finite = [(step, value) for step, value in found if math.isfinite(value)]
    return Series([step for step, _ in finite], [value for _, value in finite])


def running_mean(values: Sequence[float], reach: int) -> list[float]:
    """Returns the mean of each value and its neighbours up to `reach` places away, fewer at the ends.

    Example:
      >>> running_mean([0.0, 3.0, 6.0, 0.0], reach=1)
      [1.5, 3.0, 3.0, 3.0]
    """
    windows = [values[max(place - reach, 0) : place + reach + 1] for place in range(len(values))]
    return [math.fsum(window) / len(window) for window in windows]


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Moves heights apart, as little as is needed, until neighbours are at least a gap apart.

    Heights that would touch form a group, centred on the mean of its members; groups that touch join.

    Args:
      heights: wanted places, in any order.
      gap: least distance between two of them.

    Returns:
      The new places, in the order of `heights`.

    Example:
      >>> spread([5.0, 1.0, 1.5], gap=1.0)
      [5.0, 0.75, 1.75]
    """
    order = sorted(range(len(heights)), key=heights.__getitem__)
    groups: list[list[int]] = []
    for index in order:
        groups.append([index])
        while len(groups) > 1 and _bottom(groups[-1], heights, gap) < _top(groups[-2], heights, gap) + gap:
            last = groups.pop()
            groups[-1] = groups[-1] + last
    placed = {
        index: _bottom(group, heights, gap) + gap * place for group in groups for place, index in enumerate(group)
    }
    return [placed[index] for index in range(len(heights))]


def _bottom(group: list[int], heights: Sequence[float], gap: float) -> float:
    return math.fsum(heights[index] for index in group) / len(group) - gap * (len(group) - 1) / 2


def _top(group: list[int], heights: Sequence[float], gap: float) -> float:
    return _bottom(group, heights, gap) + gap * (len(group) - 1)


def _tidy(axes: "Axes", rows: Sequence[Mapping[str, float | None]], ticks: int) -> None:
    """Sets what all axes share: the range and numbers of the steps, a light grid, no box."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter  # noqa: PLC0415 - as above

    steps = [step for row in rows if (step := row["step"]) is not None]
    last = max(steps, default=1)
    axes.set_xlim(min(0, *steps) if steps else 0, max(last, 1))
    axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("step")
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_objective(
    axes: "Axes", rows: Sequence[Mapping[str, float | None]], objective: str, baselines: Mapping[str, float]
) -> None:
    train, validation = series(rows, f"train/{objective}"), series(rows, f"valid/{objective}")
    finite = {name: value for name, value in baselines.items() if math.isfinite(value)}
    axes.set_ylabel(UNITS[objective] if objective in UNITS else objective.replace("_", " "))
    labels = [Label(value, f"{name} {value:.4g}", BASELINE) for name, value in finite.items()]
    for value in finite.values():
        axes.axhline(value, color=BASELINE, linewidth=1, linestyle=(0, (5, 4)))
    if train.values:
        mean = _noisy_line(axes, train, TRAIN)
        labels.append(Label(mean[-1], f"train {mean[-1]:.4g}", TRAIN))
    if validation.values:
        axes.plot(*validation, color=VALIDATION, linewidth=2, marker="o", markersize=4, zorder=4, clip_on=False)
        labels.append(Label(validation.values[-1], f"validation {validation.values[-1]:.4g}", VALIDATION))
    if not train.values and not validation.values:
        _say_nothing_logged(axes)
    if labels:
        low, high = _range(train.values, [*validation.values, *finite.values()])
        axes.set_ylim(low, high)
        _label(axes, labels, gap=0.052 * (high - low))
    if validation.values:
        _mark_best(axes, validation)


def _range(train: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Returns the heights to show: all, but for the steep start of a curve that would squeeze the rest."""
    late = sorted(train[len(train) // 20 :])
    kept = [*late[: math.ceil(0.99 * len(late))], *others]
    low, high = min(kept), max(kept)
    room = (high - low) or abs(high) or 1.0
    top = max([high, *train])
    return low - 0.06 * room, (top if top <= high + room / 2 else high) + 0.06 * room


def _noisy_line(axes: "Axes", curve: Series, colour: str) -> Sequence[float]:
    """Draws a noisy curve, with its running mean once there are many points; returns what is drawn on top."""
    if len(curve.values) < SMOOTHED_FROM:
        _line(axes, curve, colour)
        return curve.values
    mean = running_mean(curve.values, reach=len(curve.values) // 50)
    axes.plot(*curve, color=colour, linewidth=0.8, alpha=0.3)
    _line(axes, Series(curve.steps, mean), colour)
    return mean


def _line(axes: "Axes", curve: Series, colour: str) -> None:
    """Draws a line, or a dot where there is one point only."""
    marker = "o" if len(curve.values) == 1 else ""
    axes.plot(*curve, color=colour, linewidth=2, marker=marker, zorder=3, clip_on=not marker)


def _label(axes: "Axes", labels: Sequence[Label], gap: float) -> None:
    """Writes the labels right of the axes, apart from each other, each led to by a short line."""
    across = axes.get_yaxis_transform()
    low, high = axes.get_ylim()
    heights = [min(max(label.value, low), high) for label in labels]
    for label, height, place in zip(labels, heights, spread(heights, gap), strict=True):
        axes.plot([1.0, 1.018], [height, place], color=label.colour, linewidth=1, clip_on=False, transform=across)
        axes.text(
            1.022,
            place,
            label.text,
            color=label.colour,
            fontweight="normal" if label.colour == BASELINE else "bold",
            verticalalignment="center",
            transform=across,
            parse_math=False,
        )


def _mark_best(axes: "Axes", validation: Series) -> None:
    best = min(validation.values)
    step = validation.steps[validation.values.index(best)]
    axes.plot(step, best, "o", color=VALIDATION, markersize=11, markeredgewidth=2, fillstyle="none", clip_on=False)
    text = f"best validation (circled): {best:.4g} at step {step:,.0f}"
    axes.set_title(text, loc="right", fontsize=11, color=VALIDATION)


def _draw_norm(axes: "Axes", norm: Series, clip_norm: float | None) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415 - as above

    axes.set_ylabel("gradient norm" if clip_norm is None else "gradient norm, before the cap")
    positive = [(step, value) for step, value in zip(*norm, strict=True) if value > 0]
    if not positive:
        _say_nothing_logged(axes)
        return
    axes.set_yscale("log")
    _noisy_line(axes, Series([step for step, _ in positive], [value for _, value in positive]), TRAIN)
    shown = [value for _, value in positive] + ([] if clip_norm is None else [clip_norm])
    low, high = min(shown) / 1.3, max(shown) * 1.3
    widen = max(1.0, math.sqrt(10 * low / high))
    axes.set_ylim(low / widen, high * widen)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1e3 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if clip_norm is not None:
        axes.axhline(clip_norm, color=CAP, linewidth=1.2, linestyle=(0, (5, 4)), zorder=4)
        _label(axes, [Label(clip_norm, f"cap {clip_norm:g}", CAP)], gap=1.0)


def _draw_rate(axes: "Axes", rate: Series) -> None:
    axes.set_ylabel("learning rate")
    if not rate.values:
        _say_nothing_logged(axes)
        return
    _line(axes, rate, RATE)
    axes.set_ylim(0, 1.08 * max(rate.values) or 1.0)


def _say_nothing_logged(axes: "Axes") -> None:
    axes.text(0.5, 0.5, "nothing logged", color=BASELINE, horizontalalignment="center", transform=axes.transAxes)
