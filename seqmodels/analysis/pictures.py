"""Pictures of what the analysis finds: gradients over time, spectra, gates over a text, saturation, the wall."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seqmodels.analysis.clipping import Descent, Wall, wall_bias
from seqmodels.analysis.curves import Label
from seqmodels.analysis.gate_activity import SATURATED, Saturation
from seqmodels.analysis.jacobians import Spectrum
from seqmodels.analysis.style import BLUE, GREY, VERMILION, canvas, label_ends, save, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_SHOWN = 1e-15
"""Gradients below it are as good as none, and would take up most of a logarithmic picture."""

LEAST_POWER = -30
"""Singular values below this power of ten are off the picture."""

LEAST_ROWS = 3
"""A band is as high as so many units at least: the ends of its scale would lie one on the other."""

LEAST_WIDTH, LONGEST_NAME = 6.5, 14
"""A picture of few steps is so many inches wide, for its title; of a longer name the first letters are shown."""

TEXT_MARKS = {"\n": "↵", "\t": "⇥"}


class Flow(NamedTuple):
    """One curve of gradient norms.

    Attributes:
      name: what it is called.
      norms: by time [T], for the state that each step reads; the last one is one step before the loss.
      colour: of the curve.
      dashed: drawn dashed and without a name at its end.
    """

    name: str
    norms: Any
    colour: str
    dashed: bool = False


def draw_flows(
    panels: Mapping[str, Sequence[Flow]],
    path: Path,
    *,
    title: str,
    quantity: str = r"$\Vert\,\partial L/\partial s_t\,\Vert$",
) -> None:
    """Gradient norms over the steps back from the loss, on a logarithmic axis; a panel for each heading.

    Args:
      panels: curves by the panel's heading.
      path: the picture.
      title: the headline.
      quantity: what the vertical axis shows.
    """
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    picture = canvas(5.6 * columns if columns > 1 else 8.5, 4.4 if rows == 1 else 3.5 * rows, title)
    for axes, (heading, flows) in zip(_panels(picture, len(panels), columns), panels.items(), strict=True):
        _draw_flows(axes, flows)
        axes.set_title(heading, fontsize=10, loc="left")
        axes.set_ylabel(quantity)
    save(picture, path)


def _draw_flows(axes: "Axes", flows: Sequence[Flow]) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - importing this module must stay cheap

    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_yscale("log")
    shown = [np.maximum(np.asarray(flow.norms, np.float64)[::-1], LEAST_SHOWN) for flow in flows]
    for flow, norms in zip(flows, shown, strict=True):
        visible = np.where(norms > LEAST_SHOWN, norms, np.nan)
        style = (0, (4, 2)) if flow.dashed else "-"
        axes.plot(np.arange(1, len(norms) + 1), visible, color=flow.colour, linewidth=1.8, linestyle=style)
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    axes.set_ylim(low / 2.0, 2.0 * high)
    axes.set_xlim(1, max(2, *map(len, shown)))
    axes.set_xlabel("steps back from the loss")
    ends = [
        Label(norms[-1], flow.name, flow.colour) for flow, norms in zip(flows, shown, strict=True) if not flow.dashed
    ]
    label_ends(axes, ends)


def draw_spectra(spectra: Mapping[str, Spectrum], path: Path, *, title: str) -> None:
    """All singular values of ∂s_T/∂s_{T-k} over the span k, as powers of ten; a panel for each cell.

    Args:
      spectra: by the panel's heading.
      path: the picture.
      title: the headline.
    """
    columns = min(len(spectra), 4)
    picture = canvas(max(3.4 * columns, 6.8), 4.2 * math.ceil(len(spectra) / columns), title)
    panels = _panels(picture, len(spectra), columns, sharey=True)
    extremes = []
    for axes, (heading, spectrum) in zip(panels, spectra.items(), strict=True):
        powers = np.where(np.isneginf(spectrum.log_values), np.nan, spectrum.log_values / np.log(10.0))
        axes.plot(spectrum.spans, powers, color=BLUE, linewidth=0.7, alpha=0.5)
        axes.plot(spectrum.spans, powers[:, 0], color=VERMILION, linewidth=2, label="largest")
        axes.axhline(0.0, color=GREY, linewidth=1, linestyle=(0, (5, 4)))
        tidy(axes)
        axes.set_title(heading, fontsize=10, loc="left")
        axes.set_xlabel("span k (steps)")
        extremes += [float(np.nanmin(powers)), float(np.nanmax(powers))]
    panels[0].set_ylim(max(LEAST_POWER, min(extremes) - 1.0), 1.0 + max(extremes))
    for axes in panels[::columns]:
        axes.set_ylabel(r"$\log_{10}$ of singular values of $\partial s_T/\partial s_{T-k}$")
    panels[0].legend(loc="lower left", frameon=False, fontsize=9)
    save(picture, path)


def draw_gates(text: Sequence[str], bands: Mapping[str, Any], path: Path, *, title: str) -> None:
    """A heat map of activations over a text: symbols across, units down, a band for each gate.

    Args:
      text: what stands at each step, [T]: symbols, or words, which are written upwards where they would touch.
      bands: activations [T, units] by the band's name, from 0 to 1, or from -1 to 1 where some are below 0.
      path: the picture.
      title: the headline.
    """
    heights = [max(np.shape(values)[1], LEAST_ROWS) for values in bands.values()]
    crowded = any(len(name) > 1 and following for name, following in itertools.pairwise(text))
    longest = LONGEST_NAME if crowded else 4
    names = [TEXT_MARKS.get(name, name if len(name) <= longest else name[: longest - 1] + "…") for name in text]
    width = max(1.4 + (0.14 if crowded else 0.104) * len(text), LEAST_WIDTH)
    below = 0.08 * max(map(len, names)) if crowded else 0.0
    picture = canvas(width, 1.0 + 0.13 * sum(heights) + 0.12 * len(bands) + below, title)
    panels = picture.subplots(len(bands), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, values) in zip(panels, bands.items(), strict=True):
        low, colours = (-1, "RdBu") if np.min(values) < 0.0 else (0, "Blues")
        image = axes.imshow(np.asarray(values).T, aspect="auto", cmap=colours, vmin=low, vmax=1, interpolation="none")
        axes.set_ylabel(name, fontsize=9, rotation=0, horizontalalignment="right", verticalalignment="center")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        picture.colorbar(image, ax=axes, pad=0.01, fraction=0.02, ticks=[low, 1])
    panels[-1].set_xticks(range(len(text)), names)
    panels[-1].tick_params(axis="x", length=0, labelsize=9, labelrotation=90 if crowded else 0)
    for label in panels[-1].get_xticklabels():
        label.set(family="monospace", parse_math=False)
    save(picture, path)


def draw_saturation(
    shares: Mapping[str, Saturation], path: Path, *, title: str, before: Mapping[str, Saturation] | None = None
) -> None:
    """How often each unit's gates were open and closed: a point for each unit, a panel for each gate.

    Args:
      shares: by the panel's heading.
      path: the picture.
      title: the headline.
      before: the same at another time, drawn hollow behind it.
    """
    columns = len(shares) if len(shares) <= 4 else 3
    picture = canvas(max(3.3 * columns, 6.6), 3.9 * math.ceil(len(shares) / columns), title)
    panels = _panels(picture, len(shares), columns, sharey=True)
    for axes, (heading, share) in zip(panels, shares.items(), strict=True):
        axes.plot([0, 1], [1, 0], color=GREY, linewidth=0.8)
        if before and heading in before:
            hollow = before[heading]
            axes.plot(hollow.open, hollow.closed, "o", color=GREY, fillstyle="none", markersize=9, clip_on=False)
        axes.plot(share.open, share.closed, "o", color=BLUE, alpha=0.6, markersize=5, clip_on=False)
        tidy(axes)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"share of time open (> {1 - SATURATED:g})")
        axes.set_aspect("equal")
        axes.set_title(heading, fontsize=10, loc="left")
    for axes in panels[::columns]:
        axes.set_ylabel(f"share of time closed (< {SATURATED:g})")
    save(picture, path)


def _panels(picture: "Figure", number: int, columns: int, **options: Any) -> list["Axes"]:
    """Axes in rows of so many; what is left of the last row stays empty."""
    grid = picture.subplots(math.ceil(number / columns), columns, squeeze=False, **options).ravel()
    for spare in grid[number:]:
        spare.set_axis_off()
    return list(grid[:number])


def draw_wall(wall: Wall, descents: Mapping[str, tuple[Descent, str]], path: Path, *, title: str) -> None:
    """The loss of one unit as a surface, and its slope with ways of gradient descent on it.

    Args:
      wall: the grid.
      descents: each with its colour, by name.
      path: the picture.
      title: the headline.
    """
    picture = canvas(11, 4.6, title)
    w, b, losses = np.asarray(wall.weights), np.asarray(wall.biases), np.asarray(wall.losses)
    surface: Any = picture.add_subplot(1, 2, 1, projection="3d")
    surface.plot_surface(*np.meshgrid(w, b), losses, cmap="viridis", rstride=1, cstride=4, linewidth=0)
    surface.view_init(elev=30, azim=-60)
    surface.set(xlabel="weight w", ylabel="bias b", zlabel="loss L")
    axes = picture.add_subplot(1, 2, 2)
    image = axes.pcolormesh(w, b, losses, cmap="viridis", rasterized=True)
    picture.colorbar(image, ax=axes, label="loss L")
    axes.plot(w, wall_bias(w), color="black", linewidth=1.2, linestyle=(0, (5, 4)), label="b = artanh h₀ − w h₀")
    for name, (descent, colour) in descents.items():
        points = np.asarray(descent.points)
        axes.plot(*points.T, "o-", color=colour, linewidth=1.4, markersize=3.5, label=name)
        axes.plot(*points[0], "o", color=colour, markersize=9, fillstyle="none")
    axes.set(xlim=(w[0], w[-1]), ylim=(b[0], b[-1]), xlabel="weight w", ylabel="bias b")
    axes.legend(loc="lower left", fontsize=8, facecolor="#BBBBBB")
    save(picture, path)
