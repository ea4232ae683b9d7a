"""What a trained language model does with its gradients and gates on a text: pictures, and a few lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqmodels.analysis import pictures
from seqmodels.analysis.gate_activity import Gated, bare, saturation, slow_units
from seqmodels.analysis.reader import Reader
from seqmodels.analysis.style import BLUE, GREY
from seqmodels.cells.base import Composite
from seqmodels.errors import UserError

SHOWN, UNITS = 100, 8
"""Symbols at the end of the text whose gates are drawn, and units of each layer."""


def analyze(reader: Reader, text: str, folder: Path, *, before: Reader | None = None) -> list[str]:
    """Draws `gradients.png`, and for cells that show their gates `gates.png` and `saturation.png`.

    Args:
      reader: a trained model.
      text: what it reads, some hundreds of symbols; the gates are drawn over the last hundred.
      folder: where the pictures go; it is made if it is not there.
      before: the same model at the start of its training, whose gradients are drawn too, dashed.

    Returns:
      Lines to be shown: the largest Lyapunov exponent, how far the gradient of the last symbol's cost reaches, and by
      layer and gate the shares of time closed and open.

    Raises:
      UserError: if the text is too short, or the folder cannot be written to.
    """
    symbols = reader.symbols(text)
    if len(symbols) < 2:
        raise UserError(f"the text to be analysed must have two symbols at least (got {len(symbols)})")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [*_flow_lines(reader, before, text, folder), *_gate_lines(reader, text, folder)]
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


def _flow_lines(reader: Reader, before: Reader | None, text: str, folder: Path) -> Iterator[str]:
    norms = np.asarray(reader.flow(text))
    flows = [pictures.Flow("all layers", norms, BLUE)]
    title = "The cost of the last symbol, seen from before"
    if before is not None:
        flows.append(pictures.Flow("before training", np.asarray(before.flow(text)), GREY, dashed=True))
        title += " (dashed: before training)"
    pictures.draw_flows({"": flows}, folder / "gradients.png", title=title)
    reach = np.flatnonzero(norms[::-1] >= 0.01 * norms.max())[-1] + 1
    yield f"largest Lyapunov exponent      {reader.lyapunov(text):+.4f} nats per symbol"
    yield f"gradient above 1% of its peak  for {reach:,} symbols back (of {len(norms):,})"


def _gate_lines(reader: Reader, text: str, folder: Path) -> Iterator[str]:
    cells = list(_cells(reader.model.cell))
    silent = sorted({type(bare(cell)).__name__ for cell in cells if not isinstance(bare(cell), Gated)})
    if silent:
        yield f"gates                          not shown by {', '.join(silent)}"
        return
    symbols = reader.symbols(text)[-SHOWN:]
    bands: dict[str, Any] = {}
    shares: dict[str, Any] = {}
    for layer, activity in enumerate(_tuples(reader.activity(text)), start=1):
        units: dict[int, Any] = {}  # of gates of one width the same ones are shown
        for gate, share in saturation(activity).items():
            name, values = f"layer {layer}, gate {gate}", np.asarray(getattr(activity, gate))
            shown = units.setdefault(values.shape[1], slow_units(values, UNITS))
            bands[name] = values[-SHOWN:, shown]
            shares[name] = share
            yield f"{name:<30} closed {share.closed.mean():.0%} of the time, open {share.open.mean():.0%}"
    pictures.draw_gates(symbols, bands, folder / "gates.png", title=f"Gates of up to {UNITS} units of each layer")
    pictures.draw_saturation(shares, folder / "saturation.png", title="How often gates are open and closed")


def _cells(cell: Any) -> Iterator[Any]:
    """The cells of a stack, from the bottom."""
    if isinstance(cell, Composite):
        for part in cell.parts:
            yield from _cells(part)
    else:
        yield cell


def _tuples(activity: Any) -> Iterator[Any]:
    """The NamedTuples in a nest of tuples, in order."""
    if hasattr(activity, "_fields"):
        yield activity
    else:
        for part in activity:
            yield from _tuples(part)
