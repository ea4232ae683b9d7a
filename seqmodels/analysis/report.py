"""What a trained model does with its gradients and gates on a sequence: pictures, and a few lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqmodels.analysis import pictures
from seqmodels.analysis.gate_activity import Gated, bare, saturation, slow_units
from seqmodels.analysis.jacobians import Spectrum
from seqmodels.analysis.strands import Layer, Strand, by_cell, strands
from seqmodels.analysis.style import BLUE, GREEN, GREY, PURPLE, VERMILION
from seqmodels.errors import UserError
from seqmodels.training.reading import Reading

SHOWN, UNITS = 100, 8
"""Steps at the end of the sequence that are drawn, and units of each layer."""

SPANNED, SPANS, LARGEST = 100, 12, 512
"""Steps over which Jacobians are multiplied, spans at which the product is looked at, and the largest state for it."""

FEW = 16
"""Inputs of so many features at most are drawn beside what is made of them."""


def analyze(reading: Reading, folder: Path, *, before: Reading | None = None) -> list[str]:
    """Draws what a model does while it reads.

    - `gradients.png`: the norm of the gradient for the state, over the steps back from the loss;
      `gradients_by_layer.png`: the same for each layer and part of its state.
    - `spectrum.png`: the singular values of each layer's product of Jacobians.
    - `memory.png`: what units that change seldom remember, step by step.
    - `gates.png`, `saturation.png`: for cells that show their gates.

    Of a model in two directions there is a panel for each of them, in its order of reading.

    Args:
      reading: of a trained model, some hundreds of steps; memory and gates are drawn over the last hundred.
      folder: where the pictures and the lines, as `report.txt`, go; it is made if it is not there.
      before: the same sequence read by the same model at the start of its training, which is drawn beside it: dashed,
        hollow, or in pictures of its own, `memory_before.png` and `gates_before.png`.

    Returns:
      Lines to be shown: the largest Lyapunov exponent, how far the gradient reaches, by layer and gate the shares of
      time closed and open, and how much each layer stretches a gradient at most.

    Raises:
      UserError: if the sequence is too short, or the folder cannot be written to.
    """
    if len(reading.xs) < 2:
        raise UserError(f"what is analysed must have two {reading.unit}s at least (got {len(reading.xs)})")
    after, start = strands(reading), [] if before is None else strands(before)
    layers, layers_before = ([layer for strand in found for layer in strand.layers()] for found in (after, start))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            *_flow_lines(reading, after, start, folder),
            *_gate_lines(reading, layers, layers_before, folder),
            *_spectrum_lines(layers, layers_before, folder),
        ]
        _draw_memory(reading, layers, folder / "memory.png", title="What units remember that change seldom")
        if layers_before:
            title = "What units remember, before training"
            _draw_memory(reading, layers_before, folder / "memory_before.png", title=title)
        (folder / "report.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
    return lines


def _flow_lines(reading: Reading, after: list[Strand], start: list[Strand], folder: Path) -> Iterator[str]:
    """Gradients over time, of whole states and of their parts."""
    whole: dict[str, list[pictures.Flow]] = {}
    parts: dict[str, list[pictures.Flow]] = {}
    for number, strand in enumerate(after):
        flow = strand.flow()
        norms = flow.total
        whole[strand.name] = [pictures.Flow("all layers", norms, BLUE)]
        of_strand = _by_layer(strand, flow.leaves)
        if start:
            flow = start[number].flow()
            whole[strand.name].append(pictures.Flow("before", flow.total, GREY, dashed=True))
            for layer, flows in _by_layer(strand, flow.leaves).items():
                of_strand[layer] += [one._replace(dashed=True) for one in flows]
        parts |= of_strand
        reach = np.flatnonzero(norms[::-1] >= 0.01 * norms.max())[-1] + 1
        exponents = [f"{one.exponent():+.4f}" for one in (strand, *start[number : number + 1])]
        name, above = ("largest Lyapunov exponent", "gradient above 1% of its peak")
        if strand.name:
            name, above = f"{strand.name}, Lyapunov exponent", f"{strand.name}, gradient above 1%"
        yield f"{name:<30} {exponents[0]} nats per {reading.unit}" + _beside(exponents[1:])
        yield f"{above:<30} for {reach:,} {reading.unit}s back (of {len(norms):,})"
    note = " (dashed: before training)" if start else ""
    title = f"The cost of {reading.asked}, seen from before{note}"
    pictures.draw_flows(whole, folder / "gradients.png", title=title)
    pictures.draw_flows(parts, folder / "gradients_by_layer.png", title=title)


def _by_layer(strand: Strand, norms: Any) -> dict[str, list[pictures.Flow]]:
    """The norms for each part of each layer's state."""
    found = {}
    for number, state in enumerate(by_cell(strand.cell, norms), start=1):
        names, leaves = getattr(state, "_fields", ("state",)), jax.tree.leaves(state)
        flows = zip(names, leaves, (BLUE, VERMILION, GREEN, PURPLE), strict=False)
        found[strand.label(f"layer {number}")] = [pictures.Flow(*flow) for flow in flows]
    return found


def _gate_lines(reading: Reading, layers: list[Layer], before: list[Layer], folder: Path) -> Iterator[str]:
    """What gates do, if all cells show them."""
    silent = sorted({type(bare(layer.cell)).__name__ for layer in layers if not isinstance(bare(layer.cell), Gated)})
    if silent:
        yield f"gates                          not shown by {', '.join(silent)}"
        return
    shares = _draw_gates(reading, layers, folder / "gates.png", title=f"Gates of up to {UNITS} units of each layer")
    shares_before = {}
    if before:
        title = f"Gates of up to {UNITS} units of each layer, before training"
        shares_before = _draw_gates(reading, before, folder / "gates_before.png", title=title)
    for name, share in shares.items():
        yield f"{name:<30} closed {share.closed.mean():.0%} of the time, open {share.open.mean():.0%}"
    title = "How often gates are open and closed" + (" (hollow: before training)" if before else "")
    pictures.draw_saturation(shares, folder / "saturation.png", title=title, before=shares_before)


def _draw_gates(reading: Reading, layers: list[Layer], path: Path, *, title: str) -> dict[str, Any]:
    """The picture; returns the shares of time by layer and gate."""
    bands = _inputs(reading)
    shares: dict[str, Any] = {}
    for layer in layers:
        units: dict[int, Any] = {}  # of gates of one width the same ones are shown
        activity = layer.activity()
        for gate, share in saturation(activity).items():
            name, values = f"{layer.name}, gate {gate}", np.asarray(getattr(activity, gate))
            shown = units.setdefault(values.shape[1], slow_units(values, UNITS))
            bands[name] = values[-SHOWN:, shown]
            shares[name] = share
    pictures.draw_gates(_marks(reading), bands, path, title=title)
    return shares


def _draw_memory(reading: Reading, layers: list[Layer], path: Path, *, title: str) -> None:
    bands = _inputs(reading)
    for layer in layers:
        name, memory = layer.memory()
        values = np.asarray(memory)
        bands |= _scaled(f"{layer.name}, {name}", values[-SHOWN:, slow_units(values, UNITS)])
    pictures.draw_gates(_marks(reading), bands, path, title=title)


def _inputs(reading: Reading) -> dict[str, Any]:
    """The inputs as a band, where they speak for themselves and are few."""
    xs = np.asarray(reading.xs)[-SHOWN:]
    return _scaled("inputs", xs) if reading.names is None and xs.shape[1] <= FEW else {}


def _scaled(name: str, values: Any) -> dict[str, Any]:
    """A band of values from -1 to 1; others are divided by the largest, and the name says so."""
    largest = float(np.max(np.abs(values)))
    return {name: values} if largest <= 1.0 else {f"{name} / {largest:.2g}": values / largest}


def _marks(reading: Reading) -> Sequence[str]:
    """What stands below the last steps: their names, or every tenth of their numbers."""
    names = reading.names
    if names is None:
        names = [str(number) if number % 10 == 0 else "" for number in range(1, len(reading.xs) + 1)]
    return names[-SHOWN:]


def _spectrum_lines(layers: list[Layer], before: list[Layer], folder: Path) -> Iterator[str]:
    """The spectra of layers that are small enough."""
    spectra: dict[str, Spectrum] = {}
    for number, layer in enumerate(layers):
        if layer.size() > LARGEST:
            name = f"{layer.name}, spectrum"
            yield f"{name:<30} not drawn of a state of more than {LARGEST} numbers ({layer.size():,})"
            continue
        steps = min(len(layer.xs), SPANNED)
        spans = tuple(np.unique(np.linspace(1, steps, SPANS).astype(int)).tolist())
        found = {layer.name: layer.spectrum(spans)}
        if before:
            found[f"{layer.name}, before training"] = before[number].spectrum(spans)
        powers = [f"10^{spectrum.log_values[-1, 0] / np.log(10.0):.1f}" for spectrum in found.values()]
        yield f"{layer.name + f', over {steps} steps':<30} stretches a gradient by {powers[0]} at most" + _beside(
            powers[1:]
        )
        spectra |= found
    if spectra:
        title = "How far a gradient is stretched on its way back, direction by direction"
        pictures.draw_spectra(spectra, folder / "spectrum.png", title=title)


def _beside(before: Sequence[str]) -> str:
    """What it was before training, if that is known."""
    return f" (before training {before[0]})" if before else ""
