"""Damage by chance, for hypothesis: of bytes, and of the tables of a config."""

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

MARKS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\r", b"\n\n", b"\t", b",", b'"', b"'", b"="),
    *(b"nan", b"inf", b"-inf", b"1e999", b"-0", b"1_0", b"9" * 5000, b"1" + b"0" * 400, b"true", b"null", b"NaN", b"#"),
    *(b"[" * 9999, b"{" * 9999, b'{"a":' * 9999, b'"\\ud800"', b'"\\u0000"', b"\x1b[31m", "٣".encode()),
    *(b"\xff" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", "\u2028".encode()),
)
"""What readers stumble over."""

_place = st.floats(0, 1)


def _at(data: bytes, place: float) -> int:
    return min(int(place * len(data)), max(len(data) - 1, 0))


def _flip(data: bytes, place: float, bit: int) -> bytes:
    at = _at(data, place)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :] if data else data


def _put(data: bytes, place: float, new: bytes, over: bool) -> bytes:
    at = _at(data, place)
    return data[:at] + new + data[at + len(new) * over :]


def _cut(data: bytes, place: float, share: float) -> bytes:
    at = _at(data, place)
    return data[:at] + data[at + max(int(share * len(data)), 1) :]


def _repeat(data: bytes, place: float, share: float) -> bytes:
    at = _at(data, place)
    return data[:at] + data[at : at + int(share * len(data))] + data[at:]


def _end(data: bytes, place: float) -> bytes:
    return data[: _at(data, place)]


_CHANGES = st.one_of(
    st.tuples(st.just(_flip), _place, st.integers(0, 7)),
    st.tuples(st.just(_put), _place, st.sampled_from(MARKS) | st.binary(max_size=8), st.booleans()),
    st.tuples(st.just(_cut), _place, st.sampled_from((0.0, 0.01, 0.1, 0.9))),
    st.tuples(st.just(_repeat), _place, st.sampled_from((0.01, 0.1, 1.0))),
    st.tuples(st.just(_end), _place),
)

changes = st.lists(_CHANGES, min_size=1, max_size=3)
"""One to three changes, each a function and its arguments."""


def damaged(data: bytes, changes: list[tuple[Any, ...]]) -> bytes:
    """The data after all changes, in their order."""
    for change, *arguments in changes:
        data = change(data, *arguments)
    return data


VALUES = (
    *(0, 1, -1, 3, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63), 10**30),
    *(0.0, -0.0, 0.5, 1.0, -1.5, 1e-320, 1e300, math.inf, -math.inf, math.nan),
    *("", " ", "none", "nan", "..", "/", "a/b", "\0", "é\u2028", "[", "lstm", "adam", "auto", "x" * 5000, "\x1b[31m"),
    *(True, False, [], [[]], [1, "a"], {}, {"name": "lstm"}, {"a": {"b": 1}}),
)
"""What stands where something else is expected."""


def _tables(table: dict[str, Any]) -> list[dict[str, Any]]:
    """A table and all that are in it."""
    return [table, *(inner for value in table.values() if isinstance(value, dict) for inner in _tables(value))]


@st.composite
def configs(draw: st.DrawFn, table: dict[str, Any]) -> dict[str, Any]:
    """A config with one to three keys dropped, renamed, moved, or with other values."""
    table = copy.deepcopy(table)
    for _ in range(draw(st.integers(1, 3))):
        places = [inner for inner in _tables(table) if inner]
        inner = draw(st.sampled_from(places))
        key = draw(st.sampled_from(sorted(inner)))
        match draw(st.sampled_from(("drop", "rename", "retype", "retype", "retype", "move", "scale"))):
            case "drop":
                del inner[key]
            case "rename":
                inner[draw(st.sampled_from((f"{key}s", key.upper(), "", "a.b", "é")))] = inner.pop(key)
            case "retype":
                inner[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            case "move":
                value = inner.pop(key)
                other = draw(st.sampled_from(places))
                if value is not other:
                    other[key] = value
            case "scale":
                if isinstance(inner[key], int | float) and not isinstance(inner[key], bool):
                    inner[key] = inner[key] * draw(st.sampled_from((-1, 10, 1000, 10**9)))
    return table


def toml(table: dict[str, Any]) -> str:
    """A table as TOML, whatever is in it."""
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case _:
            return repr(value)
