"""What a GPU would be asked to do at each step in time: counted in programs compiled for one that is not there."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqmodels.benchmarks import contestants
from seqmodels.benchmarks.absent_devices import gpu
from seqmodels.benchmarks.cases import Case, Data
from seqmodels.benchmarks.exchanges import computations
from seqmodels.benchmarks.peers import JAX_PEERS, PEERS
from seqmodels.benchmarks.report import table

_NO_KERNEL: Final = frozenset({"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "after-all"})
_OPERATION: Final = re.compile(r"= .*? ([a-z\-]+)\(")


class Kernels(NamedTuple):
    """What a training step asks of a GPU.

    Attributes:
      name: who is measured.
      dtype: of the products.
      each: kernels at each step in time, of one loop after the other: forwards, backwards.
      temporary: bytes.
    """

    name: str
    dtype: str
    each: tuple[int, ...]
    temporary: int


def run_all(case: Case, dtypes: Sequence[str], engines: Sequence[str]) -> Iterator[Kernels]:
    """Compiles the training step of an LSTM layer by each engine of ours, and by each JAX peer that is there.

    Raises:
      UserError: as `gpu` does.
    """
    mesh = jax.make_mesh((1,), ("data",), (AxisType.Auto,), devices=[gpu()])
    place = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    data = Data.of(case)
    for dtype in dtypes:
        for name in (*engines, *JAX_PEERS):
            try:
                one = PEERS[name](data, dtype) if name in PEERS else contestants.ours(data, dtype, name)
            except ImportError:
                continue
            assert one.compile_for is not None
            compiled = one.compile_for(place)
            temporary = compiled.memory_analysis().temp_size_in_bytes
            yield Kernels(name, dtype, kernels(compiled.as_text()), temporary)


def kernels(program: str) -> tuple[int, ...]:
    """How many kernels each loop of a compiled program starts in a turn, in the order of the program.

    Example:
      >>> kernels('''
      ... %body (p: (f32[8])) -> (f32[8]) {
      ...   %p = (f32[8]{0}) parameter(0)
      ...   %x = f32[8]{0} get-tuple-element(%p), index=0
      ...   %y = f32[8]{0} fusion(%x), kind=kLoop, calls=%f
      ...   ROOT %t = (f32[8]{0}) tuple(%y)
      ... }
      ... ENTRY %main (p: f32[8]) -> f32[8] {
      ...   %w = (f32[8]{0}) while(%p), condition=%c, body=%body
      ... }
      ... ''')
      (1,)
    """
    by_name, entry = computations(program)
    bodies = re.findall(r"while\(.*body=%?([\w.\-]+)", "\n".join(by_name[entry]))
    operations = ([found[1] for line in by_name[body] if (found := _OPERATION.search(line))] for body in bodies)
    return tuple(sum(name not in _NO_KERNEL for name in names) for names in operations)


def rows(found: Sequence[Kernels]) -> list[str]:
    """A table, with how many there are for each one of the fewest of a JAX peer of the same type."""
    lines = []
    for one in found:
        peers = [sum(other.each) for other in found if other.dtype == one.dtype and other.name in JAX_PEERS]
        share = f"{min(peers) / sum(one.each):.2f}" if peers else ""
        name = one.name if one.name in PEERS else f"ours, {one.name}"
        each = (" + ".join(map(str, one.each)), str(sum(one.each)))
        lines.append((name, one.dtype, *each, share, f"{one.temporary / 1e6:.0f}"))
    return table(
        ["", "Type", "Forwards + backwards", "Both", "times fewer than the best JAX peer", "Temporary, MB"], lines
    )
