"""What a compiled program's devices send each other: how often, how much, within how many devices."""

import math
import re
from collections import defaultdict
from typing import Final, NamedTuple

_KINDS: Final = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
_EXCHANGE: Final = re.compile(rf"= (?P<result>.*?) (?P<kind>{_KINDS})(?:-start)?\(")
_COMPUTATION: Final = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) .*\{$")
_CALLED: Final = re.compile(r"(?:body|condition|calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES: Final = re.compile(r"branch_computations=\{([^}]*)\}")
_TURNS: Final = re.compile(r'known_trip_count":\{"n":"(\d+)"')
_ARRAY: Final = re.compile(r"(\w+)\[([\d,]*)\]")
_GROUPS: Final = re.compile(r"replica_groups=(?:\[(?P<shape>[\d,]+)\]<=|\{\{(?P<first>[\d,]*)\})")
_AXES: Final = re.compile(
    r"replica_groups=mesh\[(?P<mesh>[^\]]*)\](?:, device_ids=\([^)]*\(?[^)]*\)?\))? \{(?P<axes>[^}]*)\}"
)
_BYTES: Final = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "f64": 8, "s64": 8, "u64": 8, "c64": 8}


class Exchange(NamedTuple):
    """One exchange in a program's text.

    Attributes:
      kind: such as "all-gather".
      devices: how many take part in each group.
      size: bytes of the result on one device.
      times: how often the program does it; loops whose turns XLA does not know count as one.
      loops: how many loops it stands in, one within the other.
    """

    kind: str
    devices: int
    size: int
    times: int
    loops: int


def exchanges(program: str, devices: int) -> list[Exchange]:
    """All exchanges of a compiled program.

    Args:
      program: its text, `compiled.as_text()`.
      devices: how many run it: those of an exchange that names no groups.

    Example:
      >>> text = '''
      ... %body (p: f32[8]) -> f32[8] {
      ...   %g = f32[8]{0} all-gather(%p), replica_groups=[2,4]<=[8], dimensions={0}
      ... }
      ... ENTRY %main (p: f32[8]) -> f32[8] {
      ...   %w = f32[8] while(%p), body=%body, backend_config={"known_trip_count":{"n":"5"}}
      ... }
      ... '''
      >>> exchanges(text, devices=8)
      [Exchange(kind='all-gather', devices=4, size=32, times=5, loops=1)]
    """
    by_name, entry = computations(program)
    times: dict[str, int] = defaultdict(int)
    loops: dict[str, int] = defaultdict(int)
    waiting = [(entry, 1, 0)]
    while waiting:
        name, number, depth = waiting.pop()
        times[name] += number
        loops[name] = max(loops[name], depth)
        for line in by_name.get(name, ()):
            is_loop = " while(" in line
            known = _TURNS.search(line) if is_loop else None
            turns = int(known[1]) if known else 1
            called = _CALLED.findall(line) + re.findall(r"[\w.\-]+", ",".join(_BRANCHES.findall(line)))
            waiting += [(other, number * turns, depth + is_loop) for other in called]
    return [
        Exchange(found["kind"], _group(line, devices), _size(found["result"]), times[name], loops[name])
        for name, lines in by_name.items()
        for line in lines
        if times[name] and (found := _EXCHANGE.search(line))
    ]


def computations(program: str) -> tuple[dict[str, list[str]], str]:
    """The lines of every computation, and which one is the first."""
    found: dict[str, list[str]] = {}
    entry = name = ""
    for line in program.splitlines():
        if head := _COMPUTATION.match(line):
            name = head["name"]
            entry = name if head["entry"] else entry
            found[name] = []
        elif name:
            found[name].append(line)
    return found, entry


def _size(result: str) -> int:
    """Bytes of an array or of a tuple of arrays, as the text writes them."""
    arrays = _ARRAY.findall(result)
    return sum(_BYTES.get(kind, 4) * math.prod(int(n) for n in sizes.split(",") if n) for kind, sizes in arrays)


def _group(line: str, devices: int) -> int:
    if named := _AXES.search(line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named["mesh"]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named["axes"]))
    groups = _GROUPS.search(line)
    if groups is None:
        return devices
    if groups["shape"]:
        return int(groups["shape"].split(",")[-1])
    return len(groups["first"].split(",")) if groups["first"] else devices
