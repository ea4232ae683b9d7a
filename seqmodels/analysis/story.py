"""Every picture of docs/why_lstm.md, drawn anew: small networks are trained on the spot."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqmodels.analysis import clipping, drawings, pictures
from seqmodels.analysis.gate_activity import saturation, slow_units
from seqmodels.analysis.jacobians import jacobian_spectrum, lyapunov_exponents
from seqmodels.analysis.reader import Reader, learn
from seqmodels.analysis.recall import Recall, RecallParams
from seqmodels.analysis.style import BLUE, GREEN, GREY, ORANGE, PINK, PURPLE, VERMILION
from seqmodels.cells import GRU, LSTM, RNN
from seqmodels.data.corpora import python_docs

HIDDEN, LAG = 32, 100
SHORT_LAG, LONG_LAG, TRAINING_STEPS = 20, 80, 1500
SCORE = r"$\Vert\,\partial\,\mathrm{score}/\partial s_t\,\Vert$"
READER_STEPS, READER_HIDDEN = 5000, 96
FROM, SHOWN, UNITS = 2000, 100, 8
"""Place and length of the piece of the validation text that the reader is shown reading, and how many of its units."""


def draw_all(folder: Path, seed: int = 0) -> list[Path]:
    """Draws every picture; about a minute and a half on 2 CPU cores.

    Args:
      folder: is made if it is not there.
      seed: decides all weights and data.

    Returns:
      The pictures, in the order of the story.
    """
    return [draw(name, folder, seed) for name in PICTURES]


def draw(name: str, folder: Path, seed: int = 0) -> Path:
    """Draws one picture as `<folder>/<name>.png`; see `draw_all`.

    Raises:
      ValueError: if there is no picture of this name.
    """
    if name not in PICTURES:
        raise ValueError(f"there is no picture {name!r}; there are {', '.join(PICTURES)}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    PICTURES[name](path, seed)
    return path


def scaled(task: Recall, key: jax.Array, scale: float) -> RecallParams:
    """Parameters at the start, with recurrent weights times a number."""
    params = task.init(key)
    return params._replace(cell=params.cell._replace(w_hh=scale * params.cell.w_hh))


def _draw_start(path: Path, seed: int) -> None:
    """Gradient norms at the start: vanishing, exploding, kept."""
    cells: dict[str, tuple[Any, float, str]] = {
        "RNN, ρ = 2": (RNN(HIDDEN), 2.0, VERMILION),
        "LSTM, long lags": (LSTM(HIDDEN, chrono=LAG), 1.0, PURPLE),
        "LSTM": (LSTM(HIDDEN), 1.0, BLUE),
        "RNN, ρ = 1": (RNN(HIDDEN), 1.0, ORANGE),
        "GRU": (GRU(HIDDEN), 1.0, GREEN),
        "RNN, ρ = 0.8": (RNN(HIDDEN), 0.8, GREY),
    }
    flows = []
    with jax.enable_x64(True):
        for name, (cell, scale, colour) in cells.items():
            task = Recall(cell, LAG)
            params = scaled(task, jax.random.key(seed), scale)
            flows.append(pictures.Flow(name, mean_norms(task, params, seed), colour))
    title = "Before training: gradients vanish, explode, or are kept"
    pictures.draw_flows({"": flows}, path, title=title, quantity=SCORE)


def mean_norms(task: Recall, params: RecallParams, seed: int) -> Any:
    """The norms of the gradient for the state, [lag]: their geometric mean over sequences."""
    norms = np.asarray(task.flow(params, *task.batch(jax.random.key(seed + 1), 64)).total)
    return np.exp(np.mean(np.log(np.maximum(norms, np.finfo(norms.dtype).tiny)), axis=0))


def _draw_spectrum(path: Path, seed: int) -> None:
    """All singular values of the product of Jacobians."""
    cells: dict[str, tuple[Any, float]] = {
        "RNN, ρ = 0.8": (RNN(HIDDEN), 0.8),
        "RNN, ρ = 2": (RNN(HIDDEN), 2.0),
        "LSTM, long lags": (LSTM(HIDDEN, chrono=LAG), 1.0),
    }
    spectra = {}
    with jax.enable_x64(True):
        for name, (cell, scale) in cells.items():
            task = Recall(cell, LAG)
            params = scaled(task, jax.random.key(seed), scale)
            xs, _ = task.batch(jax.random.key(seed + 1), 1)
            rate = float(lyapunov_exponents(cell, params.cell, xs[0], count=1, warm_up=LAG // 5)[0])
            heading = f"{name};  $\\lambda_1$ = {rate:+.3f} nats/step"
            spectra[heading] = jacobian_spectrum(cell, params.cell, xs[0], spans=range(1, LAG + 1, 3))
    pictures.draw_spectra(
        spectra, path, title="How far a gradient is stretched on its way back, direction by direction"
    )


def _draw_wall(path: Path, seed: int) -> None:
    """The wall in the loss of one unit, and gradient descent with and without a cap."""
    del seed
    start = jnp.array([1.3, 0.08])
    with jax.enable_x64(True):
        wall = clipping.wall(jnp.linspace(0.9, 1.7, 161), jnp.linspace(-0.35, 0.15, 201))
        free, capped = (
            clipping.descend(start.astype(float), steps=60, learning_rate=0.02, cap=cap) for cap in (None, 1.0)
        )
    descents = {"descent, thrown off": (free, "white"), "descent, norm capped at 1": (capped, PINK)}
    pictures.draw_wall(wall, descents, path, title=f"The wall: one unit, {clipping.STEPS} steps")


def _draw_learnt(path: Path, seed: int) -> None:
    """Gradient norms before and after training, with a short and a long lag."""
    panels = {}
    for lag in (SHORT_LAG, LONG_LAG):
        cells: dict[str, tuple[Any, str]] = {
            "RNN": (RNN(HIDDEN), VERMILION),
            "GRU": (GRU(HIDDEN), GREEN),
            "LSTM": (LSTM(HIDDEN), BLUE),
            "LSTM, long lags": (LSTM(HIDDEN, chrono=lag), PURPLE),
        }
        flows = []
        for name, (cell, colour) in cells.items():
            task = Recall(cell, lag)
            fitted = task.train(jax.random.key(seed), steps=TRAINING_STEPS)
            accuracy = task.accuracy(fitted.after, *task.batch(jax.random.key(seed + 2), 1000))
            flows.append(pictures.Flow(name, mean_norms(task, fitted.before, seed), colour, dashed=True))
            after = mean_norms(task, fitted.after, seed)
            flows.append(pictures.Flow(f"{name}: {accuracy:.0%}", after, colour))
        panels[f"the first of {lag} symbols"] = flows
    title = "Remember the first symbol: before training (dashed) and after, with the share that is right"
    pictures.draw_flows(panels, path, title=title, quantity=SCORE)


@functools.cache
def _reader(seed: int) -> tuple[Reader, str]:
    """An LSTM that has read the Python language reference, and a piece of text that it has not."""
    corpus = python_docs()
    reader, _ = learn(corpus.train, jax.random.key(seed), steps=READER_STEPS, hidden_size=READER_HIDDEN)
    return reader, corpus.valid


def _draw_gates(path: Path, seed: int) -> None:
    """What some units of the reader remember, and their gates."""
    reader, text = _reader(seed)
    text = text[: FROM + SHOWN]
    activity, memory = reader.activity(text), np.tanh(np.asarray(reader.states(text).c))
    values = {
        "memory, tanh c": memory,
        "forget gate f": activity.f,
        "write gate i": activity.i,
        "read gate o": activity.o,
    }
    units = slow_units(memory, UNITS)
    bands = {name: np.asarray(value)[FROM:, units] for name, value in values.items()}
    title = f"{UNITS} units of an LSTM while it reads (the same rows in every band)"
    pictures.draw_gates(reader.symbols(text[FROM:]), bands, path, title=title)


def _draw_saturation(path: Path, seed: int) -> None:
    """How often the reader's gates are open and closed."""
    reader, text = _reader(seed)
    shares = saturation(reader.activity(text[:FROM]))
    names = {"f": "forget gate f", "i": "write gate i", "o": "read gate o"}
    title = "How often gates are open and closed: a point for each unit"
    pictures.draw_saturation({heading: shares[name] for name, heading in names.items()}, path, title=title)


def _drawing(draw: Callable[[Path], None]) -> Callable[[Path, int], None]:
    """A picture that depends on no seed."""
    return lambda path, seed: draw(path)


PICTURES: Mapping[str, Callable[[Path, int], None]] = {
    "unrolled": _drawing(drawings.draw_unrolled),
    "functions": _drawing(drawings.draw_functions),
    "start": _draw_start,
    "spectrum": _draw_spectrum,
    "wall": _draw_wall,
    "capping": _drawing(drawings.draw_capping),
    "memory_cell": _drawing(drawings.draw_memory_cell),
    "learnt": _draw_learnt,
    "gates": _draw_gates,
    "saturation": _draw_saturation,
}
"""The pictures by name, in the order of the story; each is drawn into a path, with a seed."""
