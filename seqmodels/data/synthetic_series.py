"""Made-up hourly series: a level that drifts, a day and a week that multiply it, and noise that grows with it."""

import math
from pathlib import Path

import numpy as np

from seqmodels.data.series import Numbers, Panel, Series, ends_of

NUMBER = 40
STEPS = 1500
DAY, WEEK = 24, 168


def synthetic_series(folder: Path | None = None, *, seed: int = 0, number: int = NUMBER, steps: int = STEPS) -> Panel:
    """Series that have nothing in common but how they came about; the last tenths are validation and test.

        levelₜ = level₀ · exp(drift · t / T)
        yₜ     = levelₜ · (1 + day(t mod 24)) · (1 + week(t mod 168)) · (1 + eₜ)        eₜ = φ eₜ₋₁ + σ εₜ

    `day` has two harmonics, `week` one, of amplitudes and phases that chance decides for each series.

    Args:
      folder: not used; the series are made up.
      seed: decides them.
      number: of series.
      steps: of each.

    Example:
      >>> panel = synthetic_series(number=2, steps=200)
      >>> panel.series[1].values.shape, panel.series[1].ends
      ((200, 1), (160, 180, 200))
    """
    del folder
    series = [_series(seed, place, steps) for place in range(number)]
    return Panel("synthetic_series", ("value",), (), tuple(series))


def _series(seed: int, place: int, steps: int) -> Series:
    draws = _uniform(2 * steps + 16, seed, place)
    level, drift, phi, sigma = 10.0 ** (1.0 + 2.0 * draws[0]), 1.2 * draws[1] - 0.4, 0.7 + 0.2 * draws[2], 0.04
    t = np.arange(steps, dtype=np.float64)
    day = _wave(t, DAY, 0.15 + 0.3 * draws[3], draws[4]) + _wave(t, DAY / 2, 0.25 * draws[5], draws[6])
    week = _wave(t, WEEK, 0.05 + 0.25 * draws[7], draws[8])
    noise, last = np.empty(steps), 0.0
    for step, shock in enumerate(_normal(draws[16:])):
        last = phi * last + sigma * float(shock)
        noise[step] = last
    values = level * np.exp(drift * t / steps) * (1.0 + day) * (1.0 + week) * (1.0 + noise)
    # Rounded, so that the last bits of sines, which differ from machine to machine, make no other data.
    values = np.round(values, 4)[:, None]
    ends = ends_of(steps, 0.1, 0.1)
    return Series(f"series {place}", values, np.ones_like(values, np.bool_), np.zeros((steps, 0)), ends)


def _wave(t: Numbers, period: float, amplitude: float, phase: float) -> Numbers:
    return amplitude * np.sin(2.0 * math.pi * (t / period + phase))


def _uniform(size: int, *seed: int) -> Numbers:
    """Numbers in (0, 1) that are the same under every NumPy."""
    bits = np.random.SeedSequence(seed).generate_state(size, np.uint64) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53 + 2.0**-54


def _normal(uniform: Numbers) -> Numbers:
    """Normal numbers, one of each two uniform ones (Box & Muller, 1958)."""
    radius, angle = np.split(uniform, 2)
    drawn: Numbers = np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * math.pi * angle)
    return drawn
