"""What is wrong with a configuration, in plain words: pydantic's errors turned into one sentence each."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pydantic
from pydantic_core import ErrorDetails

from seqmodels.config.schema import Kind, entries, item, keys, kind, tags
from seqmodels.config.toml import KeyPath, spell_path
from seqmodels.config.wording import choices, describe, meant, requirement

_FEW_KEYS = 12  # more known keys than these are not listed
_FEW_PLACES = 3  # a key that is right in more places than these says little about which was meant

# What `requirement` says of these in full: expected, got, and what was meant.
_UNFIT = {
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of", "literal_error"),
    *("too_short", "too_long", "string_too_short", "string_too_long"),
    *("int_type", "int_from_float", "float_type", "bool_type", "string_type", "path_type"),
    *("tuple_type", "list_type", "dict_type", "dataclass_type", "none_required"),
}


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
      path: the key.
      message: what is wrong with it.
      written: whether the key is there, so that it has a line.
    """

    path: KeyPath
    message: str
    written: bool = True


class _Place(NamedTuple):
    """What is declared where an error occurred.

    Attributes:
      path: the key's path, without the labels that pydantic puts in for the parts of unions.
      annotation: what the key may hold.
      table: the configuration class that has the key, or should; None for an item of an array.
      union: the annotation that `table` is a member of.
      inside: whether the error lies inside the part of a union that pydantic tried and we cannot follow.
    """

    path: KeyPath
    annotation: Any
    table: type | None
    union: Kind
    inside: bool


def explain(schema: type, error: pydantic.ValidationError) -> list[Fault]:
    """Turns pydantic's errors into faults.

    Args:
      schema: the configuration class that was validated.
      error: what pydantic raised.

    Returns:
      the faults in pydantic's order; an undivided union may give the same fault several times.
    """
    details = error.errors(include_url=False)
    # Of `Literal["auto"] | Table` a table was not meant to be "auto": only the table's own faults count.
    meant_so = [detail for detail in details if not _other_branch(_locate(schema, detail["loc"]), detail)]
    return [_explain(schema, detail) for detail in meant_so or details]


def _other_branch(place: _Place, detail: ErrorDetails) -> bool:
    return place.inside and isinstance(detail["input"], dict) and bool(kind(place.annotation).tables)


def _locate(schema: type, loc: KeyPath) -> _Place:
    """Follows pydantic's location through the declarations."""
    annotation: Any = schema
    union = kind(schema)
    table: type | None = None
    path: KeyPath = ()
    rest = list(loc)
    while rest:
        parts = kind(annotation)
        member = parts.members[0]
        if len(parts.members) > 1:
            label = rest.pop(0)
            branch = parts.branch(label)
            if branch is None or not rest:  # a fault of the union as a whole
                return _Place(path, annotation, table, union, inside=branch is None)
            member = branch
        union, table = parts, member if member in parts.tables else None
        path = (*path, rest[0])
        annotation = item(member, rest.pop(0))
    return _Place(path, annotation, table, union, inside=False)


def _explain(schema: type, detail: ErrorDetails) -> Fault:
    error, loc, value = detail["type"], detail["loc"], detail["input"]
    if error == "missing" and isinstance(loc[-1], int):  # a tuple of fixed length that is too short
        error, loc = "too_short", loc[:-1]
    place = _locate(schema, loc)
    if error in ("union_tag_not_found", "union_tag_invalid"):
        return _explain_choice(place, value)
    match error:
        case "missing":
            return Fault(place.path, f"is required ({describe(place.annotation)})", written=False)
        case "unexpected_keyword_argument":
            message = _unknown(schema, place)
        case "value_error" | "assertion_error":
            message = str(detail["ctx"]["error"])
        case "finite_number":
            message = f"must be a finite number (got {value})"
        case unfit if unfit in _UNFIT or place.inside:
            message = requirement(place.annotation, value)
        case _:
            message = f"{detail['msg']} (got {value!r})"
    return Fault(place.path, message)


def _explain_choice(place: _Place, value: Any) -> Fault:
    """Explains a missing or unknown value of the key that chooses among several tables."""
    parts = kind(place.annotation)
    choice = parts.discriminator or ""
    names = [name for table in parts.tables for name in tags(table, choice)]
    if choice in value:
        return Fault((*place.path, choice), requirement(Literal[tuple(names)], value[choice]))
    return Fault((*place.path, choice), f"is required ({choices(names)})", written=False)


def _unknown(schema: type, place: _Place) -> str:
    """Says that a key is unknown, and where it would be known."""
    assert place.table is not None  # only a table has unknown keys
    known = list(keys(place.table))
    key = str(place.path[-1])
    owners = [name for table in place.union.tables if key in keys(table) for name in tags(table, _choice(place))]
    if owners:
        own = choices(tags(place.table, _choice(place)))
        hint = f" where {_choice(place)} is {own}; it belongs to {', '.join(map(repr, owners))}"
    else:
        elsewhere = list(dict.fromkeys(_homes(schema, key)))
        hint = meant(key, known)
        if not hint and 0 < len(elsewhere) <= _FEW_PLACES:
            hint = f"; did you mean {' or '.join(map(repr, elsewhere))}?"
    return f"unknown key{hint}" + (f" (known: {', '.join(known)})" if len(known) <= _FEW_KEYS else "")


def _choice(place: _Place) -> str:
    return place.union.discriminator or ""


def _homes(schema: type, key: str) -> Iterator[str]:
    """The paths in the whole configuration that end in `key`."""
    return (spell_path(entry.path) for entry in entries(schema) if entry.path[-1] == key)
