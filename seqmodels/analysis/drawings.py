"""Drawings of how recurrent networks are built: unrolled in time, the memory cell, its functions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqmodels.analysis.style import BLUE, GREEN, GREY, PURPLE, VERMILION, canvas, save, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#222222"
Point = tuple[float, float]


def draw_unrolled(path: Path) -> None:
    """One cell with a loop, and the same cell once for each step, with the way of the gradient back.

    Args:
      path: the picture.
    """
    picture = canvas(10, 3.6, "One cell, applied again and again with the same weights")
    axes = _sheet(picture, 20.0, 6.1)
    _cell(axes, 1.6, "$x_t$", "$y_t$")
    _line(axes, [(2.4, 3.5), (3.2, 3.5), (3.2, 4.6), (0.0, 4.6), (0.0, 3.5)], BLUE)
    _arrow(axes, (0.0, 3.5), (0.8, 3.5), BLUE)
    _text(axes, (2.7, 4.95), "$W_{hh}$", BLUE, size=9)
    _text(axes, (4.4, 3.5), "=", INK, size=22)
    places = [(6.9, "1"), (10.1, "2"), (13.3, "3"), (17.5, "T")]
    _arrow(axes, (5.3, 3.5), (6.1, 3.5), BLUE)
    _text(axes, (5.6, 3.95), "$h_0$", INK)
    for (x, t), (following, _) in zip(places, [*places[1:], (20.0, "")], strict=True):
        _cell(axes, x, f"$x_{t}$", f"$y_{t}$")
        if t == "3":
            _arrow(axes, (x + 0.8, 3.5), (x + 1.6, 3.5), BLUE)
            _text(axes, (x + 2.1, 3.5), "⋯", INK, size=18)
            _arrow(axes, (x + 2.6, 3.5), (following - 0.8, 3.5), BLUE)
        elif t != "T":
            _arrow(axes, (x + 0.8, 3.5), (following - 0.8, 3.5), BLUE)
            _text(axes, ((x + following) / 2, 3.95), f"$h_{t}$", INK)
            _text(axes, ((x + following) / 2, 3.1), "$W_{hh}$", BLUE, size=9)
    _back(axes, [x for x, _ in places])
    save(picture, path)


def _cell(axes: "Axes", x: float, below: str, above: str) -> None:
    """A cell with its input from below and its output on top."""
    _box(axes, (x, 3.5), 1.6, 1.3, "cell", BLUE)
    _arrow(axes, (x, 1.7), (x, 2.85), GREEN)
    _text(axes, (x, 1.4), below, INK)
    _text(axes, (x + 0.45, 2.2), "$W_{ih}$", GREEN, size=9)
    _arrow(axes, (x, 4.15), (x, 5.25), INK)
    _text(axes, (x, 5.6), above, INK)


def _back(axes: "Axes", places: list[float]) -> None:
    """The way of the gradient, below the cells."""
    _line(axes, [(places[-1], 0.75), (places[0] - 1.2, 0.75)], VERMILION, dashed=True)
    _arrow(axes, (places[0] - 1.1, 0.75), (places[0] - 1.6, 0.75), VERMILION)
    text = r"back-propagation:  $\partial L/\partial h_{t-1} = J_t^{\top}\,\partial L/\partial h_t$,  one factor a step"
    _text(axes, ((places[0] + places[-1]) / 2, 0.25), text, VERMILION, size=10)


def draw_memory_cell(path: Path) -> None:
    """The memory cell: what the write, forget and read gates do to the memory.

    Args:
      path: the picture.
    """
    picture = canvas(10, 5.2, "The memory cell and its three gates")
    axes = _sheet(picture, 20.0, 10.4)
    _memory_line(axes)
    gates = [
        (4.6, r"$\sigma$", "$f_t$", "forget gate:\nwhat is kept", VERMILION),
        (8.0, r"$\sigma$", "$i_t$", "write gate:\nwhat is written", GREEN),
        (11.2, r"$\tanh$", "$g_t$", "candidate:\nwhat there is to write", GREY),
        (14.8, r"$\sigma$", "$o_t$", "read gate:\nwhat is shown", PURPLE),
    ]
    _line(axes, [(1.0, 1.2), (14.8, 1.2)], INK)
    _text(axes, (0.9, 1.6), "$x_t,\\; h_{t-1}$", INK)
    for x, function, name, meaning, colour in gates:
        _arrow(axes, (x, 1.2), (x, 2.55), INK)
        _box(axes, (x, 3.1), 1.5, 1.1, function, colour)
        _text(axes, (x + 0.4, 4.05), name, colour)
        _text(axes, (x, 0.45), meaning, colour, size=9)
    _arrow(axes, (4.6, 3.65), (4.6, 7.75), VERMILION)
    _arrow(axes, (8.0, 3.65), (8.0, 5.25), GREEN)
    _line(axes, [(11.2, 3.65), (11.2, 5.6)], GREY)
    _arrow(axes, (11.2, 5.6), (8.35, 5.6), GREY)
    _node(axes, (8.0, 5.6), "×", GREEN)
    _arrow(axes, (8.0, 5.95), (8.0, 7.75), GREEN)
    _arrow(axes, (14.8, 3.65), (14.8, 4.75), PURPLE)
    save(picture, path)


def _memory_line(axes: "Axes") -> None:
    """The memory from step to step, on top, and what is read of it."""
    y = 8.1
    for start, end in ((1.0, 4.25), (4.95, 7.65), (8.35, 19.0)):
        _arrow(axes, (start, y), (end, y), BLUE, width=2.6)
    _node(axes, (4.6, y), "×", VERMILION)
    _node(axes, (8.0, y), "+", GREEN)
    _text(axes, (1.3, y + 0.55), "$c_{t-1}$", BLUE)
    _text(axes, (18.7, y + 0.55), "$c_t$", BLUE)
    _text(axes, (9.3, 9.45), r"the memory:  $c_t = f_t \odot c_{t-1} + i_t \odot g_t$", BLUE, size=12)
    _line(axes, [(14.8, y), (14.8, 7.3)], BLUE)
    _box(axes, (14.8, 6.8), 1.5, 0.9, r"$\tanh$", BLUE)
    _arrow(axes, (14.8, 6.35), (14.8, 5.45), BLUE)
    _node(axes, (14.8, 5.1), "×", PURPLE)
    _arrow(axes, (15.15, 5.1), (19.0, 5.1), INK)
    _text(axes, (17.4, 5.6), r"$h_t = o_t \odot \tanh(c_t)$", INK, size=11)


def draw_functions(path: Path) -> None:
    """Sigmoid and tanh, and their derivatives, which are what a gradient is multiplied by.

    Args:
      path: the picture.
    """
    picture = canvas(10, 3.8, "The functions of a gate and of what it lets through")
    left, right = picture.subplots(1, 2)
    z = np.linspace(-6.0, 6.0, 481)
    sigmoid, tanh = 1.0 / (1.0 + np.exp(-z)), np.tanh(z)
    left.plot(z, sigmoid, color=VERMILION, linewidth=2, label=r"$\sigma(z) = 1/(1+e^{-z})$: a gate, 0 shut to 1 open")
    left.plot(z, tanh, color=BLUE, linewidth=2, label=r"$\tanh(z)$: a value, −1 to 1")
    left.set_ylim(-1.08, 1.6)
    left.set_ylabel("function")
    of_sigmoid, of_tanh = r"$\sigma'(z) = \sigma(1-\sigma) \leq 1/4$", r"$\tanh'(z) = 1-\tanh^2 \leq 1$"
    right.plot(z, sigmoid * (1.0 - sigmoid), color=VERMILION, linewidth=2, label=of_sigmoid)
    right.plot(z, 1.0 - tanh**2, color=BLUE, linewidth=2, label=of_tanh)
    right.set_ylim(-0.02, 1.3)
    right.set_ylabel("derivative")
    for axes in (left, right):
        tidy(axes)
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        axes.set_xlim(-6, 6)
        axes.set_xlabel("pre-activation z")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
    save(picture, path)


def draw_capping(path: Path, *, cap: float = 1.0) -> None:
    """One gradient, its norm capped and each of its values capped.

    Args:
      path: the picture.
      cap: the largest norm, and the largest value.
    """
    picture = canvas(5.2, 4.4, "Two ways of capping a gradient")
    axes = picture.subplots()
    gradient = np.array([2.6, 0.9])
    ends = [
        (gradient, GREY, "the gradient"),
        (gradient * cap / np.linalg.norm(gradient), BLUE, "norm capped: same direction"),
        (np.clip(gradient, -cap, cap), VERMILION, "values capped: turned"),
    ]
    turn = np.linspace(0.0, 2.0 * np.pi, 200)
    axes.plot(cap * np.cos(turn), cap * np.sin(turn), color=BLUE, linewidth=1, linestyle=":")
    axes.plot([cap, cap, -cap], [-cap, cap, cap], color=VERMILION, linewidth=1, linestyle=":")
    for end, colour, name in ends:
        axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.2})
        axes.plot([], [], color=colour, linewidth=2.2, label=name)
    tidy(axes)
    axes.set_aspect("equal")
    axes.set_xlim(-0.4, 3.0)
    axes.set_ylim(-0.4, 2.1)
    axes.set_xlabel("∂L/∂θ₁")
    axes.set_ylabel("∂L/∂θ₂")
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    save(picture, path)


def _sheet(picture: Any, width: float, height: float) -> "Axes":
    """Empty axes without a frame, with lengths alike in both directions."""
    axes: Axes = picture.subplots()
    axes.set_xlim(-0.2, width)
    axes.set_ylim(0.0, height)
    axes.set_aspect("equal")
    axes.axis("off")
    return axes


def _box(axes: "Axes", centre: Point, width: float, height: float, text: str, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 - importing this module must stay cheap

    corner = (centre[0] - width / 2, centre[1] - height / 2)
    look: dict[str, Any] = {"facecolor": "white", "edgecolor": colour, "linewidth": 2, "zorder": 3}
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.25", **look))
    _text(axes, centre, text, colour, size=13)


def _node(axes: "Axes", centre: Point, text: str, colour: str) -> None:
    from matplotlib.patches import Circle  # noqa: PLC0415 - as above

    axes.add_patch(Circle(centre, 0.35, facecolor="white", edgecolor=colour, linewidth=2, zorder=3))
    _text(axes, centre, text, colour, size=13)


def _arrow(axes: "Axes", start: Point, end: Point, colour: str, width: float = 1.6) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    axes.annotate("", end, start, arrowprops=style, zorder=2)


def _line(axes: "Axes", points: list[Point], colour: str, *, dashed: bool = False) -> None:
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color=colour, linewidth=1.6, linestyle="--" if dashed else "-", solid_capstyle="round", zorder=2)


def _text(axes: "Axes", place: Point, text: str, colour: str, *, size: float = 12) -> None:
    axes.text(*place, text, color=colour, fontsize=size, ha="center", va="center", zorder=4)
