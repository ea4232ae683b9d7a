"""The file that describes a sweep: its tables, and how it is read."""

import dataclasses
import keyword
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from seqmodels.config import ConfigError, config, dumps, flat, help_text, override, read, validate
from seqmodels.config.toml import Document, KeyPath, read_value, spell_path, spell_value
from seqmodels.sweeps.ranges import Range

TRIALS = 20
"""So many trials if nothing is said, and there is no grid."""


@config
class SweepTable:
    """The table `[sweep]`."""

    config: Annotated[str, Field(min_length=1, description="that of each trial; its path begins at the sweep's file")]
    name: Annotated[str | None, Field(min_length=1, description="of the sweep's folder; default: the file's")] = None
    dir: Annotated[str, Field(min_length=1, description="where folders of sweeps go")] = "sweeps"
    trials: Annotated[
        int | None, Field(ge=1, description=f"how many; default: all of a grid, else {TRIALS}; may be raised later")
    ] = None
    sampler: Annotated[
        Literal["tpe", "random", "grid"],
        Field(description="near what was good (Parzen estimators), at random, or all combinations in order"),
    ] = "tpe"
    pruner: Annotated[
        Literal["median", "none"],
        Field(description="median: ends a trial that is worse in a validation than the median of those before it"),
    ] = "median"
    startup_trials: Annotated[
        int, Field(ge=0, description="so many first trials are drawn at random by tpe, and never ended by median")
    ] = 5
    warmup_steps: Annotated[int, Field(ge=0, description="no trial is ended before this step")] = 0
    objective: Annotated[
        str | None, Field(description="such as valid/loss_nats; default: what the task's validation compares")
    ] = None
    direction: Annotated[Literal["minimize", "maximize"], Field(description="what is good")] = "minimize"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="decides the draws; run.seed is the trials' own")] = 0
    storage: Annotated[
        str | None, Field(description="URL of a database, for workers elsewhere; default: a file in the sweep's folder")
    ] = None

    def __post_init__(self) -> None:
        """The test split is not for choosing."""
        if self.objective is not None and not self.objective.startswith("valid/"):
            raise ValueError(f"objective must be one of validation, such as valid/loss_nats (got {self.objective!r})")


@config
class SweepFile:
    """The file of a sweep, but for its table `[space]`: that has a key for each key of the config that is drawn."""

    sweep: SweepTable
    set: Annotated[
        dict[str, Any],
        Field(description="keys of the config, the same in all trials, as `seqmodels train CONFIG --keys` lists them"),
    ] = dataclasses.field(default_factory=dict)


class Sweep(NamedTuple):
    """What a file describes.

    Attributes:
      path: the file.
      table: its table `[sweep]`, with a name, and with the config's path as it is from anywhere.
      fixed: what is the same in all trials, as arguments of `train`.
      space: the range of each key that is not.
      text: the whole file, defaults included, but for the storage, whose URL may hold a password.
    """

    path: Path
    table: SweepTable
    fixed: tuple[str, ...]
    space: Mapping[str, Range]
    text: str

    @property
    def name(self) -> str:
        """Of the sweep."""
        return str(self.table.name)

    @property
    def folder(self) -> Path:
        """Where trials and results go."""
        return Path(self.table.dir) / self.name

    @property
    def trials(self) -> int:
        """How many trials there shall be."""
        if self.table.sampler != "grid":
            return self.table.trials or TRIALS
        combinations = math.prod(len(range_.values or ()) for range_ in self.space.values())
        return min(self.table.trials or combinations, combinations)


def load(path: Path, assignments: Iterable[str]) -> Sweep:
    """Reads the file of a sweep.

    Args:
      path: the TOML file.
      assignments: changes to it, `key.path=value`.

    Raises:
      ConfigError: with one line for every fault found.
    """
    document = override(read(path), assignments)
    drawn = document.get("space")
    made: Any = validate(_schema(drawn if isinstance(drawn, Mapping) else {}, str(path)), document, str(path))
    space = dict(_ranges(made.space, ()))
    if faults := list(_unfit(made.sweep, space, document, str(path))):
        raise ConfigError(*faults)
    config_path = (path.parent / Path(made.sweep.config).expanduser()).resolve()
    table = dataclasses.replace(made.sweep, config=str(config_path), name=made.sweep.name or path.stem)
    return Sweep(
        path,
        table,
        tuple(argument(key, value) for key, value in flat(made.set).items()),
        {spell_path(key): range_ for key, range_ in space.items()},
        dumps(dataclasses.replace(made, sweep=dataclasses.replace(table, storage=None))),
    )


def argument(key: str, value: Any) -> str:
    """A key and its value as an argument of `train`.

    Example:
      >>> argument("run.steps", 3), argument("data.path", "my.txt"), argument("run.name", "3")
      ('run.steps=3', 'data.path=my.txt', 'run.name="3"')
    """
    bare = isinstance(value, str) and read_value(value) == value
    return f"{key}={value if bare else spell_value(value)}"


def keys_text() -> str:
    """Every key of a sweep's file: what it must be, its default, what it is for."""
    return help_text(_schema({"KEY": {}}, ""))


def _schema(space: Mapping[str, Any], origin: str) -> type:
    """The whole file, with the tables of this `[space]`."""
    return config(
        dataclasses.make_dataclass(
            "File", [("space", _tables(space, origin))], bases=(SweepFile,), frozen=True, kw_only=True
        )
    )


def _tables(space: Mapping[str, Any], origin: str) -> type:
    """The table of a part of `[space]`: what holds tables alone is a table of the config, all else a range."""
    for key in space:
        if not key.isidentifier() or keyword.iskeyword(key):
            raise ConfigError(
                f"{origin}: space: {key!r} is no key of a config; write table.key = {{...}} without quotes"
            )
    fields = []
    for key, value in space.items():
        nested = isinstance(value, Mapping) and value and all(isinstance(inner, Mapping) for inner in value.values())
        fields.append((key, _tables(value, origin) if nested else Range))
    return config(dataclasses.make_dataclass("Space", fields, frozen=True, kw_only=True))


def _ranges(table: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Range]]:
    """The ranges in `[space]` by the keys' paths."""
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        if isinstance(value, Range):
            yield (*path, field.name), value
        else:
            yield from _ranges(value, (*path, field.name))


def _unfit(table: SweepTable, space: Mapping[KeyPath, Range], document: Document, origin: str) -> Iterator[str]:
    """What does not fit together."""
    if not space:
        yield f"{origin}: space: has no key; name one, such as optimizer.learning_rate = {{low = 1e-4, high = 1e-2}}"
    for key, range_ in space.items():
        if table.sampler == "grid" and range_.values is None:
            path = ("space", *key)
            yield f"{document.where(path, origin)}: {spell_path(path)}: for a grid give choices, or a step"
