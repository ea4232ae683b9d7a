"""The values that a trial is run with, as changes to the config."""

from collections.abc import Iterator, Mapping
from typing import Any

from seqmodels import config as configs
from seqmodels.sweeps.tables import Sweep, argument
from seqmodels.tasks import TASKS

SCHEMAS = {name: task.schema for name, task in TASKS.items()}
"""The config of each task."""


def assignments(params: Mapping[str, Any]) -> list[str]:
    """Values as arguments of `train`; a string is what stands there.

    Example:
      >>> assignments({"optimizer.learning_rate": 0.01, "model.cell.name": "gru", "model.tied": True})
      ['optimizer.learning_rate=0.01', 'model.cell.name=gru', 'model.tied=true']
    """
    return [f"{key}={value}" if isinstance(value, str) else argument(key, value) for key, value in params.items()]


def load_config(sweep: Sweep, params: Mapping[str, Any], *more: str) -> Any:
    """The config of a trial.

    Args:
      sweep: says which config, and what is the same in all trials.
      params: the values of this one.
      *more: further arguments of `train`.

    Raises:
      ConfigError: if they do not fit.
    """
    given = [*sweep.fixed, *assignments(params), *more]
    return configs.load(sweep.table.config, given, SCHEMAS, origin=str(sweep.path))


def check(sweep: Sweep) -> None:
    """Refuses a range whose ends the config refuses, before anything is run.

    Each end is tried with the first and with the last value of the other keys: what is right with one of them is left
    to the trials, where some combinations may fail.

    Raises:
      ConfigError: with one line for every fault.
    """
    faults = dict.fromkeys(fault for key in sweep.space for fault in _faults(sweep, key))
    if faults:
        raise configs.ConfigError(*faults)


def _faults(sweep: Sweep, key: str) -> Iterator[str]:
    """What is wrong with the ends of one key's range."""
    first = {other: range_.ends[0] for other, range_ in sweep.space.items()}
    last = {other: range_.ends[-1] for other, range_ in sweep.space.items()}
    for value in sweep.space[key].ends:
        tried = [_refused(sweep, {**others, key: value}) for others in (first, last)]
        if all(tried):
            yield from tried[0]


def _refused(sweep: Sweep, params: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        load_config(sweep, params)
    except configs.ConfigError as error:
        return error.lines
    return ()
