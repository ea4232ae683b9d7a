"""From a TOML file and the command line's overrides to frozen dataclasses, and back."""

import copy
import dataclasses
import difflib
import json
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic

from seqmodels.config import faults, toml
from seqmodels.config.schema import item, kind, plain
from seqmodels.config.wording import choices, named, requirement
from seqmodels.errors import UserError

T = TypeVar("T")

_LARGEST = 2**31 - 1
_FEW = 12  # up to so many names are listed in full in an error


class ConfigError(UserError):
    """A configuration cannot be used; one line for each fault."""


@typing.dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(dataclasses.field, dataclasses.Field)
)
def config(cls: type[T]) -> type[T]:
    """Makes a class a table of the configuration: a frozen dataclass that is validated strictly.

    Ranges and descriptions are pydantic's `Annotated[float, Field(gt=0, description="...")]`. One of several tables is
    chosen by a `Literal` key: `Annotated[Adam | Sgd, Field(discriminator="name")]`. A `__post_init__` that raises
    ValueError refuses a wrong combination. With `from __future__ import annotations` declare the class at the top of
    its module, where its annotations can be resolved.

    Args:
      cls: a class, or the result of `dataclasses.make_dataclass(..., frozen=True, kw_only=True)`.

    Raises:
      TypeError: if `cls` is a dataclass already that is not frozen or not keyword only.

    Example:
      >>> @config
      ... class Run:
      ...     steps: int
      ...     seed: int = 0
      >>> Run(steps=3)
      Run(steps=3, seed=0)
    """
    if "__dataclass_fields__" in vars(cls):
        frozen = vars(cls)["__dataclass_params__"].frozen
        if not frozen or not all(field.kw_only for field in dataclasses.fields(cls)):  # type: ignore[arg-type]  # a dataclass it is
            raise TypeError(f"{cls.__name__} is a dataclass already: make it with frozen=True and kw_only=True")
        made = cls
    else:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    settings = pydantic.ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    made.__pydantic_config__ = settings  # type: ignore[attr-defined]  # pydantic's
    return made


def read(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file.

    Args:
      path: the file, UTF-8.

    Returns:
      its tables (a `toml.Document`, so that later faults can say the line).

    Raises:
      ConfigError: for a missing file, a folder, text that is not UTF-8, or wrong TOML (with line and column).
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        return toml.Document(tomllib.loads(text), text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_beside(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a TOML file{_listed(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        at = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise ConfigError(f"{path}: not UTF-8 text ({at}); save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(_syntax_fault(path, str(error))) from None


def _syntax_fault(path: Path, message: str) -> str:
    position = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if position is None:
        return f"{path}: not valid TOML: {message}"
    line, column = position.groups()
    return f"{path}:{line}: not valid TOML at column {column}: {message[: position.start()]}"


def _beside(path: Path) -> str:
    """Proposes a file for one that is missing."""
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent} either)"
    stems = sorted(other.stem for other in path.parent.glob("*.toml"))
    close = difflib.get_close_matches(path.name.removesuffix(".toml"), stems, 1)
    meant = f"; did you mean '{path.with_name(close[0])}.toml'?" if close else ""
    return meant + _listed(path.parent)


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.toml"))
    return f" (in {folder}: {', '.join(names)})" if 0 < len(names) <= _FEW else ""


def override(table: Mapping[str, Any], assignments: Iterable[str], origin: str = "command line") -> toml.Document:
    """Sets keys of a table from the command line's `key.path=value` arguments.

    A value is TOML, or else the string itself: `run.steps=3`, `devices.mesh={data=-1}`, `data.path=my.txt`.
    A table given as a value replaces the whole table.

    Args:
      table: what `read` gave; not changed.
      assignments: the arguments, in order.
      origin: where they come from, for the errors.

    Returns:
      a new table.

    Raises:
      ConfigError: for a missing `=`, an empty key, two values for one key, or a path through something that is
        not a table.

    Example:
      >>> override({"run": {"steps": 1}}, ["run.steps=3", "run.name=a b"])
      {'run': {'steps': 3, 'name': 'a b'}}
    """
    text = table.text if isinstance(table, toml.Document) else ""
    result = toml.Document(copy.deepcopy(dict(table)), text)
    given: dict[toml.KeyPath, str] = {}
    wrong = []
    for assignment in assignments:
        try:
            _assign(result, assignment, given, origin)
        except ValueError as error:
            wrong.append(f"{origin} ({_printable(assignment)}): {error}")
    if wrong:
        raise ConfigError(*wrong)
    return result


def _assign(table: toml.Document, assignment: str, given: dict[toml.KeyPath, str], origin: str) -> None:
    """Carries out one assignment; `given` holds those before it. Raises ValueError with what is wrong."""
    key, equals, text = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals:
        raise ValueError("no '=' in it; write key.path=value, such as run.steps=100")
    if not all(path):
        raise ValueError("the key is empty or has an empty part; write key.path=value, such as run.steps=100")
    if _printable(assignment) != assignment:
        raise ValueError("is not UTF-8 text")
    value = toml.read_value(text)
    for earlier, other in given.items():
        same = earlier == path and repr(toml.read_value(other.partition("=")[2])) != repr(value)
        undone = len(earlier) > len(path) and earlier[: len(path)] == path
        if same or undone:
            raise ValueError(f"contradicts {other}; give one of them")
    inner: dict[str, Any] = table
    for depth, step in enumerate(path[:-1], start=1):
        if step not in inner:
            inner[step] = {}
            table.assigned[path[:depth]] = f"{origin} ({assignment})"
        inner = inner[step]
        if not isinstance(inner, dict):
            raise ValueError(f"{toml.spell_path(path[:depth])} is not a table, it is {named(inner)}")
    inner[path[-1]] = value
    given[path] = assignment
    table.assigned[path] = f"{origin} ({assignment})"


def _printable(text: str) -> str:
    """The text with bytes that are not UTF-8, which Python keeps as lone surrogates, made visible."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def validate(schema: type[T], table: Mapping[str, Any], origin: str) -> T:
    """Makes a table an instance of its configuration class.

    Args:
      schema: a class made with `config`.
      table: what `read` or `override` gave, or any mapping of TOML values.
      origin: where the table came from, for the errors: the file's name.

    Raises:
      ConfigError: with one line for every fault: where it stands, the key's path, what was expected and what was got.

    Example:
      >>> @config
      ... class Run:
      ...     steps: int
      >>> validate(Run, {"stesp": 3, "steps": True}, "a.toml")
      Traceback (most recent call last):
      seqmodels.config.loading.ConfigError: a.toml: steps: must be a whole number (got true)
      a.toml: stesp: unknown key; did you mean 'steps'? (known: steps)
    """
    # Python values are refused for dataclasses in pydantic's strict mode, JSON is not; a date becomes a string.
    content = json.dumps(_read_nones(schema, table), default=str)
    try:
        return pydantic.TypeAdapter(schema).validate_json(content)
    except pydantic.ValidationError as error:
        found = faults.explain(schema, error)
    raise ConfigError(*dict.fromkeys(_line(table, origin, fault) for fault in found))


def _line(table: Mapping[str, Any], origin: str, fault: faults.Fault) -> str:
    place = table.where(fault.path, origin) if isinstance(table, toml.Document) and fault.written else origin
    return ": ".join(part for part in (place, toml.spell_path(fault.path), fault.message) if part)


def _read_nones(annotation: Any, value: Any) -> Any:
    """Replaces the word "none" by None where the annotation allows None and it is not meant as a string."""
    parts = kind(annotation)
    if value == "none" and parts.reads_none:
        return None
    declared = parts.table_of(value)
    if declared is not None:
        return {key: _read_nones(item(declared, key), inner) for key, inner in value.items()}
    if isinstance(value, list) and len(parts.members) == 1:
        return [_read_nones(item(parts.members[0], index), inner) for index, inner in enumerate(value)]
    return value


def _too_large(annotation: Any, value: Any, path: toml.KeyPath) -> Iterator[faults.Fault]:
    """Whole numbers of more than 32 bits, which no device counts with, where no other bound is declared."""
    parts = kind(annotation)
    declared = parts.table_of(value)
    if declared is not None:
        for key, inner in value.items():
            yield from _too_large(item(declared, key), inner, (*path, key))
        return
    bounded = any(hasattr(rule, bound) for rule in parts.rules for bound in ("lt", "le"))
    if type(value) is int and int in parts.leaves and abs(value) > _LARGEST and not bounded:
        yield faults.Fault(path, f"must not be beyond {_LARGEST:,} (got {value})")


def load(
    path: str | Path, assignments: Iterable[str], schemas: Mapping[str, type], origin: str = "command line"
) -> Any:
    """Reads a configuration: the file, the command line's overrides, and the class that `task.name` chooses.

    Args:
      path: the TOML file.
      assignments: `key.path=value` arguments, see `override`.
      schemas: the configuration class of each task, by `task.name`.
      origin: where the arguments come from, for the errors.

    Returns:
      an instance of the chosen class.

    Raises:
      ConfigError: with one line for every fault found.
    """
    table = override(read(path), assignments, origin)
    match table:
        case {"task": {"name": str(name)}} if name in schemas:
            made: Any = validate(schemas[name], table, str(path))
            if large := list(_too_large(schemas[name], table, ())):
                raise ConfigError(*(_line(table, str(path), fault) for fault in large))
            return made
        case {"task": {"name": name}}:
            fault = faults.Fault(("task", "name"), requirement(Literal[tuple(schemas)], name))
        case {"task": task} if not isinstance(task, dict):
            fault = faults.Fault(("task",), f"must be a table with a name (got {named(task)})")
        case _:
            fault = faults.Fault(("task", "name"), f"is required ({choices(list(schemas))})", written=False)
    raise ConfigError(_line(table, str(path), fault))


def dumps(value: Any) -> str:
    """Writes a configuration as TOML that `load` reads back to an equal object.

    Every key is written, defaults too, but for a None that is the default anyway.

    Args:
      value: an instance of a class made with `config`.

    Raises:
      TypeError: if it holds what TOML cannot.
      ValueError: if a key that holds strings is None against its default, which TOML cannot say.

    Example:
      >>> @config
      ... class Run:
      ...     steps: int
      ...     cap: float | None = 1.0
      >>> print(dumps(Run(steps=3, cap=None)), end="")
      steps = 3
      cap = "none"
    """
    return toml.write(plain(value))
