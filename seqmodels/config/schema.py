"""What a configuration class declares: its keys, and what each may hold."""

import dataclasses
import functools
import os
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union

from pydantic.fields import FieldInfo

from seqmodels.config.toml import KeyPath


class Key(NamedTuple):
    """One key of a table.

    Attributes:
      annotation: its type, resolved, with pydantic's `Field` rules in it.
      default: its default; `dataclasses.MISSING` when the key is required.
    """

    annotation: Any
    default: Any


@functools.cache
def keys(table: type) -> Mapping[str, Key]:
    """The keys of a configuration class, inherited ones included, in the order of declaration."""
    annotations = typing.get_type_hints(table, include_extras=True)
    found = {}
    for field in dataclasses.fields(table):
        made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        found[field.name] = Key(annotations[field.name], made)
    return found


class Kind(NamedTuple):
    """An annotation taken apart.

    Attributes:
      members: the types it allows, None aside; more than one for a union.
      rules: pydantic's `Field`s and the bounds in them.
      optional: whether None is allowed.
    """

    members: tuple[Any, ...]
    rules: tuple[Any, ...]
    optional: bool

    @property
    def tables(self) -> tuple[type, ...]:
        """The configuration classes among the members."""
        return tuple(member for member in self.members if is_table(member))

    @property
    def only_tables(self) -> bool:
        """Whether the value is a table whose configuration class is certain or chosen by a key."""
        return len(self.tables) == len(self.members) and (len(self.tables) == 1 or self.discriminator is not None)

    @property
    def leaves(self) -> tuple[Any, ...]:
        """The members, those of unions within a union included, without their rules."""
        parts = (kind(member).leaves if is_composed(member) else (member,) for member in self.members)
        return tuple(leaf for part in parts for leaf in part)

    @property
    def discriminator(self) -> str | None:
        """The key whose value chooses one of several tables."""
        named = (rule.discriminator for rule in self.rules if isinstance(rule, FieldInfo))
        return next((name for name in named if isinstance(name, str)), None)

    @property
    def description(self) -> str:
        """What the declaration says that the key is for; empty when it does not."""
        given = [rule.description for rule in self.rules if isinstance(rule, FieldInfo) and rule.description]
        return given[-1] if given else ""

    @property
    def reads_none(self) -> bool:
        """Whether the word "none" stands for None: only where it could not be meant as a string."""
        return self.optional and not any(_holds_text(leaf) for leaf in self.leaves)

    def table_called(self, name: object) -> type | None:
        """The table that the discriminating key's value `name` chooses."""
        return next((table for table in self.tables if name in tags(table, self.discriminator)), None)

    def branch(self, label: object) -> type | None:
        """The table for the label with which pydantic says which part of a union it tried."""
        if self.discriminator:
            return self.table_called(label)
        return next((table for table in self.tables if table.__name__ == label), None)

    def table_of(self, value: object) -> type | None:
        """The table that `value` would be read as, if that is certain."""
        if not isinstance(value, Mapping):
            return None
        if self.discriminator and len(self.tables) > 1:
            return self.table_called(value[self.discriminator]) if self.discriminator in value else None
        return self.tables[0] if len(self.tables) == 1 else None


def kind(annotation: Any) -> Kind:
    """Takes an annotation apart.

    Example:
      >>> kind(int | None)
      Kind(members=(<class 'int'>,), rules=(), optional=True)
    """
    rules: tuple[Any, ...] = ()
    if typing.get_origin(annotation) is Annotated:
        annotation, *given = typing.get_args(annotation)
        rules = tuple(part for rule in given for part in _parts(rule))
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return Kind((annotation,), rules, optional=False)
    arguments = typing.get_args(annotation)
    members = tuple(argument for argument in arguments if argument is not type(None))
    optional = len(members) < len(arguments)
    if len(members) > 1:
        return Kind(members, rules, optional)
    inner = kind(members[0])
    return Kind(inner.members, inner.rules + rules, optional or inner.optional)  # the outermost rule comes last


def _parts(rule: Any) -> Sequence[Any]:
    return (rule, *rule.metadata) if isinstance(rule, FieldInfo) else (rule,)


def is_table(member: Any) -> bool:
    """Whether a type is a configuration class."""
    return isinstance(member, type) and dataclasses.is_dataclass(member)


def is_composed(annotation: Any) -> bool:
    """Whether an annotation is a union or carries rules."""
    return typing.get_origin(annotation) in (Annotated, Union, types.UnionType)


def _holds_text(leaf: Any) -> bool:
    is_text = isinstance(leaf, type) and issubclass(leaf, str | os.PathLike)
    return is_text or leaf is Any or "none" in literal_values(leaf)


def literal_values(member: Any) -> tuple[Any, ...]:
    """The values that a `Literal` allows; none for another type."""
    return typing.get_args(member) if typing.get_origin(member) is Literal else ()


def tags(table: type, discriminator: str | None) -> tuple[Any, ...]:
    """The values of the discriminating key that choose `table`."""
    if discriminator is None or discriminator not in keys(table):
        return ()
    (member,) = kind(keys(table)[discriminator].annotation).members
    return literal_values(member)


def item(member: Any, step: str | int) -> Any:
    """The annotation of what stands at `step` in a table, array or mapping of type `member`; Any if unknown."""
    if is_table(member):
        return keys(member)[str(step)].annotation if step in keys(member) else Any
    origin, arguments = typing.get_origin(member), typing.get_args(member)
    if origin is dict:
        return arguments[1]
    if origin is tuple and Ellipsis not in arguments and isinstance(step, int):
        return arguments[step] if step < len(arguments) else Any
    return arguments[0] if origin in (tuple, list) else Any


Settings: TypeAlias = tuple[tuple[KeyPath, Any], ...]


class Entry(NamedTuple):
    """One key of a whole configuration.

    Attributes:
      path: its path from the top.
      key: its type and default.
      settings: the keys and values that choose the tables of unions on the way, such as
        `((("optimizer", "name"), "adam"),)`; most often none.
    """

    path: KeyPath
    key: Key
    settings: Settings


def entries(schema: type) -> Iterator[Entry]:
    """Every key of a configuration class and of the tables in it, in the order of declaration.

    A table is not an entry itself, its keys are, unless it may be left out altogether or lies within itself. Of
    several tables the key that chooses among them comes first, then what is the same in all, then the rest of each.
    """
    return _entries(schema, keys(schema), (), (), ())


def _entries(
    table: type, names: Iterable[str], path: KeyPath, settings: Settings, above: tuple[type, ...]
) -> Iterator[Entry]:
    """The entries of the keys `names` of `table`, which lies at `path` in the tables `above`."""
    above = (*above, table)
    for name in names:
        here, key = (*path, name), keys(table)[name]
        parts = kind(key.annotation)
        inner = [member for member in parts.tables if member not in above] if parts.only_tables else []
        if key.default is None or not inner:
            yield Entry(here, key, settings)
        if inner and len(parts.tables) > 1:
            yield from _choice_entries(key, inner, here, settings, above)
        elif inner:
            yield from _entries(inner[0], keys(inner[0]), here, settings, above)


def _choice_entries(
    key: Key, tables: Sequence[type], path: KeyPath, settings: Settings, above: tuple[type, ...]
) -> Iterator[Entry]:
    choice = kind(key.annotation).discriminator or ""
    values = tuple(value for table in kind(key.annotation).tables for value in tags(table, choice))
    chosen = getattr(key.default, choice, dataclasses.MISSING)
    yield Entry((*path, choice), Key(Literal[values], chosen), settings)
    first, *others = (keys(table) for table in tables)
    same = {name for name, key in first.items() if all(name in other and other[name] == key for other in others)}
    yield from _entries(tables[0], [name for name in first if name in same], path, settings, above)
    for table in tables:
        own = [name for name in keys(table) if name not in same and name != choice]
        setting = ((*path, choice), tags(table, choice)[0])
        yield from _entries(table, own, path, (*settings, setting), above)


def plain(value: Any) -> Any:
    """Turns configuration classes into mappings, all the way down, and None into what stands for it in a file.

    Raises:
      ValueError: if a key that holds strings is None against its default, which TOML cannot say.
    """
    if dataclasses.is_dataclass(value):
        return dict(_plain_items(value))
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _plain_items(value: Any) -> Iterator[tuple[str, Any]]:
    for name, key in keys(value.__class__).items():
        inner = getattr(value, name)
        if inner is not None:
            yield name, plain(inner)
        elif key.default is not None:
            if not kind(key.annotation).reads_none:
                raise ValueError(f"{name} is None, and TOML cannot say so for a key that holds strings")
            yield name, "none"
