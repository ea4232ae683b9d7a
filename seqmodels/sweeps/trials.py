"""The trials of a sweep, as they are shown."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from seqmodels.config.toml import spell_value

State = Literal["running", "complete", "pruned", "diverged", "failed"]


class Trial(NamedTuple):
    """One run of a sweep.

    Attributes:
      number: from 0 on; its folder is `trial_<number>`.
      state: pruned: ended since it was worse than others; diverged: no longer a number; failed: could not be run.
      params: the values that were drawn, by the keys' paths.
      value: the objective of its best checkpoint; of one that was pruned that of the last validation.
      objective: its name, of a complete one.
      reason: why it failed or diverged.
      steps: optimizer steps done, of a complete one.
      seconds: how long they took.
    """

    number: int
    state: State
    params: Mapping[str, Any]
    value: float | None = None
    objective: str | None = None
    reason: str | None = None
    steps: int | None = None
    seconds: float | None = None


def name(number: int) -> str:
    """The name of a trial's run.

    Example:
      >>> name(7)
      'trial_007'
    """
    return f"trial_{number:03d}"


def ranked(trials: Sequence[Trial], *, maximize: bool) -> list[Trial]:
    """The complete trials, the best first; of equal ones the earliest.

    Example:
      >>> [trial.number for trial in ranked([Trial(n, "complete", {}, v) for n, v in enumerate([3.0, 1.0, 2.0])],
      ...                                    maximize=False)]
      [1, 2, 0]
    """
    sign = -1.0 if maximize else 1.0
    complete = [
        (sign * trial.value, trial.number, trial)
        for trial in trials
        if trial.state == "complete" and trial.value is not None
    ]
    return [trial for *_, trial in sorted(complete, key=lambda found: found[:2])]


def counted(trials: Sequence[Trial]) -> str:
    """How many there are of each state.

    Example:
      >>> counted([Trial(0, "complete", {}, 1.0), Trial(1, "pruned", {}, 2.0), Trial(2, "complete", {}, 1.5)])
      '3 trials: 2 complete, 1 pruned'
    """
    states = [trial.state for trial in trials]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    return f"{len(trials)} trial{'s' * (len(trials) != 1)}: {', '.join(parts) or 'none begun'}"


def table(trials: Sequence[Trial]) -> list[str]:
    """Trials with their values, a line each below a heading.

    Args:
      trials: complete ones.

    Example:
      >>> for line in table([Trial(4, "complete", {"run.seed": 1}, 2.5, "valid/loss_nats", None, 10, 3.2)]):
      ...     print(line)
      trial      valid/loss_nats  run.seed  steps  seconds
      trial_004  2.5              1         10     3
    """
    keys = list(trials[0].params)
    rows = [["trial", str(trials[0].objective), *keys, "steps", "seconds"]]
    for trial in trials:
        params = [_shown(trial.params[key]) for key in keys]
        rows.append([name(trial.number), f"{trial.value:.5g}", *params, f"{trial.steps}", f"{trial.seconds:.0f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else spell_value(value)
