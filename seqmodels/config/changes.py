"""What differs between two configurations."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqmodels.config import toml


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """The values of nested tables, by their keys' paths.

    Example:
      >>> flat({"run": {"steps": 3}, "seed": 1})
      {'run.steps': 3, 'seed': 1}
    """
    return dict(_flat(table, ()))


def _flat(table: Mapping[str, Any], path: toml.KeyPath) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*path, key))
        else:
            yield toml.spell_path((*path, key)), value


def changes(before: str, now: str, *, but: Iterable[str] = ()) -> list[str]:
    r"""Says which keys of one TOML text have other values in another one.

    Args:
      before: the one.
      now: the other.
      but: keys that are not looked at.

    Returns:
      a sentence for each.

    Example:
      >>> changes("[run]\nsteps = 3\nseed = 1", "[run]\nsteps = 4", but=["run.seed"])
      ['run.steps was 3, now 4']
    """
    old, new = flat(tomllib.loads(before)), flat(tomllib.loads(now))
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return [
        f"{key} was {old.get(key, 'not set')!r}, now {new.get(key, 'not set')!r}"
        for key in changed
        if key not in set(but)
    ]
