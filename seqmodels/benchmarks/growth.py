"""How time and memory of a training step grow with its sizes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqmodels.analysis.style import BLUE, GREEN, GREY, PURPLE, VERMILION, canvas, save, tidy
from seqmodels.benchmarks.report import table
from seqmodels.benchmarks.timing import measure
from seqmodels.cells import GRU, LSTM, RNN, Stack
from seqmodels.engines import unroll

BASE = {"T": 128, "B": 16, "H": 128, "layers": 1}
GROWTH = {"T": (32, 128, 512, 2048), "B": (1, 4, 16, 64), "H": (32, 64, 128, 256, 512), "layers": (1, 2, 4)}
CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
RUNS = {
    ("lstm", "fused"): BLUE,
    ("lstm", "scan"): VERMILION,
    ("lstm", "chunked"): GREEN,
    ("gru", "fused"): PURPLE,
    ("rnn", "fused"): GREY,
}
"""Cells and engines, and the colours of their curves."""


class Point(NamedTuple):
    """One cell with one engine at one size, all other sizes as in `BASE`."""

    size: str
    value: int
    cell: str
    engine: str
    seconds: list[float]
    median_s: float
    temporary: int


def run_all(*, rounds: int) -> Iterator[Point]:
    """Size by size; those of one size are timed in turns."""
    for size, values in GROWTH.items():
        for value in values:
            steps = {(cell, engine): _step(cell, engine, BASE | {size: value}) for cell, engine in RUNS}
            runs = {f"{cell} {engine}": run for (cell, engine), (run, _) in steps.items()}
            samples = measure(runs, rounds=rounds)
            for (cell, engine), (_, temporary) in steps.items():
                name = f"{cell} {engine}"
                yield Point(size, value, cell, engine, samples.seconds[name], samples.median(name), temporary)


def _step(name: str, engine: str, sizes: dict[str, int]) -> tuple[Any, int]:
    """A training step that waits for its result, and its bytes of temporary memory."""
    T, B, H = sizes["T"], sizes["B"], sizes["H"]  # noqa: N806 (as in the equations)
    cell = Stack((CELLS[name](hidden_size=H),) * sizes["layers"])
    params = cell.init(jax.random.key(0), H)
    xs = jax.random.normal(jax.random.key(1), (B, T, H))

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(unroll(cell, params, xs, method=engine)[1]))

    compiled: Any = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
    temporary = int(compiled.memory_analysis().temp_size_in_bytes)
    return lambda: jax.block_until_ready(compiled(params, xs)), temporary  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def rows(points: Sequence[Point]) -> list[str]:
    """The points as a table."""
    return table(
        ["", "Cell", "Engine", "ms (median)", "Temporary, MB"],
        [
            [f"{p.size} = {p.value}", p.cell, p.engine, f"{1e3 * p.median_s:.2f}", f"{p.temporary / 1e6:.2f}"]
            for p in points
        ],
    )


def as_json(points: Iterable[Point]) -> list[dict[str, Any]]:
    """Every sample."""
    return [point._asdict() for point in points]


def draw(points: Sequence[Point], path: Path) -> None:
    """Time above, memory below, a column for each size; both axes logarithmic.

    Raises:
      OSError: if the picture cannot be written.
    """
    sizes = list(dict.fromkeys(point.size for point in points))
    rest = ", ".join(f"{size} = {value}" for size, value in BASE.items())
    picture = canvas(3.0 * len(sizes) + 1.2, 6.2, f"A training step; where nothing else is said {rest}")
    axes = picture.subplots(2, len(sizes), sharex="col", sharey="row", squeeze=False)
    for column, size in enumerate(sizes):
        for (cell, engine), colour in RUNS.items():
            mine = [p for p in points if (p.size, p.cell, p.engine) == (size, cell, engine)]
            values = [p.value for p in mine]
            style = {"color": colour, "label": f"{cell}, {engine}", "marker": "o", "markersize": 4}
            axes[0][column].plot(values, [1e3 * p.median_s for p in mine], **style)
            axes[1][column].plot(values, [p.temporary / 1e6 for p in mine], **style)
        for row in axes:
            tidy(row[column])
            row[column].set(xscale="log", yscale="log")
            row[column].set_xticks(values, [f"{value:,}" for value in values])
            row[column].minorticks_off()
        axes[1][column].set_xlabel(size)
    axes[0][0].set_ylabel("training step, ms")
    axes[1][0].set_ylabel("temporary memory, MB")
    axes[0][0].legend(fontsize=8, frameon=False)
    save(picture, path)
